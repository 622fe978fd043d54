"""Reads what a published model's folder says about the model: its parts, limits and prompts.

The files are those of transformers (`config.json`, `tokenizer_config.json`) and of
sentence-transformers (`modules.json`, `sentence_bert_config.json`,
`config_sentence_transformers.json`). A folder that uses anything beyond what is read here is
refused with `NeedsTorch`, never read in part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sidecar.models.known_models import Reading, choose_prompts
from sidecar.models.preparing.errors import CannotPrepare, NeedsTorch

MAX_TOKENS = 512
"""Limit of a model that has no limit of its own, so that shapes stay few."""

Pooling = Literal["cls", "mean", "max", "mean_sqrt_len_tokens"]
_POOLINGS: tuple[Pooling, ...] = ("cls", "mean", "max", "mean_sqrt_len_tokens")
_OLD_POOLINGS: Mapping[str, str] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_ACTIVATIONS: Mapping[str, str] = {"Identity": "", "Tanh": "tanh", "ReLU": "relu", "GELU": "gelu"}
# Arguments for other libraries; they may be present and empty.
_ARGUMENTS = (
    *("processor_kwargs", "model_kwargs", "config_kwargs"),
    *("tokenizer_args", "model_args", "config_args"),
)
# Settings of the transformer that are read here, or do not change its numbers.
_HARMLESS = frozenset(
    {
        *("max_seq_length", "do_lower_case", "transformer_task", "modality_config"),
        *("module_output_name", "query_expansion", "query_length", "document_length"),
        *_ARGUMENTS,
    }
)
_TASKS = frozenset({"feature-extraction", "sequence-classification"})


@dataclass(frozen=True, slots=True)
class ModelPart:
    """A step between the transformer's token vectors and the answer, in order."""

    name: Literal["Pooling", "Dense", "Normalize", "LayerNorm"]
    folder: Path
    pooling: Pooling | None = None
    activation: str = ""
    """Of `Dense`: `tanh`, `relu`, `gelu`, or empty for none."""


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """What the files of a published model say, apart from the weights."""

    kind: str
    body: Path
    """Folder of the transformer's `config.json` and weights."""

    config: Mapping[str, Any]
    """`config.json`; empty for an ONNX graph without one."""

    parts: tuple[ModelPart, ...]
    """Empty for a cross-encoder, and for an ONNX graph if no file names its pooling."""

    tokenizer: str
    """The text of `tokenizer.json`, with the model's lower case in it."""

    max_tokens: int
    pad_id: int
    query_prompt: str
    passage_prompt: str


def read_published(
    folder: Path, kind: str, max_tokens: int | None, reading: Reading
) -> PublishedModel:
    """Read a folder. `max_tokens`: the configured limit; `reading`: settings from outside it.

    Raises NeedsTorch for what only sentence-transformers understands, CannotPrepare for what no
    graph can do, and OSError or ValueError for damaged files.
    """
    modules = _modules(folder)
    body = folder / str(modules[0].get("path", "")) if modules else folder
    config = _read_object(body / "config.json")
    settings = _read_object(body / "sentence_bert_config.json")
    _check_settings(settings)
    tokenizer_config = _read_first(body, folder, "tokenizer_config.json")
    if tokenizer_config.get("padding_side", "right") != "right":
        raise CannotPrepare("the model is padded on the left, as generative ones are")
    parts = _parts(folder, modules[1:], kind)
    if not parts and kind == "bi-encoder":
        parts = _default_parts(folder, config, reading)
    own = _read_object(folder / "config_sentence_transformers.json")
    query_prompt, passage_prompt = choose_prompts(
        own.get("prompts") or {}, own.get("default_prompt_name"), reading
    )
    if query_prompt or passage_prompt:
        _check_prompts(folder, modules, kind)
    tokenizer = _tokenizer(body, folder, lower_case=bool(settings.get("do_lower_case")))
    own_limit = _limit(settings, tokenizer_config, config)
    return PublishedModel(
        kind=kind,
        body=body,
        config=config,
        parts=parts,
        tokenizer=tokenizer,
        max_tokens=min(own_limit, max_tokens or own_limit),
        pad_id=_pad_id(config, tokenizer),
        query_prompt=query_prompt,
        passage_prompt=passage_prompt,
    )


def _modules(folder: Path) -> list[Mapping[str, Any]]:
    if not (folder / "modules.json").is_file():
        return []
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        names = [str(module["type"]) for module in modules]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{folder / 'modules.json'} is damaged") from None
    for name in names:
        if not name.startswith("sentence_transformers."):
            raise CannotPrepare(f"the model has a part {name}, which a graph cannot express")
    if names[0].rpartition(".")[2] != "Transformer":
        raise CannotPrepare(f"the model begins with {names[0].rpartition('.')[2]}")
    return list(modules)


def _check_settings(settings: Mapping[str, Any]) -> None:
    if unknown := sorted(set(settings) - _HARMLESS):
        raise NeedsTorch(f"sentence_bert_config.json sets {', '.join(unknown)}")
    if settings.get("transformer_task", "feature-extraction") not in _TASKS:
        raise CannotPrepare(f"the model's task is {settings['transformer_task']}")
    if settings.get("query_expansion"):
        raise CannotPrepare("the model adds tokens to its query texts")
    if settings.get("query_length") or settings.get("document_length"):
        raise NeedsTorch("the model has different length limits for queries and passages")
    for name in _ARGUMENTS:
        if settings.get(name):
            raise NeedsTorch(f"sentence_bert_config.json sets {name}")


def _parts(folder: Path, modules: list[Mapping[str, Any]], kind: str) -> tuple[ModelPart, ...]:
    parts = tuple(_part(folder, module) for module in modules if _name(module) != "Dropout")
    if parts and kind == "cross-encoder":
        raise NeedsTorch("the cross-encoder has parts after its transformer")
    return parts


def _part(folder: Path, module: Mapping[str, Any]) -> ModelPart:
    name, place = _name(module), folder / str(module.get("path", ""))
    config = _read_object(place / "config.json")
    if name == "Pooling":
        return ModelPart("Pooling", place, pooling=_pooling(config))
    if name == "Dense":
        activation = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
        if activation not in _ACTIVATIONS or config.get("use_residual"):
            raise NeedsTorch(f"the model has a linear layer with {activation}")
        if {config.get("module_input_name"), config.get("module_output_name")} - {
            None,
            "sentence_embedding",
        }:
            raise NeedsTorch("the model has a linear layer on token vectors")
        return ModelPart("Dense", place, activation=_ACTIVATIONS[activation])
    if name == "Normalize":
        return ModelPart("Normalize", place)
    if name == "LayerNorm":
        return ModelPart("LayerNorm", place)
    raise CannotPrepare(f"the model has a part {name}, which a graph cannot express")


def _name(module: Mapping[str, Any]) -> str:
    return str(module["type"]).rpartition(".")[2]


def _pooling(config: Mapping[str, Any]) -> Pooling:
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in _OLD_POOLINGS.items() if config.get(key)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else list(modes)
    for mode in _POOLINGS:
        if modes == [mode]:
            return mode
    raise NeedsTorch(f"the model's pooling is {' + '.join(map(str, modes))}")


def _default_parts(
    folder: Path, config: Mapping[str, Any], reading: Reading
) -> tuple[ModelPart, ...]:
    """Those of a folder without `modules.json`: sentence-transformers takes the mean."""
    pooling = reading.pooling or ("mean" if config.get("architectures") else None)
    return (ModelPart("Pooling", folder, pooling=pooling),) if pooling else ()


def _check_prompts(folder: Path, modules: list[Mapping[str, Any]], kind: str) -> None:
    if kind == "cross-encoder":
        raise CannotPrepare("the model has prompts for pairs")
    for module in modules:
        config = _read_object(folder / str(module.get("path", "")) / "config.json")
        if _name(module) == "Pooling" and not config.get("include_prompt", True):
            raise CannotPrepare("the model leaves its prompts out of the vectors")


def _tokenizer(body: Path, folder: Path, *, lower_case: bool) -> str:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Lowercase, Sequence

    path = next((p for p in _tokenizer_files(body, folder) if p.is_file()), None)
    if path is None:
        raise NeedsTorch("the model's tokenizer has no tokenizer.json form")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception for a damaged file
        raise ValueError(f"{path} is damaged: {error}") from error
    text = path.read_text(encoding="utf-8")
    if not lower_case or '"Lowercase"' in text or '"lowercase":true' in "".join(text.split()):
        return text
    before = [Lowercase()]
    tokenizer.normalizer = Sequence(
        before if tokenizer.normalizer is None else [*before, tokenizer.normalizer]
    )
    return str(tokenizer.to_str())


def _tokenizer_files(body: Path, folder: Path) -> Iterator[Path]:
    yield from (place / "tokenizer.json" for place in (body, folder))


def _limit(
    settings: Mapping[str, Any], tokenizer_config: Mapping[str, Any], config: Mapping[str, Any]
) -> int:
    """The most tokens that the model reads."""
    positions = config.get("max_position_embeddings")
    if limit := settings.get("max_seq_length"):
        return int(limit)
    limits = [int(n) for n in (tokenizer_config.get("model_max_length"), positions) if n]
    limit = min(limits, default=MAX_TOKENS)
    return limit if limit < 1 << 30 else MAX_TOKENS  # transformers writes 1e30 for "no limit"


def _pad_id(config: Mapping[str, Any], tokenizer: str) -> int:
    if isinstance(pad_id := config.get("pad_token_id"), int):
        return pad_id
    padding = json.loads(tokenizer).get("padding") or {}
    return int(padding.get("pad_id") or 0)


def _read_first(body: Path, folder: Path, name: str) -> Mapping[str, Any]:
    return _read_object(body / name) or _read_object(folder / name)


def _read_object(path: Path) -> Mapping[str, Any]:
    """A parsed JSON object; empty if the file is absent; ValueError if it is damaged."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged")
    return value

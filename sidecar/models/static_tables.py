"""Finds the files of a static model: a table of word vectors, and the tokenizer that it belongs to.

Two layouts are published:

- model2vec: a folder with `model.safetensors` (the table is `embeddings`) and `tokenizer.json`;
- wordllama: a package with one `*.safetensors` (the table is `embedding.weight`) and, in another
  folder, one `*tokenizer_config.json`, which the `tokenizers` library reads too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b, file_digest
from pathlib import Path

from sidecar.models.package_files import list_package_files

_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json")
_MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class TableFiles:
    """The two files of a static model."""

    table: Path
    tokenizer: Path

    @property
    def folder(self) -> Path:
        """The folder of the table."""
        return self.table.parent

    def digest(self) -> str:
        """Digest of both files' content."""
        whole = blake2b(digest_size=16)
        for path in (self.table, self.tokenizer):
            with path.open("rb") as file:
                whole.update(file_digest(file, "blake2b").digest())
        return whole.hexdigest()


def find_in_package(name: str) -> TableFiles:
    """The files in an installed package; raises ValueError, with what to do."""
    return _choose(f"package {name!r}", list_package_files(name))


def find_in_folder(folder: Path) -> TableFiles:
    """The files in a folder or in the folders directly below it; raises ValueError."""
    found: list[Path] = []
    for pattern in ("*", "*/*"):
        for path in folder.glob(pattern):
            found.append(path)
            if len(found) > _MOST_FILES:
                raise ValueError(f"{folder} has too many files to be a model's folder")
    return _choose(str(folder), found)


def _choose(place: str, files: Iterable[Path]) -> TableFiles:
    """The one table and the one tokenizer; `tokenizer.json` wins over files of similar names."""
    listed = [path for path in files if path.suffix in (".safetensors", ".json")]
    tables = [path for path in listed if path.suffix == ".safetensors" and path.is_file()]
    if len(tables) != 1:
        raise ValueError(f"{place} has {len(tables)} files *.safetensors; a static model has one")
    for ending in _TOKENIZERS:
        named = [path for path in listed if path.name.endswith(ending) and path.is_file()]
        if len(named) > 1:
            raise ValueError(f"{place} has {len(named)} files *{ending}; a static model has one")
        if named:
            return TableFiles(tables[0], named[0])
    raise ValueError(f"{place} has no tokenizer for the table: no file *{_TOKENIZERS[0]}")

"""Models in jar and zip files, and archives without one."""

import zipfile
from pathlib import Path

import pytest

from sidecar.config.main_file import Model
from sidecar.models.archives import unpack_archive
from sidecar.models.sources import check_source


def make(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def check(path: Path, **settings: object) -> str | None:
    source = {"kind": "bi-encoder", "source": f"./{path.name}"}
    return check_source(Model.model_validate({**source, **settings}), path.parent)


def test_the_models_files_are_taken_by_their_roles(tmp_path: Path) -> None:
    jar = make(tmp_path / "a.jar", "x/e5.onnx", "x/e5-tokenizer.json", "x/config.json", "A.class")
    assert check(jar) is None
    folder = unpack_archive(jar, tmp_path / "out")
    contents = {path.name: path.read_text() for path in folder.iterdir()}
    assert contents == {
        "model.onnx": "x/e5.onnx",
        "tokenizer.json": "x/e5-tokenizer.json",
        "config.json": "x/config.json",
    }
    assert [path.name for path in (tmp_path / "out").iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("tokenizer.json",), "has 0 ONNX graphs"),
        (("a.onnx", "b.onnx", "tokenizer.json"), "has 2 ONNX graphs"),
        (("a.onnx",), "has 0 files *tokenizer.json"),
    ],
)
def test_an_archive_without_a_model_is_refused(
    names: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    assert told in (check(make(tmp_path / "a.zip", *names)) or "")


def test_names_in_an_archive_are_no_paths(tmp_path: Path) -> None:
    jar = make(tmp_path / "a.jar", "../../up.onnx", "../../tokenizer.json")
    folder = unpack_archive(jar, tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "tokenizer.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jar", "out"]


def test_a_damaged_archive_and_a_missing_one_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jar"
    assert "there is no file" in (check(path) or "")
    path.write_bytes(b"no archive")
    assert "is damaged" in (check(path) or "")


def test_only_openvino_reads_an_archive(tmp_path: Path) -> None:
    jar = make(tmp_path / "a.jar", "e5.onnx", "tokenizer.json")
    told = check(jar, backend="sentence-transformers") or ""
    assert "write backend: openvino" in told

"""The sidecar prepares and serves a model where torch is not installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.tiny_models import build_bi_encoder

ROOT = Path(__file__).parents[2]
HIDDEN = {"torch", "transformers", "sentence_transformers", "nncf", "onnx"}


def test_prepare_search_rerank_and_kendra_need_no_torch(tmp_path: Path) -> None:
    model = build_bi_encoder(tmp_path / "published", pooling="cls")
    work = tmp_path / "work"
    work.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "without_torch"), str(ROOT)]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.without_torch", str(work), str(model)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert "words: prepared in" in answer["prepared"]
    assert answer["rescored"] >= 4  # the query text and three passages
    names = ["sea", "shoes", "tree"]
    assert sorted(answer["search"]) == names
    assert sorted(answer["rerank"]) == [0, 1, 2]
    assert sorted(set(answer["kendra"])) == names  # one is an answer and a document
    assert not HIDDEN & set(answer["imported"])

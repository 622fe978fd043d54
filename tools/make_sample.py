"""Rebuild the demo's collection, `sidecar/sample/`, from a whole SciFact in BEIR's layout.

    python tools/make_sample.py FOLDER

FOLDER holds `corpus.jsonl` (or `.jsonl.gz`), `queries.jsonl` and `qrels.tsv` of BEIR's test split.
The rule, which looks at no model's scores:

1. every judged query and every judgment is taken;
2. so is every document that a judgment names;
3. then each query's documents in the order of BM25, first the best of every query, then the
   second best of every query and so on, until there are `DOCUMENTS` documents.

The same input gives the same bytes.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

DOCUMENTS = 1000
TARGET = Path(__file__).parent.parent / "sidecar" / "sample"

# Robertson's BM25 with Lucene's idf, which is never negative, and Lucene's default parameters.
K1, B = 1.2, 0.75
DEPTH = 100


def read_lines(path: Path) -> list[dict[str, Any]]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def bm25_orders(corpus: dict[str, str], queries: dict[str, str]) -> Iterator[list[str]]:
    """For each query the ids of its best `DEPTH` documents; equal scores by id."""
    postings: dict[str, dict[str, int]] = defaultdict(dict)
    lengths: dict[str, int] = {}
    for identifier, text in corpus.items():
        counts = Counter(words(text))
        lengths[identifier] = counts.total()
        for word, count in counts.items():
            postings[word][identifier] = count
    mean_length = sum(lengths.values()) / len(lengths)
    for query in queries.values():
        scores: dict[str, float] = defaultdict(float)
        for word in words(query):
            found = postings.get(word, {})
            idf = math.log(1 + (len(corpus) - len(found) + 0.5) / (len(found) + 0.5))
            for identifier, count in found.items():
                norm = K1 * (1 - B + B * lengths[identifier] / mean_length)
                scores[identifier] += idf * count / (count + norm)
        yield sorted(scores, key=lambda identifier: (-scores[identifier], identifier))[:DEPTH]


def choose(judged: list[str], orders: list[list[str]], count: int) -> set[str]:
    """The judged ids, then the orders' ids rank by rank, until there are `count`."""
    chosen = set(judged)
    for rank in range(DEPTH):
        for order in orders:
            if len(chosen) >= count:
                return chosen
            chosen.update(islice(order, rank, rank + 1))
    return chosen


def main(folder: Path, target: Path, count: int) -> None:
    """Write the sample of the collection in `folder` into the folder `target`."""
    packed = folder / "corpus.jsonl.gz"
    entries = read_lines(packed if packed.exists() else folder / "corpus.jsonl")
    qrels = [line.split("\t") for line in (folder / "qrels.tsv").read_text().splitlines()[1:]]
    judged_queries = {query for query, _, _ in qrels}
    queries = {
        entry["_id"]: entry["text"]
        for entry in read_lines(folder / "queries.jsonl")
        if entry["_id"] in judged_queries
    }
    corpus = {entry["_id"]: f"{entry['title']} {entry['text']}" for entry in entries}
    orders = list(bm25_orders(corpus, queries))
    chosen = choose([document for _, document, _ in qrels], orders, count)

    lines = [
        json.dumps({key: entry[key] for key in ("_id", "title", "text")}, ensure_ascii=False)
        for entry in entries
        if entry["_id"] in chosen
    ]
    # Without a time in it, the archive is the same whenever it is made.
    archive = gzip.compress("".join(f"{line}\n" for line in lines).encode(), 9, mtime=0)
    (target / "corpus.jsonl.gz").write_bytes(archive)
    (target / "queries.jsonl").write_text(
        "".join(
            json.dumps({"_id": identifier, "text": text}, ensure_ascii=False) + "\n"
            for identifier, text in queries.items()
        )
    )
    (target / "qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join("\t".join(line) + "\n" for line in qrels)
    )
    print(f"{len(lines)} documents, {len(queries)} queries, {len(qrels)} judgments in {target}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/make_sample.py FOLDER")
    main(Path(sys.argv[1]), TARGET, DOCUMENTS)

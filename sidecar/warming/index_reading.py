"""Reads an index's documents page by page, as they are at one moment.

A point in time holds that moment. Pages follow the sequence number, with which every shard counts
its writes, so that reading can resume after any page in another point in time. Several shards use
the same numbers, so each page begins again with the last number of the page before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.hits import Hit

PAGE = 200
"""Documents per page; more than an index has shards, so that each page makes progress."""

_KEEP_ALIVE = "5m"


class IndexUnreadable(Exception):
    """The index cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some documents as hits, and the sequence number to read next; None after the last page."""

    hits: Sequence[Hit]
    next_number: int | None


@dataclass(frozen=True, slots=True)
class IndexShards:
    """One index: its name and UUID, and up to which sequence number each shard has every write."""

    name: str
    uuid: str
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Slice:
    """One of several parts of an index, which together have each document once; from 1."""

    number: int = 1
    count: int = 1


class IndexReading:
    """An index, alias, or list of these, read with the sidecar's account. Every call blocks."""

    def __init__(
        self, client: Any, index: str, fields: Sequence[str], part: Slice | None = None
    ) -> None:
        """`client` is an opensearch-py client; `fields` are the fields of `_source` to read.

        `part`: the slice that `read_page` reads.
        """
        self.part = part or Slice()
        self._client = client
        self._index = index
        self._fields = list(fields)
        self._point_in_time: str | None = None
        # The documents with the last page's last number; the next page begins with them.
        self._given: set[tuple[str, str]] = set()

    def identity(self) -> str:
        """The UUIDs of these indexes; a name alone could be used again for another index."""
        answer = self._ask(
            "GET",
            f"/{self._index}/_settings/index.uuid",
        )
        uuids = (settings["settings"]["index"]["uuid"] for settings in answer.values())
        return " ".join(sorted(uuids))

    def count(self) -> int:
        """The number of documents."""
        return int(self._ask("GET", f"/{self._index}/_count")["count"])

    def sample(self, size: int) -> list[Hit]:
        """Some documents, chosen at random."""
        drawn: dict[str, object] = {"query": {"match_all": {}}, "random_score": {}}
        body = {
            "size": size,
            "query": {"function_score": drawn},
            "_source": self._fields,
            "track_total_hits": False,
        }
        return read_hits(self._ask("POST", f"/{self._index}/_search", body)["hits"]["hits"])

    def sample_page(self, seed: int, start: int, size: int = PAGE) -> list[Hit]:
        """Documents `start` to `start + size` of a random order, the same order for one seed.

        OpenSearch gives at most 10,000 documents of an order in this way.
        """
        drawn = {"seed": seed, "field": "_seq_no"}
        body = {
            "from": start,
            "size": size,
            "query": {"function_score": {"query": {"match_all": {}}, "random_score": drawn}},
            "_source": self._fields,
            "track_total_hits": False,
        }
        return read_hits(self._ask("POST", f"/{self._index}/_search", body)["hits"]["hits"])

    def read_page(self, number: int, size: int = PAGE) -> DocumentPage:
        """The documents from this sequence number on."""
        if self._point_in_time is None:
            path = f"/{self._index}/_search/point_in_time?keep_alive={_KEEP_ALIVE}"
            self._point_in_time = str(self._ask("POST", path)["pit_id"])
        body: dict[str, Any] = {
            "size": size,
            "pit": {"id": self._point_in_time, "keep_alive": _KEEP_ALIVE},
            "sort": [{"_seq_no": "asc"}],
            "search_after": [number - 1],
            "_source": self._fields,
            "track_total_hits": False,
        }
        if self.part.count > 1:
            body["slice"] = {"id": self.part.number - 1, "max": self.part.count}
        answer = self._ask("POST", "/_search", body)
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise IndexUnreadable(f"{self._index}: not all shards answered; try again later")
        self._point_in_time = answer.get("pit_id", self._point_in_time)
        hits = answer["hits"]["hits"]
        new = [hit for hit in hits if (hit["_index"], hit["_id"]) not in self._given]
        if len(hits) < size:
            return DocumentPage(read_hits(new), None)
        last = hits[-1]["sort"][0]
        if last == hits[0]["sort"][0]:
            raise IndexUnreadable(f"{self._index}: it has more than {size} shards")
        self._given = {(hit["_index"], hit["_id"]) for hit in hits if hit["sort"][0] == last}
        return DocumentPage(read_hits(new), int(last))

    def shards(self) -> list[IndexShards]:
        """The shards of each index, as they are now; searches that follow find all these writes."""
        answer = self._ask("GET", f"/{self._index}/_stats/docs?level=shards")
        shards = [
            IndexShards(name, str(index["uuid"]), _complete_numbers(index["shards"]))
            for name, index in answer["indices"].items()
        ]
        self._ask("POST", f"/{self._index}/_refresh")
        return shards

    def read_shard(
        self, index: str, shard: str, first: int, size: int
    ) -> Sequence[Mapping[str, Any]]:
        """The documents of one shard from this sequence number on, in its order."""
        body = {
            "size": size,
            "query": {"range": {"_seq_no": {"gte": first}}},
            "sort": [{"_seq_no": "asc"}],
            "_source": self._fields,
            "track_total_hits": False,
        }
        answer = self._ask("POST", f"/{index}/_search?preference=_shards:{shard}", body)
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise IndexUnreadable(f"{index}: shard {shard} did not answer; try again later")
        hits: Sequence[Mapping[str, Any]] = answer["hits"]["hits"]
        return hits

    def search(self, body: Mapping[str, Any]) -> list[Hit]:
        """The hits of a search, with the fields to read."""
        asked = {**body, "_source": self._fields, "track_total_hits": False}
        return read_hits(self._ask("POST", f"/{self._index}/_search", asked)["hits"]["hits"])

    def close(self) -> None:
        """Delete the point in time, and close the client."""
        from opensearchpy.exceptions import OpenSearchException

        if self._point_in_time is not None:
            try:
                body = {"pit_id": [self._point_in_time]}
                self._client.transport.perform_request(
                    "DELETE", "/_search/point_in_time", body=body
                )
            except OpenSearchException:
                pass  # it expires after a few minutes
        self._client.close()

    def _ask(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        from opensearchpy.exceptions import NotFoundError, OpenSearchException, TransportError

        try:
            answer: Mapping[str, Any] = self._client.transport.perform_request(
                method, path, body=body
            )
        except NotFoundError as error:
            raise IndexUnreadable(
                f"{self._index}: there is no such index ({error.error})"
            ) from None
        except TransportError as error:
            hint = ""
            if error.status_code in (401, 403):
                hint = (
                    "; upstream.username needs the right to read it and to create a point in time"
                )
            problem = f"OpenSearch says {error.status_code} {error.error}"
            raise IndexUnreadable(f"{self._index}: {problem}{hint}") from None
        except OpenSearchException as error:
            raise IndexUnreadable(f"{self._index}: {error}") from None
        return answer


def _complete_numbers(shards: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, int]:
    """Up to which number all copies of each shard have every write; -1 for one without any."""
    return {
        shard: min(int(copy.get("seq_no", {}).get("local_checkpoint", -1)) for copy in copies)
        for shard, copies in shards.items()
        if copies
    }


def read_hits(hits: Sequence[Mapping[str, Any]]) -> list[Hit]:
    """Hits of an answer for the ranking core; their scores are left out."""
    return [Hit(position, 0.0, hit.get("_source") or {}) for position, hit in enumerate(hits)]

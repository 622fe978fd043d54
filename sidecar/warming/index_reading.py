"""An index's documents, page by page, as they stood at one moment.

A point in time holds that moment; pages follow the sequence number that every shard counts its
writes with, so that reading can go on behind any page in another point in time. Numbers repeat
from shard to shard, so each page begins with the last one's last number again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.hits import Hit

PAGE = 200
"""Documents of a page; more than an index has shards, so that each page goes further."""

_KEEP_ALIVE = "5m"


class IndexUnreadable(Exception):
    """The index cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some documents as hits, and the sequence number to go on from; None after the last page."""

    hits: Sequence[Hit]
    next_number: int | None


class IndexReading:
    """One index, alias or list of them, by the sidecar's own account. Every call blocks."""

    def __init__(self, client: Any, index: str, fields: Sequence[str]) -> None:
        """`client` is an opensearch-py client; `fields` of `_source` are read."""
        self._client = client
        self._index = index
        self._fields = list(fields)
        self._point_in_time: str | None = None
        # The documents of the last page's last number, which the next page begins with.
        self._given: set[tuple[str, str]] = set()

    def identity(self) -> str:
        """Which indices these are: their names and, as a name may be used again, their UUIDs."""
        found = self._ask(
            "GET",
            f"/{self._index}/_settings/index.uuid",
        )
        uuids = (settings["settings"]["index"]["uuid"] for settings in found.values())
        return " ".join(sorted(uuids))

    def count(self) -> int:
        """How many documents it has."""
        return int(self._ask("GET", f"/{self._index}/_count")["count"])

    def sample(self, size: int) -> list[Hit]:
        """Some documents drawn by chance."""
        drawn: dict[str, object] = {"query": {"match_all": {}}, "random_score": {}}
        body = {
            "size": size,
            "query": {"function_score": drawn},
            "_source": self._fields,
            "track_total_hits": False,
        }
        return _hits(self._ask("POST", f"/{self._index}/_search", body)["hits"]["hits"])

    def read_page(self, number: int, size: int = PAGE) -> Page:
        """The documents from this sequence number on."""
        if self._point_in_time is None:
            path = f"/{self._index}/_search/point_in_time?keep_alive={_KEEP_ALIVE}"
            self._point_in_time = str(self._ask("POST", path)["pit_id"])
        body = {
            "size": size,
            "pit": {"id": self._point_in_time, "keep_alive": _KEEP_ALIVE},
            "sort": [{"_seq_no": "asc"}],
            "search_after": [number - 1],
            "_source": self._fields,
            "track_total_hits": False,
        }
        answer = self._ask("POST", "/_search", body)
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise IndexUnreadable(f"{self._index}: not all shards answered; try again later")
        self._point_in_time = answer.get("pit_id", self._point_in_time)
        found = answer["hits"]["hits"]
        new = [hit for hit in found if (hit["_index"], hit["_id"]) not in self._given]
        if len(found) < size:
            return Page(_hits(new), None)
        last = found[-1]["sort"][0]
        if last == found[0]["sort"][0]:
            raise IndexUnreadable(f"{self._index}: it has more than {size} shards")
        self._given = {(hit["_index"], hit["_id"]) for hit in found if hit["sort"][0] == last}
        return Page(_hits(new), int(last))

    def close(self) -> None:
        """Let go of the point in time."""
        from opensearchpy.exceptions import OpenSearchException

        if self._point_in_time is not None:
            try:
                body = {"pit_id": [self._point_in_time]}
                self._client.transport.perform_request(
                    "DELETE", "/_search/point_in_time", body=body
                )
            except OpenSearchException:
                pass  # it ends by itself after a few minutes
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
                hint = "; upstream.username needs the right to read it and to hold a point in time"
            said = f"OpenSearch says {error.status_code} {error.error}"
            raise IndexUnreadable(f"{self._index}: {said}{hint}") from None
        except OpenSearchException as error:
            raise IndexUnreadable(f"{self._index}: {error}") from None
        return answer


def _hits(found: Sequence[Mapping[str, Any]]) -> list[Hit]:
    return [Hit(position, 0.0, hit.get("_source") or {}) for position, hit in enumerate(found)]

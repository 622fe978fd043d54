"""One exchange with OpenSearch: a `_search`, or an `_msearch` if a request needs several searches.

An error of OpenSearch becomes an error of the service. OpenSearch's own words go to the log only,
because they name fields and indexes that the caller may not know.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from sidecar.aws.errors import access_denied, internal, not_found, throttled
from sidecar.aws.json import AwsError
from sidecar.opensearch.exchange import ForwardUnchanged, decode_answer, run_unless_busy
from sidecar.relay.errors import ResponseTooLarge, UpstreamError
from sidecar.relay.front import Exchanger, Response

ANSWER_LIMIT = 64 << 20
"""Maximum size of an answer in bytes."""

_SMALL_CALL_S = 1.0
_LOGGED_CHARACTERS = 500
_NOTHING: Final[Mapping[str, Any]] = {"hits": {"hits": []}}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexSearch:
    """A search of one index.

    Searches with the same `preference` go to the same copies of the shards, so that documents with
    equal scores keep their order from page to page.
    """

    index: str
    body: Mapping[str, Any]
    preference: str


@dataclass(frozen=True, slots=True)
class UpstreamSearch:
    """Searches OpenSearch. `host` is the value of the Host field.

    `deadline_s`: maximum seconds of one search.
    """

    upstream: Exchanger
    host: str
    deadline_s: float

    async def run(self, searches: Sequence[IndexSearch], account: str | None) -> bytes:
        """Send these searches; returns the body for `read_answers`. Raises AwsError."""
        head, body = write_exchange(searches, self.host, account)
        try:
            async with asyncio.timeout(self.deadline_s):
                response = await self.upstream.exchange(head, body, limit=ANSWER_LIMIT)
        except TimeoutError:
            _log.error("OpenSearch did not answer within %.1f seconds", self.deadline_s)
            raise internal("OpenSearch did not answer in time; try again.") from None
        except ResponseTooLarge:
            _log.error("OpenSearch's answer is larger than %d bytes", ANSWER_LIMIT)
            raise internal() from None
        except UpstreamError as error:
            _log.error("OpenSearch cannot be reached: %s", error)
            raise internal("OpenSearch cannot be reached; try again.") from None
        if response.head.status != 200:
            raise _refusal(response.head.status, response.body.decode("utf-8", "replace"))
        try:
            return (await decode_answer(response))[0]
        except ForwardUnchanged as unreadable:
            if unreadable.reason == "busy":
                raise throttled(
                    "The sidecar has too much to do at the moment; try again."
                ) from None
            _log.error("OpenSearch's answer cannot be read: %s", unreadable.reason)
            raise internal() from None

    async def analyze(
        self, index: str, body: Mapping[str, Any], account: str | None
    ) -> Mapping[str, Any] | None:
        """The answer to an `_analyze` of one index; None if it fails."""
        target = f"/{quote(index, safe='')}/_analyze"
        response = await self._call("POST", target, _write(body), account)
        return await _read_object(response) if response and response.head.status == 200 else None

    async def mappings(self, index: str, account: str | None) -> Mapping[str, Any] | None:
        """The mapping of each index behind a name; empty if there is no such index.

        None if OpenSearch does not answer, or refuses the account.
        """
        target = f"/{quote(index, safe='')}/_mapping"
        response = await self._call("GET", target, b"", account)
        if response is None or response.head.status not in (200, 404):
            return None
        return {} if response.head.status == 404 else await _read_object(response)

    async def _call(
        self, method: str, target: str, body: bytes, account: str | None
    ) -> Response | None:
        """The answer to a call that is not essential; None if there is no answer in time."""
        head = _write_head(method, target, "json", len(body), self.host, account)
        try:
            async with asyncio.timeout(_SMALL_CALL_S):
                return await self.upstream.exchange(head, body, limit=ANSWER_LIMIT)
        except (TimeoutError, UpstreamError) as error:
            _log.info("%s %s failed: %s", method, target, error or type(error).__name__)
        return None


def write_exchange(
    searches: Sequence[IndexSearch], host: str, account: str | None
) -> tuple[bytes, bytes]:
    """Head and body of the one HTTP request for these searches."""
    if len(searches) == 1:
        [search] = searches
        index, preference = quote(search.index, safe=""), quote(search.preference, safe="")
        target = f"/{index}/_search?preference={preference}"
        kind, body = "json", _write(search.body)
    else:
        target, kind = "/_msearch", "x-ndjson"
        lines = (
            _write({"index": search.index, "preference": search.preference})
            + b"\n"
            + _write(search.body)
            + b"\n"
            for search in searches
        )
        body = b"".join(lines)
    return _write_head("POST", target, kind, len(body), host, account), body


def read_answers(content: bytes, count: int) -> list[Mapping[str, Any]]:
    """The answer to each of `count` searches, in order. Raises AwsError if the first one failed.

    If another search failed, its answer has no hits: the others only add to the first one's
    results. May run in any thread.
    """
    try:
        whole = json.loads(content)
        first, *others = [whole] if count == 1 else whole["responses"]
        if "error" in first:
            raise _refusal(first.get("status", 500), json.dumps(first["error"]))
        for answer in others:
            if "error" in answer:
                _refusal(answer.get("status", 500), json.dumps(answer["error"]))
        answers = [first, *(_NOTHING if "error" in answer else answer for answer in others)]
        for answer in answers:
            if answer.get("_shards", {}).get("failed"):
                # The hits of the other shards are better than no hits.
                _log.warning("%d shards failed", answer["_shards"]["failed"])
            _ = answer["hits"]["hits"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        _log.error("OpenSearch's answer is not an answer to a search")
        raise internal() from None
    return answers


async def _read_object(response: Response) -> Mapping[str, Any] | None:
    try:
        content, _ = await decode_answer(response)
        answer = await run_unless_busy(len(content), lambda: json.loads(content))
    except (ForwardUnchanged, ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _write_head(
    method: str, target: str, kind: str, length: int, host: str, account: str | None
) -> bytes:
    fields = [
        f"{method} {target} HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: application/{kind}",
        f"Content-Length: {length}",
        *([f"Authorization: {account}"] if account else []),
    ]
    return "\r\n".join([*fields, "", ""]).encode("latin-1")


def _write(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _refusal(status: int, words: str) -> AwsError:
    _log.error("OpenSearch answered %d: %s", status, words[:_LOGGED_CHARACTERS])
    if status == 429:
        return throttled("OpenSearch has too much to do at the moment; try again.")
    if status in (401, 403):
        return access_denied("OpenSearch refuses the account that this index is searched with.")
    if status == 404:
        return not_found("The OpenSearch index behind this index does not exist.")
    return internal()

"""Reads from the cluster within bounds; words what goes wrong, and what to do about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientResponse,
    ClientSession,
)

from sidecar.api.json_bodies import TooManyValues, parse_json

TIMEOUT_SECONDS: Final = 20.0
"""Maximum duration of one request."""

_MOST_BYTES: Final = 32 << 20
_MOST_VALUES: Final = 2_000_000
_SAMPLE_SIZES: Final = (50, 10, 2)
# Sampling looks at this number of documents per shard at most, so that it is cheap everywhere.
_MOST_DRAWN: Final = 20_000


class ClusterUnreadable(Exception):
    """The cluster or an index cannot be read; the message says what to do."""


class AnswerTooLarge(ClusterUnreadable):
    """An answer is larger than 32 MiB or has more than 2,000,000 values."""


class ClusterReading:
    """A cluster, read with one account. Every method raises ClusterUnreadable."""

    def __init__(self, session: ClientSession, url: str, username: str | None) -> None:
        """`session` has the account's credentials; `username` is for messages only."""
        self._session = session
        self._url = url
        self._username = username

    async def check_access(self) -> None:
        """Find out whether OpenSearch answers there, and accepts the account."""
        answer = await self._ask("GET", "/", accepts=(200, 403))
        if not isinstance(answer, dict):
            raise ClusterUnreadable(f"{self._url}: this is not OpenSearch; check host and port")

    async def resolve(self, names: Sequence[str]) -> Mapping[str, Any]:
        """The indexes, aliases and data streams behind names; names may have wildcards.

        An empty object if there are none.
        """
        target = f"/_resolve/index/{_path(names)}?expand_wildcards=all"
        answer = await self._ask("GET", target, accepts=(200, 404))
        return answer if isinstance(answer, dict) and "indices" in answer else {}

    async def mappings(self, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """The mapping of each open index behind these names."""
        target = f"/{_path(names)}/_mapping?expand_wildcards=open&filter_path=*.mappings"
        answer = await self._ask("GET", target, accepts=(200, 404))
        if not isinstance(answer, dict):
            return {}
        return {
            name: found["mappings"]
            for name, found in answer.items()
            if isinstance(found, dict) and isinstance(found.get("mappings"), dict)
        }

    async def count(self, names: Sequence[str]) -> int | None:
        """The number of documents; None if the account may not know it."""
        try:
            answer = await self._ask("GET", f"/{_path(names)}/_count", accepts=(200,))
        except ClusterUnreadable:
            return None
        count = answer.get("count") if isinstance(answer, dict) else None
        return count if isinstance(count, int) else None

    async def sample(self, names: Sequence[str], fields: Sequence[str]) -> list[Mapping[str, Any]]:
        """Up to 50 sources, drawn at random but always the same; fewer if they are very large."""
        target = f"/{_path(names)}/_search?expand_wildcards=open"
        for size in _SAMPLE_SIZES:
            body = {
                "size": size,
                "query": {
                    "function_score": {
                        "query": {"match_all": {}},
                        "random_score": {"seed": 1, "field": "_seq_no"},
                        "boost_mode": "replace",
                    }
                },
                "_source": list(fields),
                "track_total_hits": False,
                "terminate_after": _MOST_DRAWN,
                "timeout": "10s",
            }
            try:
                answer = await self._ask("POST", target, body)
            except AnswerTooLarge:
                continue
            outer = answer.get("hits") if isinstance(answer, dict) else None
            hits = outer.get("hits") if isinstance(outer, dict) else None
            found = hits if isinstance(hits, list) else []
            sources = (hit.get("_source") for hit in found if isinstance(hit, dict))
            return [source for source in sources if isinstance(source, dict) and source]
        raise AnswerTooLarge(f"two of its documents are larger than {_MOST_BYTES >> 20} MiB")

    async def _ask(
        self, method: str, target: str, body: object = None, accepts: Sequence[int] = (200,)
    ) -> Any:
        headers = {"Content-Type": "application/json"} if body is not None else None
        data = None if body is None else json.dumps(body)
        try:
            async with self._session.request(
                method, self._url + target, data=data, headers=headers, allow_redirects=False
            ) as response:
                content = await _read(response)
                status = response.status
        except (ClientError, TimeoutError, OSError) as error:
            raise ClusterUnreadable(f"{self._url}: {_why_unreachable(error, self._url)}") from None
        if status not in accepts:
            raise ClusterUnreadable(f"{self._url}: {self._why_refused(status, content)}")
        try:
            return await asyncio.to_thread(parse_json, content, _MOST_VALUES)
        except TooManyValues:
            raise AnswerTooLarge(
                f"{self._url}: an answer has more than {_MOST_VALUES} values; name indexes with"
                " --index"
            ) from None
        except (ValueError, RecursionError):
            raise ClusterUnreadable(
                f"{self._url}: this is not OpenSearch; check host and port"
            ) from None

    def _why_refused(self, status: int, content: bytes) -> str:
        if status == 401 and self._username is None:
            return "asks for an account (401); name one with --username"
        if status == 401:
            return f"refuses the account {self._username} (401); check its name and password"
        if status == 403:
            return (
                f"does not allow this to the account {self._username or 'without a name'} (403):"
                f" {_reason(content)}; name indexes that it may read with --index, or give it the"
                " rights indices:admin/resolve/index, indices:admin/mappings/get and read"
            )
        return f"answers {status}: {_reason(content)}"


def _path(names: Sequence[str]) -> str:
    return ",".join(quote(name, safe="*") for name in names)


async def _read(response: ClientResponse) -> bytes:
    """The body; raises AnswerTooLarge beyond the bound."""
    parts = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > _MOST_BYTES:
            raise AnswerTooLarge(
                f"{response.url.origin()}: an answer is larger than {_MOST_BYTES >> 20} MiB; name"
                " indexes with --index"
            )
        parts.append(part)
    return b"".join(parts)


def _reason(content: bytes) -> str:
    """OpenSearch's own words for an error, at most 200 characters in one line."""
    try:
        error = json.loads(content[:100_000])["error"]
        said = error["reason"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError, RecursionError):
        said = content[:200].decode("utf-8", "replace")
    return " ".join(str(said).split())[:200] or "no reason given"


def _why_unreachable(error: Exception, url: str) -> str:
    if isinstance(error, ClientConnectorCertificateError):
        return (
            "its certificate is not trusted; name the file of its authority with --ca-file (or, to"
            " try it out, add --insecure)"
        )
    if isinstance(error, ClientConnectorSSLError):
        return "does not speak TLS; write http:// instead of https://"
    if isinstance(error, TimeoutError):
        return f"does not answer within {TIMEOUT_SECONDS:.0f} seconds"
    if isinstance(error, ClientConnectorError):
        return f"does not answer ({error.strerror or error.os_error}); is OpenSearch running there?"
    hint = "; does it want https://?" if url.startswith("http:") else ""
    return f"closed the connection ({type(error).__name__}){hint}"

"""The front before all others, for a managed OpenSearch: nothing passes without the sidecar's word.

It takes every request. A request that is not verified gets a 403 in the shape of AWS's errors. A
verified one is handed to the fronts behind, without its signature; whatever is then forwarded has
the sidecar's signature.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from sidecar.aws.json import AwsError, write_json
from sidecar.config.resigning import Resign
from sidecar.event_loop.off_loop import ON_THE_LOOP, Busy, off_loop
from sidecar.relay.counts import Counts
from sidecar.relay.front import UNFINISHED_MB, Answer, Forward, Front, Request, Take
from sidecar.relay.heads import RequestHead
from sidecar.resigning.client_check import current_time, verify_client
from sidecar.resigning.credentials import ClientSecret, Refreshed
from sidecar.resigning.signer import SIGNATURE_FIELDS, Signer

_log: Final = logging.getLogger(__name__)

_THE_HOST: Final = b"host"


class ResigningFront:
    """Verifies and signs; the front `behind` does the rest. A `relay.front.Front`."""

    def __init__(
        self,
        behind: Front,
        resign: Resign,
        secrets: Refreshed[dict[str, ClientSecret]],
        signer: Signer,
        counts: Counts,
        clock: Callable[[], float] = current_time,
    ) -> None:
        """`clock` returns epoch seconds."""
        self._behind = behind
        self._resign = resign
        self._secrets = secrets
        self._signer = signer
        self._counts = counts
        self._clock = clock

    def takes(self, head: RequestHead) -> Take:
        """Every request: the signature covers its body."""
        return self._answer

    def too_large(self, head: RequestHead, key: str) -> Answer:
        """Refuse: a request that is not held in memory cannot be signed."""
        if key == UNFINISHED_MB:
            return _refuse(503, "ThrottlingException", f"too many large requests ({key})")
        message = "the body is larger than upstream.resign.body_mb of the sidecar allows"
        return _refuse(413, "RequestEntityTooLargeException", message)

    def answered(self, head: RequestHead, status: int) -> None:
        """Tell the front behind; for it, a caller has no signature."""
        fields = tuple(
            field for field in head.fields if field[0] == _THE_HOST or field[0] not in _SIGNATURE
        )
        self._behind.answered(head.replace(fields=fields), status)

    async def _answer(self, request: Request) -> Forward | Answer:
        try:
            verified = await self._verify(request)
        except AwsError as error:
            self._counts.failed("unverified_client")
            return _refuse(403, error.name, error.message)
        except Busy:
            return _refuse(503, "ThrottlingException", "too many large requests at a time")
        outcome = await self._ask_behind(verified)
        if isinstance(outcome, Answer):
            return outcome
        try:
            signed = await self._signer.sign(outcome.instead or verified)
        except Busy:
            outcome.tell_end(503, "busy")
            return _refuse(503, "ThrottlingException", "too many large requests at a time")
        except BaseException:
            outcome.tell_end(0, "not_signed")
            raise
        return replace(outcome, instead=signed)

    async def _verify(self, request: Request) -> Request:
        secrets = await self._secrets.current()
        now = self._clock()
        size = len(request.body) + request.head.length
        return await off_loop(
            size, lambda: verify_client(request, self._resign, secrets, now), ON_THE_LOOP
        )

    async def _ask_behind(self, verified: Request) -> Forward | Answer:
        try:
            take = self._behind.takes(verified.head)
            return Forward() if take is None else await take(verified)
        except Exception:
            _log.exception("rescoring failed; the search is signed and forwarded")
            self._counts.failed("front")
            return Forward()


_SIGNATURE: Final = SIGNATURE_FIELDS - {_THE_HOST}


def _refuse(status: int, name: str, message: str) -> Answer:
    body = write_json({"message": message, "__type": name})
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"x-amzn-ErrorType: {name}\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return Answer(head.encode(), body)

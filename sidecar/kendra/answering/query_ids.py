"""Query ids that carry the time of the query and a code that depends on its index.

Kendra's ids are random. These look the same (UUID version 4), but hold the second of the query, 38
random bits, and a code that only this key can make. So feedback is checked without a list of past
queries.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import uuid

from sidecar.process_secret import PROCESS_SECRET

_SIGNED = 9
_CODE = 7


class QueryIds:
    """Makes and reads query ids.

    Processes that accept each other's ids need the same `key`; workers of one parent need none.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or PROCESS_SECRET

    def new(self, index_id: str, now: float) -> str:
        """A new id; `now` is in epoch seconds."""
        start = int(now).to_bytes(4, "big") + os.urandom(12)
        signed = uuid.UUID(bytes=start, version=4).bytes[:_SIGNED]
        return str(uuid.UUID(bytes=signed + self._code(index_id, signed)))

    def given_at(self, index_id: str, query_id: str) -> int | None:
        """The epoch second in which this index made the id; None if this index did not make it."""
        try:
            content = uuid.UUID(query_id).bytes
        except ValueError:
            return None
        signed, code = content[:_SIGNED], content[_SIGNED:]
        if not hmac.compare_digest(code, self._code(index_id, signed)):
            return None
        return int.from_bytes(signed[:4], "big")

    def feedback_token(self, result_id: str) -> str:
        """The feedback token of one result. The id of a result begins with its query's id."""
        return hmac.new(self._key, b"result" + result_id.encode(), hashlib.sha256).hexdigest()

    def _code(self, index_id: str, signed: bytes) -> bytes:
        message = b"query" + index_id.encode() + signed
        return hmac.new(self._key, message, hashlib.sha256).digest()[:_CODE]


def result_id(query_id: str, kind: str, document_id: str, place: str = "") -> str:
    """The id of one result: the query's id, then a part made only of the other arguments."""
    name = "\0".join((kind, document_id, place))
    return f"{query_id}-{uuid.uuid5(uuid.NAMESPACE_OID, name)}"

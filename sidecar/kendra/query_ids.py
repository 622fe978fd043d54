"""Query ids that say by themselves when and for which index they were given out.

Kendra's are random; these look the same (UUID version 4) and carry the second, 38 random bits and
a code that only this key can make. So feedback is checked without keeping a list of queries.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import uuid

_SIGNED = 9
_CODE = 7


class QueryIds:
    """Makes and reads query ids; `key` is the same wherever ids of one another are accepted."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or os.urandom(32)

    def new(self, index_id: str, now: float) -> str:
        """An id given out at this moment, in epoch seconds."""
        start = int(now).to_bytes(4, "big") + os.urandom(12)
        signed = uuid.UUID(bytes=start, version=4).bytes[:_SIGNED]
        return str(uuid.UUID(bytes=signed + self._code(index_id, signed)))

    def given_at(self, index_id: str, query_id: str) -> int | None:
        """The second when this index gave the id out, None if it did not."""
        try:
            content = uuid.UUID(query_id).bytes
        except ValueError:
            return None
        signed, code = content[:_SIGNED], content[_SIGNED:]
        if not hmac.compare_digest(code, self._code(index_id, signed)):
            return None
        return int.from_bytes(signed[:4], "big")

    def feedback_token(self, result_id: str) -> str:
        """The token of one result, whose id begins with its query's."""
        return hmac.new(self._key, b"result" + result_id.encode(), hashlib.sha256).hexdigest()

    def _code(self, index_id: str, signed: bytes) -> bytes:
        message = b"query" + index_id.encode() + signed
        return hmac.new(self._key, message, hashlib.sha256).digest()[:_CODE]


def result_id(query_id: str, kind: str, document_id: str, place: str = "") -> str:
    """The id of one result: the query's, and one that is always the same for the same text."""
    name = "\0".join((kind, document_id, place))
    return f"{query_id}-{uuid.uuid5(uuid.NAMESPACE_OID, name)}"

"""Reading the body of an AWS request, up to a limit."""

from __future__ import annotations

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from sidecar.aws_json import unparseable


async def read_body(request: web.Request, most: int) -> bytes:
    """The whole body; raises AwsError when it is larger than `most` bytes or broken off."""
    body = bytearray()
    try:
        async for block in request.content.iter_any():
            body += block
            if len(body) > most:
                raise unparseable(f"The request body is larger than {most} bytes.")
    except (ClientPayloadError, HttpProcessingError, web.RequestPayloadError, ConnectionResetError):
        raise unparseable("The request body did not arrive as its header fields say.") from None
    return bytes(body)

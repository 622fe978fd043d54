"""The token of a request's user context: verified, and read for user and groups.

Signed tokens (JWT, RFC 7519) are verified with the shared secret or a key set (RFC 7517), with
their times, issuer and client. Kendra's JSON tokens have no signature, so anybody can write one:
they are refused unless the configuration says otherwise.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import aiohttp
import jwt

from sidecar.aws_errors import access_denied
from sidecar.aws_json import AwsError
from sidecar.config_kendra_users import UserTokens
from sidecar.kendra.user_context import Caller

_SHARED = ("HS256", "HS384", "HS512")
_PUBLIC = ("RS256", "RS384", "RS512")
_FETCH_SECONDS = 5.0
_LARGEST_KEY_SET = 1 << 20
# Neither made-up key ids nor a server that is down must make every request ask for the key set.
_SECONDS_BETWEEN_UNKNOWN = 10.0
_SECONDS_AFTER_FAILURE = 1.0

_log = logging.getLogger(__name__)


class UserTokenReader:
    """Reads the tokens of one index. Belongs to one event loop.

    `folder`: where a relative path of the key set starts. `clock` counts seconds.
    """

    def __init__(
        self, settings: UserTokens, folder: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._clock = clock
        self._keys: tuple[Mapping[str, Any], ...] = ()
        self._fetched = -inf
        self._tried = -inf
        self._fetching = asyncio.Lock()

    async def read(self, token: str) -> Caller:
        """Who the token says is asking; raises an AccessDeniedException for any bad token."""
        settings = self._settings
        if token.lstrip().startswith("{"):
            if not settings.unsigned_json:
                raise _denied("JSON tokens have no signature and are not accepted; send a JWT")
            claims = _read_json(token)
        else:
            claims = await self._verify(token)
        user = claims.get(settings.user_claim)
        if user is None and settings.unsigned_json:
            user = claims.get("username")
        return Caller(_read_user(user), _read_groups(claims.get(settings.group_claim)))

    async def _verify(self, token: str) -> Mapping[str, Any]:
        settings = self._settings
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm in _SHARED and settings.secret is not None:
                return self._check(token, settings.secret, _SHARED)
            if algorithm in _PUBLIC and settings.key_set is not None:
                for key in await self._find_keys(header.get("kid")):
                    try:
                        return self._check(token, key.key, (algorithm,))
                    except jwt.InvalidSignatureError:
                        continue
                raise _denied("no key of the key set fits the token's signature")
        except jwt.InvalidKeyError:
            raise _denied("the key that it is signed with is too short to be safe") from None
        except jwt.InvalidTokenError as error:
            raise _denied(_explain(error)) from None
        raise _denied("this index does not accept the token's algorithm")

    def _check(self, token: str, key: Any, algorithms: Sequence[str]) -> Mapping[str, Any]:
        settings = self._settings
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            issuer=settings.issuer,
            # The client may stand in one of three claims, so it is looked for below.
            options={
                "require": ["exp"],
                "verify_aud": False,
                "enforce_minimum_key_length": True,
            },
        )
        if settings.client_id is not None:
            audience = claims.get("aud")
            clients = audience if isinstance(audience, list) else [audience]
            if settings.client_id not in [*clients, claims.get("client_id"), claims.get("azp")]:
                raise _denied("it is for another client")
        return claims

    async def _find_keys(self, key_id: str | None) -> list[jwt.PyJWK]:
        """The keys that may have signed, by the id in the token's header if it has one."""
        if self._should_fetch(key_id):
            async with self._fetching:
                # Another request may have fetched them while this one waited.
                if self._should_fetch(key_id):
                    await self._fetch()
        if self._age() > self._settings.key_set_seconds:
            raise _denied("the key set cannot be read at the moment; see the sidecar's log")
        return [
            jwt.PyJWK(dict(key))
            for key in self._keys
            if key_id is None or key.get("kid") in (None, key_id)
        ]

    def _should_fetch(self, key_id: str | None) -> bool:
        since_tried = self._clock() - self._tried
        if self._age() > self._settings.key_set_seconds:
            return since_tried > _SECONDS_AFTER_FAILURE
        known = key_id is None or any(key.get("kid") == key_id for key in self._keys)
        return not known and since_tried > _SECONDS_BETWEEN_UNKNOWN

    def _age(self) -> float:
        return self._clock() - self._fetched

    async def _fetch(self) -> None:
        """Fetch the keys; a failure leaves those that are there, until they are too old."""
        source = self._settings.key_set
        assert source is not None  # asked for only where there is one
        try:
            self._keys = read_key_set(await load_key_set(source, self._folder))
            self._fetched = self._clock()
        except (OSError, ValueError, aiohttp.ClientError, TimeoutError) as error:
            _log.error("key set %s cannot be read: %s", source, error or type(error).__name__)
        finally:
            self._tried = self._clock()


async def load_key_set(source: str, folder: Path) -> bytes:
    """The bytes of a key set, by URL or from a file.

    Raises OSError, aiohttp.ClientError, TimeoutError, or ValueError for one that is too large.
    """
    if not source.startswith(("http://", "https://")):
        return await asyncio.to_thread((folder / source).read_bytes)
    limits = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=limits, raise_for_status=True) as session,
        session.get(source) as response,
    ):
        content = bytearray()
        async for block in response.content.iter_any():
            content += block
            if len(content) > _LARGEST_KEY_SET:
                raise ValueError("it is larger than 1 MiB")
        return bytes(content)


def read_key_set(content: bytes) -> tuple[Mapping[str, Any], ...]:
    """The RSA keys for signatures in a key set; raises ValueError if there is none."""
    try:
        keys = json.loads(content)["keys"]
        found = tuple(
            key
            for key in keys
            if key.get("kty") == "RSA" and key.get("use", "sig") == "sig" and jwt.PyJWK(key)
        )
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError):
        raise ValueError("it is no JSON Web Key Set") from None
    if not found:
        raise ValueError("it has no RSA key for signatures")
    return found


def check_key_set(settings: UserTokens, folder: Path) -> str | None:
    """What is wrong with the configured key set, None if nothing is. Blocking."""
    if settings.key_set is None:
        return None
    try:
        read_key_set(asyncio.run(load_key_set(settings.key_set, folder)))
    except (OSError, ValueError, aiohttp.ClientError, TimeoutError) as error:
        return f"key set {settings.key_set} cannot be read: {error or type(error).__name__}"
    return None


def _read_json(token: str) -> Mapping[str, Any]:
    try:
        claims = json.loads(token)
    except (ValueError, RecursionError):
        raise _denied("it is no JSON") from None
    assert isinstance(claims, dict)  # it begins with a brace
    return claims


def _read_user(value: object) -> str | None:
    if value is None or (isinstance(value, str) and value):
        return value
    raise _denied("its user is not a string")


def _read_groups(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    groups = [value] if isinstance(value, str) else value
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise _denied("its groups are not a list of strings")
    return tuple(filter(None, groups))


def _explain(error: jwt.InvalidTokenError) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired"
        case jwt.ImmatureSignatureError():
            return "it is not valid yet"
        case jwt.InvalidIssuerError():
            return "it is of another issuer"
        case jwt.MissingRequiredClaimError():
            return f"it lacks the claim {error.claim}"
        case jwt.InvalidSignatureError():
            return "its signature does not fit"
        case _:
            return "it is no valid JWT"


def _denied(why: str) -> AwsError:
    return access_denied(f"The user token is refused: {why}.")

"""Verifies the token of a request's user context, and reads its user and groups.

Signed tokens (JWT, RFC 7519) are verified with the shared secret or a key set (RFC 7517). Their
times, issuer and client are verified too. Kendra's JSON tokens have no signature, so anybody can
write one: they are refused unless the configuration allows them.
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

from sidecar.aws.errors import access_denied
from sidecar.aws.json import AwsError
from sidecar.config.kendra_users import UserTokens
from sidecar.kendra.indexes.user_context import Caller

_SHARED = ("HS256", "HS384", "HS512")
_PUBLIC = ("RS256", "RS384", "RS512")
_FETCH_SECONDS = 5.0
_LARGEST_KEY_SET = 1 << 20
# A request with an invented key id must not fetch the key set each time; nor must each request
# while the key set's server is down.
_SECONDS_BETWEEN_UNKNOWN = 10.0
_SECONDS_AFTER_FAILURE = 1.0

_log = logging.getLogger(__name__)


class UserTokenReader:
    """Reads the tokens of one index. Belongs to one event loop.

    A relative path of the key set starts at `folder`. `clock` returns seconds.
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
        """The user and groups of a token. Raises an AccessDeniedException if it is invalid."""
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
                raise _denied("no key of the key set matches its signature")
        except jwt.InvalidKeyError:
            raise _denied("its key is too short to be safe") from None
        except jwt.InvalidTokenError as error:
            raise _denied(_explain(error)) from None
        raise _denied("this index does not accept its algorithm")

    def _check(self, token: str, key: Any, algorithms: Sequence[str]) -> Mapping[str, Any]:
        settings = self._settings
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            issuer=settings.issuer,
            # The client id may be in one of three claims, so it is compared below.
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
        """The keys that may have signed the token: those with its key id, or all if it has none."""
        if self._should_fetch(key_id):
            async with self._fetching:
                # Another request may have fetched the keys while this one waited.
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
        """Fetch the keys. After a failure the old keys stay valid until they are too old."""
        source = self._settings.key_set
        assert source is not None  # it is called only if a key set is configured
        try:
            self._keys = read_key_set(await load_key_set(source, self._folder))
            self._fetched = self._clock()
        except (OSError, ValueError, aiohttp.ClientError, TimeoutError) as error:
            _log.error("key set %s cannot be read: %s", source, error or type(error).__name__)
        finally:
            self._tried = self._clock()


async def load_key_set(source: str, folder: Path) -> bytes:
    """The bytes of a key set, from a URL or a file.

    Raises OSError, aiohttp.ClientError, TimeoutError, and ValueError if it is too large.
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
    """The RSA keys for signatures in a key set. Raises ValueError if there is none."""
    try:
        keys = json.loads(content)["keys"]
        signing_keys = tuple(
            key
            for key in keys
            if key.get("kty") == "RSA" and key.get("use", "sig") == "sig" and jwt.PyJWK(key)
        )
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError):
        raise ValueError("it is not a JSON Web Key Set") from None
    if not signing_keys:
        raise ValueError("it has no RSA key for signatures")
    return signing_keys


def check_key_set(settings: UserTokens, folder: Path) -> str | None:
    """What is wrong with the configured key set; None if it is usable. Blocking."""
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
        raise _denied("it is not JSON") from None
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
            return "it has another issuer"
        case jwt.MissingRequiredClaimError():
            return f"it lacks the claim {error.claim}"
        case jwt.InvalidSignatureError():
            return "its signature is wrong"
        case _:
            return "it is not a valid JWT"


def _denied(why: str) -> AwsError:
    return access_denied(f"The user token is refused: {why}.")

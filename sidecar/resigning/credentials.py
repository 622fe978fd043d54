"""Reads the sidecar's AWS credentials and the secrets of the clients' keys.

Both may change while the sidecar runs: session tokens end after hours. So they are read again after
some seconds, in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from configparser import Error as ProfileError
from configparser import RawConfigParser
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

from sidecar.config.resigning import Resign, ResignCredentials

_log = logging.getLogger(__name__)

_FRESH_S: Final = 10.0
_LONGEST: Final = 16 << 10
"""Maximum bytes of a secret or token; session tokens have about 1,000."""

_NEEDS_BOTOCORE: Final = ("role_arn", "credential_process", "sso_session", "sso_start_url")


class BadCredentials(ValueError):
    """Credentials cannot be read; `key` is the path of the setting below `upstream.resign`."""

    def __init__(self, key: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.key = key


class Credentials(NamedTuple):
    """What the sidecar signs with."""

    access_key: str
    secret: str
    token: str | None


class ClientSecret(NamedTuple):
    """What a client signs with."""

    secret: str
    token: str | None


_T = TypeVar("_T")


class Refreshed(Generic[_T]):
    """A value that is read again once it is older than some seconds. Belongs to one event loop.

    If it cannot be read again, the value before stays, and the log says so.
    """

    def __init__(self, read: Callable[[], _T]) -> None:
        """Reads for the first time, and raises what `read` raises."""
        self._read = read
        self._value = read()
        self._until = time.monotonic() + _FRESH_S

    async def current(self) -> _T:
        """The value, at most some seconds old."""
        if time.monotonic() > self._until:
            # Others that need it meanwhile get the value before.
            self._until = time.monotonic() + _FRESH_S
            try:
                self._value = await asyncio.to_thread(self._read)
            except BadCredentials as error:
                _log.warning("upstream.resign.%s: %s", ".".join(error.key), error)
        return self._value


def find_credentials(settings: ResignCredentials, folder: Path) -> Callable[[], Credentials]:
    """A function that reads the sidecar's credentials, and raises BadCredentials.

    Relative paths start at `folder`. The function may block.
    """
    if settings.botocore:
        return _find_with_botocore(settings.profile)
    if settings.profile is not None:
        profile = settings.profile
        return lambda: _read_profile(profile)
    if settings.access_key_id is not None:
        return lambda: _read_files(settings, folder)
    return _read_environment


def find_client_secrets(resign: Resign, folder: Path) -> Callable[[], dict[str, ClientSecret]]:
    """A function that reads the secret of each client's key, and raises BadCredentials."""

    def read() -> dict[str, ClientSecret]:
        secrets = {}
        for name, key in resign.clients.keys.items():
            place = ("clients", "keys", name)
            token_file = key.session_token_file
            secrets[name] = ClientSecret(
                read_secret_file(folder / key.secret_file, place),
                None if token_file is None else read_secret_file(folder / token_file, place),
            )
        return secrets

    return read


def read_secret_file(path: Path, key: tuple[str, ...]) -> str:
    """The one line of a file. Raises BadCredentials, without its content."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
        text = content.decode("ascii").strip()
    except OSError as error:
        raise BadCredentials(key, f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    if len(content) > _LONGEST or not text or not text.isprintable() or " " in text:
        raise BadCredentials(key, f"{path} must contain one line with the secret, and nothing else")
    return text


def _read_files(settings: ResignCredentials, folder: Path) -> Credentials:
    assert settings.access_key_id is not None
    assert settings.secret_access_key_file is not None
    secret_key = ("credentials", "secret_access_key_file")
    secret = read_secret_file(folder / settings.secret_access_key_file, secret_key)
    token = None
    if settings.session_token_file is not None:
        token_key = ("credentials", "session_token_file")
        token = read_secret_file(folder / settings.session_token_file, token_key)
    return Credentials(settings.access_key_id, secret, token)


def _read_environment() -> Credentials:
    access_key = os.environ.get("AWS_ACCESS_KEY_ID")
    secret = os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret:
        raise BadCredentials(
            ("credentials",),
            "the environment has no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; set them, or name"
            " another source here",
        )
    return Credentials(access_key, secret, os.environ.get("AWS_SESSION_TOKEN") or None)


def _read_profile(profile: str) -> Credentials:
    key = ("credentials", "profile")
    named = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    path = Path(named or "~/.aws/credentials").expanduser()
    parser = RawConfigParser(strict=False)
    try:
        parser.read_string(path.read_text("utf-8"))
    except OSError as error:
        raise BadCredentials(key, f"{path} cannot be read: {error.strerror}") from None
    except (ProfileError, UnicodeDecodeError):
        raise BadCredentials(key, f"{path} is not a file of AWS profiles") from None
    if not parser.has_section(profile):
        raise BadCredentials(key, f"{path} has no profile {profile}")
    section = parser[profile]
    access_key, secret = section.get("aws_access_key_id"), section.get("aws_secret_access_key")
    if not access_key or not secret:
        other = next((name for name in _NEEDS_BOTOCORE if name in section), None)
        why = f"has {other}, which needs credentials.botocore: true" if other else "has no keys"
        raise BadCredentials(key, f"profile {profile} of {path} {why}")
    return Credentials(access_key, secret, section.get("aws_session_token") or None)


def _find_with_botocore(profile: str | None) -> Callable[[], Credentials]:
    key = ("credentials", "botocore")
    session: Any = None

    def read() -> Credentials:
        nonlocal session
        try:
            from botocore.exceptions import BotoCoreError
            from botocore.session import Session
        except ImportError:
            message = "botocore is not installed: pip install 'rescore-sidecar[aws]'"
            raise BadCredentials(key, message) from None
        try:
            if session is None:
                session = Session(profile=profile)
            # It renews temporary credentials itself, some minutes before they end.
            credentials = session.get_credentials()
            frozen = credentials.get_frozen_credentials() if credentials else None
        except BotoCoreError as error:
            # Only the kind: a message may name files and addresses, but never secrets.
            message = f"botocore found no credentials ({type(error).__name__})"
            raise BadCredentials(key, message) from None
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise BadCredentials(key, "botocore found no credentials")
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or None)

    return read

"""Tokens that real keys sign, verified with a key set from a file or a real server."""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa

from sidecar.aws.json import AwsError
from sidecar.config.kendra_users import UserTokens
from sidecar.kendra.indexes.user_context import Caller
from sidecar.kendra.indexes.user_tokens import UserTokenReader, check_key_set, read_key_set

SECRET = "s" * 64
ANN = {"user": "ann", "groups": ["staff", "chemists"]}


@pytest.fixture(scope="module")
def keys() -> dict[str, rsa.RSAPrivateKey]:
    return {name: rsa.generate_private_key(65537, 2048) for name in ("one", "two")}


def key_set(keys: Mapping[str, rsa.RSAPrivateKey], *names: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    return {
        "keys": [
            {**algorithm.to_jwk(keys[name].public_key(), as_dict=True), "kid": name, "use": "sig"}
            for name in names
        ]
    }


def sign(
    claims: Mapping[str, Any], key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None
) -> str:
    headers = {"kid": kid} if kid else None
    return jwt.encode({"exp": time.time() + 60, **claims}, key, algorithm, headers)


def forge(claims: Mapping[str, Any], key: bytes, algorithm: str = "HS256") -> str:
    """A token that the library would not sign, with a key of another kind or a short key."""
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    digest = hmac.digest(key, signed, f"sha{algorithm[2:]}")
    return (signed + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode()


def reader(folder: Path = Path(), **settings: Any) -> UserTokenReader:
    return UserTokenReader(UserTokens(**settings), folder)


async def refusal(tokens: UserTokenReader, token: str) -> str:
    with pytest.raises(AwsError) as caught:
        await tokens.read(token)
    assert caught.value.name == "AccessDeniedException"
    assert token not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_token_signed_with_the_shared_secret(algorithm: str) -> None:
    token = sign(ANN, algorithm=algorithm)
    assert await reader(secret=SECRET).read(token) == Caller("ann", ("staff", "chemists"))


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
async def test_a_token_signed_with_a_key_of_the_key_set(
    algorithm: str, keys: dict[str, rsa.RSAPrivateKey], tmp_path: Path
) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(key_set(keys, "one", "two")))
    tokens = reader(tmp_path, key_set="keys.json")
    assert await tokens.read(sign(ANN, keys["two"], algorithm, "two")) == Caller(
        "ann", ("staff", "chemists")
    )
    assert await tokens.read(sign(ANN, keys["two"], algorithm)) == Caller(
        "ann", ("staff", "chemists")
    )
    assert "no key" in await refusal(tokens, sign(ANN, keys["two"], algorithm, "one"))


async def test_the_claims_are_the_configured_ones_and_groups_may_be_missing() -> None:
    tokens = reader(secret=SECRET, user_claim="sub", group_claim="cognito:groups")
    assert await tokens.read(sign({"sub": "bob", "cognito:groups": "staff"})) == Caller(
        "bob", ("staff",)
    )
    assert await tokens.read(sign({"sub": "bob"})) == Caller("bob")
    assert await tokens.read(sign({"user": "bob"})) == Caller()


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({**ANN, "exp": 1}, "expired"),
        ({**ANN, "exp": "soon"}, "not a valid JWT"),
        ({**ANN, "nbf": 4_000_000_000}, "not valid yet"),
        ({**ANN, "iss": "https://other"}, "another issuer"),
        ({"user": 7, "iss": "https://own", "aud": "app"}, "user is not a string"),
        ({"groups": [7], "iss": "https://own", "aud": "app"}, "groups are not a list of strings"),
        ({**ANN, "iss": "https://own"}, "another client"),
        ({**ANN, "iss": "https://own", "aud": ["x"], "azp": "y"}, "another client"),
    ],
)
async def test_a_token_with_wrong_claims_is_refused(claims: dict[str, Any], why: str) -> None:
    tokens = reader(secret=SECRET, issuer="https://own", client_id="app")
    assert why in await refusal(tokens, sign(claims))


@pytest.mark.parametrize("client", [{"aud": "app"}, {"aud": ["x", "app"]}, {"client_id": "app"}])
async def test_the_client_may_be_in_several_claims(client: dict[str, Any]) -> None:
    tokens = reader(secret=SECRET, client_id="app")
    assert (await tokens.read(sign({**ANN, **client}))).user == "ann"


async def test_a_token_without_an_end_is_refused() -> None:
    token = jwt.encode(ANN, SECRET, "HS256")
    assert "lacks the claim exp" in await refusal(reader(secret=SECRET), token)


async def test_a_token_of_another_secret_or_without_signature_is_refused() -> None:
    tokens = reader(secret=SECRET)
    assert "signature" in await refusal(tokens, sign(ANN, "t" * 64))
    assert "algorithm" in await refusal(tokens, jwt.encode(ANN, "", "none"))
    head, body, signature = sign(ANN).split(".")
    forged = base64.urlsafe_b64encode(json.dumps({**ANN, "user": "root"}).encode()).decode()
    assert "signature" in await refusal(tokens, f"{head}.{forged.rstrip('=')}.{signature}")


async def test_a_public_key_is_not_a_shared_secret(
    keys: dict[str, rsa.RSAPrivateKey], tmp_path: Path
) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(key_set(keys, "one")))
    tokens = reader(tmp_path, key_set="keys.json")
    assert "algorithm" in await refusal(tokens, forge(ANN, (tmp_path / "keys.json").read_bytes()))
    assert "algorithm" in await refusal(reader(secret=SECRET), sign(ANN, keys["one"], "RS256"))


async def test_a_hash_that_is_larger_than_the_secret_is_refused() -> None:
    secret = "s" * 32
    token = forge({**ANN, "exp": 4_000_000_000}, secret.encode(), "HS512")
    assert "too short" in await refusal(reader(secret=secret), token)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "\u20ac.\u20ac.\u20ac", "." * 1000])
async def test_a_text_that_is_not_a_token_is_refused(token: str) -> None:
    assert "JWT" in await refusal(reader(secret=SECRET), token + "#")


async def test_json_tokens_only_where_they_are_allowed() -> None:
    token = json.dumps(ANN)
    assert "no signature" in await refusal(reader(secret=SECRET), token)
    allowed = reader(unsigned_json=True)
    assert await allowed.read(token) == Caller("ann", ("staff", "chemists"))
    assert await allowed.read(' {"username": "bob"}') == Caller("bob")
    assert "not JSON" in await refusal(allowed, "{")
    assert "algorithm" in await refusal(allowed, sign(ANN))


class KeyServer:
    """A server of a key set that counts its requests."""

    def __init__(self) -> None:
        self.content: dict[str, Any] | None = None
        self.requests = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        return web.Response(status=500) if self.content is None else web.json_response(self.content)


@pytest.fixture
async def served() -> AsyncIterator[tuple[KeyServer, str]]:
    keys = KeyServer()
    app = web.Application()
    app.router.add_get("/keys", keys.answer)
    async with TestServer(app) as server:
        yield keys, str(server.make_url("/keys"))


async def test_a_key_set_of_a_server_is_kept(
    served: tuple[KeyServer, str], keys: dict[str, rsa.RSAPrivateKey]
) -> None:
    server, url = served
    server.content = key_set(keys, "one")
    tokens = reader(key_set=url)
    for _ in range(3):
        assert (await tokens.read(sign(ANN, keys["one"], "RS256", "one"))).user == "ann"
    assert server.requests == 1
    # An invented key id does not make the sidecar fetch the key set again and again.
    for number in range(3):
        await refusal(tokens, sign(ANN, keys["two"], "RS256", f"made-up-{number}"))
    assert server.requests == 1


async def test_a_new_key_is_fetched_and_an_old_one_forgotten(
    served: tuple[KeyServer, str], keys: dict[str, rsa.RSAPrivateKey]
) -> None:
    server, url = served
    now = 0.0
    tokens = UserTokenReader(UserTokens(key_set=url), Path(), lambda: now)
    server.content = key_set(keys, "one")
    assert (await tokens.read(sign(ANN, keys["one"], "RS256", "one"))).user == "ann"
    server.content = key_set(keys, "two")
    await refusal(tokens, sign(ANN, keys["two"], "RS256", "two"))
    now = 11.0
    assert (await tokens.read(sign(ANN, keys["two"], "RS256", "two"))).user == "ann"
    assert "no key" in await refusal(tokens, sign(ANN, keys["one"], "RS256", "one"))


async def test_a_server_that_fails_is_asked_again_after_a_second(
    served: tuple[KeyServer, str], keys: dict[str, rsa.RSAPrivateKey]
) -> None:
    server, url = served
    now = 0.0
    tokens = UserTokenReader(UserTokens(key_set=url), Path(), lambda: now)
    token = sign(ANN, keys["one"], "RS256", "one")
    assert "cannot be read" in await refusal(tokens, token)
    server.content = key_set(keys, "one")
    assert "cannot be read" in await refusal(tokens, token)
    assert server.requests == 1
    now = 1.5
    assert (await tokens.read(token)).user == "ann"


async def test_a_failure_leaves_the_keys_until_they_are_too_old(
    served: tuple[KeyServer, str], keys: dict[str, rsa.RSAPrivateKey]
) -> None:
    server, url = served
    now = 0.0
    tokens = UserTokenReader(UserTokens(key_set=url, key_set_seconds=300), Path(), lambda: now)
    server.content = key_set(keys, "one")
    token = sign(ANN, keys["one"], "RS256", "one")
    assert (await tokens.read(token)).user == "ann"
    server.content = None
    now = 200.0
    # Nobody can make the sidecar forget its keys with an invented key id.
    await refusal(tokens, sign(ANN, keys["two"], "RS256", "made-up"))
    assert server.requests == 2
    assert (await tokens.read(token)).user == "ann"
    now = 301.0
    assert "cannot be read" in await refusal(tokens, token)


async def test_a_missing_file_refuses(keys: dict[str, rsa.RSAPrivateKey], tmp_path: Path) -> None:
    tokens = reader(tmp_path, key_set="keys.json")
    assert "cannot be read" in await refusal(tokens, sign(ANN, keys["one"], "RS256"))


def test_a_key_set_can_be_checked_beforehand(
    keys: dict[str, rsa.RSAPrivateKey], tmp_path: Path
) -> None:
    settings = UserTokens(key_set="keys.json")
    assert check_key_set(UserTokens(secret=SECRET), tmp_path) is None
    assert "keys.json cannot be read" in (check_key_set(settings, tmp_path) or "")
    (tmp_path / "keys.json").write_text("{}")
    assert "not a JSON Web Key Set" in (check_key_set(settings, tmp_path) or "")
    (tmp_path / "keys.json").write_text(json.dumps(key_set(keys, "one")))
    assert check_key_set(settings, tmp_path) is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [{"kty": "EC"}]}', b"\xff",
                b'{"keys": [{"kty": "RSA"}]}', b'{"keys": ["x"]}'],
)  # fmt: skip
def test_content_that_is_not_a_key_set(content: bytes) -> None:
    with pytest.raises(ValueError, match="(?i)key"):
        read_key_set(content)

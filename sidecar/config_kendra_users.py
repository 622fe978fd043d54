"""What the main file may say about user context: who may see which documents of a Kendra index."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipelines.plan import FieldName, Strict


class UserTokens(Strict):
    secret: str | None = Field(default=None, min_length=32, repr=False)
    """Shared secret of tokens signed with HS256, HS384 or HS512; write `${NAME}`. RFC 7518 asks
    for as many bytes as the hash has: 32, 48 or 64. Tokens whose hash has more are refused."""

    key_set: str | None = Field(default=None, min_length=1)
    """JSON Web Key Set of tokens signed with RS256, RS384 or RS512: an http(s) URL, or a file
    seen from the main file."""

    user_claim: str = Field(default="user", min_length=1)
    """Claim with the user's name."""

    group_claim: str = Field(default="groups", min_length=1)
    """Claim with the list of the user's groups."""

    issuer: str | None = Field(default=None, min_length=1)
    """The issuer (`iss`) that a token must have; any when left out."""

    client_id: str | None = Field(default=None, min_length=1)
    """The client (`aud`, `client_id` or `azp`) that a token must be for; any when left out."""

    unsigned_json: bool = False
    """`true` accepts `{"user": ..., "groups": [...]}` without a signature, as Kendra's JSON tokens
    are; only for callers that the access keys vouch for."""

    key_set_seconds: int = Field(default=300, ge=1, le=86_400)
    """Seconds that a fetched key set is kept."""


class UserContextSettings(Strict):
    policy: Literal["ATTRIBUTE_FILTER", "USER_TOKEN"] = "ATTRIBUTE_FILTER"
    """`ATTRIBUTE_FILTER`: a request that names no user sees everything. `USER_TOKEN`: it sees
    public documents alone, and users are believed by their token only."""

    user_allow: FieldName = "_acl_user_allow"
    """Keyword field of the users that may see a document."""

    user_deny: FieldName = "_acl_user_deny"
    """The same for those that may not; denial goes before permission."""

    group_allow: FieldName = "_acl_group_allow"
    """Keyword field of the groups that may see a document."""

    group_deny: FieldName = "_acl_group_deny"
    """The same for those that may not."""

    data_source_group_allow: FieldName = "_acl_data_source_group_allow"
    """Keyword field of the groups of a data source that may see a document, as `source|group`."""

    data_source_group_deny: FieldName = "_acl_data_source_group_deny"
    """The same for those that may not."""

    tokens: UserTokens = UserTokens()
    """How tokens are verified; without a secret, a key set or `unsigned_json` each is refused."""

    @model_validator(mode="after")
    def _tokens_can_be_verified(self) -> Self:
        tokens = self.tokens
        known = tokens.secret or tokens.key_set or tokens.unsigned_json
        if self.policy == "USER_TOKEN" and not known:
            raise ValueError("USER_TOKEN needs tokens.secret, tokens.key_set or unsigned_json")
        return self

"""What the main file may contain about user context: who may see which documents of an index."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipelines.strict import FieldName, Strict


class UserTokens(Strict):
    secret: str | None = Field(default=None, min_length=32, repr=False)
    """Shared secret for tokens signed with HS256, HS384 or HS512; write `${NAME}`. RFC 7518
    requires at least the length of the hash: 32, 48 or 64 bytes. Tokens with a longer hash are
    refused."""

    key_set: str | None = Field(default=None, min_length=1)
    """JSON Web Key Set for tokens signed with RS256, RS384 or RS512: an http(s) URL, or a file
    relative to the main file."""

    user_claim: str = Field(default="user", min_length=1)
    """Claim with the user's name."""

    group_claim: str = Field(default="groups", min_length=1)
    """Claim with the list of the user's groups."""

    issuer: str | None = Field(default=None, min_length=1)
    """The issuer (`iss`) that a token must have; any issuer if omitted."""

    client_id: str | None = Field(default=None, min_length=1)
    """The client (`aud`, `client_id` or `azp`) that a token must be for; any client if omitted."""

    unsigned_json: bool = False
    """`true` accepts `{"user": ..., "groups": [...]}` without a signature, like Kendra's JSON
    tokens; only for callers that you trust through their access keys."""

    key_set_seconds: int = Field(default=300, ge=1, le=86_400)
    """Seconds for which a fetched key set is used."""


class UserContextSettings(Strict):
    policy: Literal["ATTRIBUTE_FILTER", "USER_TOKEN"] = "ATTRIBUTE_FILTER"
    """`ATTRIBUTE_FILTER`: a request without a user sees all documents. `USER_TOKEN`: it sees only
    public documents, and only a token can name a user."""

    user_allow: FieldName = "_acl_user_allow"
    """Keyword field with the users who may see a document."""

    user_deny: FieldName = "_acl_user_deny"
    """Keyword field with the users who may not; denial overrides permission."""

    group_allow: FieldName = "_acl_group_allow"
    """Keyword field with the groups that may see a document."""

    group_deny: FieldName = "_acl_group_deny"
    """Keyword field with the groups that may not."""

    data_source_group_allow: FieldName = "_acl_data_source_group_allow"
    """Keyword field with the groups of a data source that may see a document, as `source|group`."""

    data_source_group_deny: FieldName = "_acl_data_source_group_deny"
    """Keyword field with the groups of a data source that may not."""

    tokens: UserTokens = UserTokens()
    """How tokens are verified; without a secret, a key set or `unsigned_json`, all are refused."""

    @model_validator(mode="after")
    def _tokens_can_be_verified(self) -> Self:
        tokens = self.tokens
        known = tokens.secret or tokens.key_set or tokens.unsigned_json
        if self.policy == "USER_TOKEN" and not known:
            raise ValueError("USER_TOKEN needs tokens.secret, tokens.key_set or unsigned_json")
        return self

"""What the main file may say under `apis.kendra`: Kendra indexes over OpenSearch's.

An index of Kendra has a fixed schema, so the section says which OpenSearch field each part of it
is. `sidecar kendra-index --from INDEX` writes a first version from a live index.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipelines.plan import FieldName, FieldNames, Strict
from sidecar.config_kendra_attributes import RESERVED_TYPES, Attribute, Importance
from sidecar.config_kendra_users import UserContextSettings
from sidecar.config_rerank import CosineLogits

IndexId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9-]{35}$")]
AttributeName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9_-]{0,199}$")]
IndexName = Annotated[str, Field(pattern=r"^[^\s,/?#%*\"<>|\\]+$")]


class OpenSearchAccount(Strict):
    username: str = Field(min_length=1)
    """Its name."""

    password: str = Field(min_length=1, repr=False)
    """Its password; write `${NAME}` and set NAME in the environment."""


class KendraAccessKey(Strict):
    id: str = Field(pattern=r"^[^\s/,=]+$")
    """Access key id, as the client's AWS credentials name it."""

    secret: str = Field(min_length=1, repr=False)
    """Its secret; write `${NAME}` and set NAME in the environment."""

    account: OpenSearchAccount | None = None
    """The OpenSearch account that this caller's searches run as; the index's when left out."""

    indexes: tuple[IndexId, ...] = ()
    """The indexes that the key may search; all when empty."""


class KendraFields(Strict):
    document_id: FieldName | None = None
    """The field with the exact value of a document's id; OpenSearch's own `_id` when left out."""

    shared_id: bool = False
    """`true`: the index holds passages, and hits that share a `document_id` are one document."""

    title: FieldNames = ()
    """Analysed field or fields of the title."""

    body: FieldNames = Field(min_length=1)
    """Analysed field or fields of the text, joined in this order; excerpts are cut from it."""

    uri: FieldName | None = None
    """The field of the document's address, which is shown as DocumentURI and `_source_uri`."""

    title_importance: Importance = 1
    """Weight of matches in the title; Kendra's `_document_title` has 2 by default."""

    body_importance: Importance = 1
    """Weight of matches in the body."""

    @model_validator(mode="after")
    def _shared_id_has_a_field(self) -> Self:
        if self.shared_id and self.document_id is None:
            raise ValueError("shared_id needs a document_id: OpenSearch's own ids differ")
        return self


class KendraFaq(Strict):
    index: IndexName
    """OpenSearch index or alias of the questions and answers."""

    question: FieldName = "question"
    """Analysed field of the question."""

    answer: FieldName = "answer"
    """Field of the answer's text."""

    uri: FieldName | None = None
    """Field of the entry's address."""

    attributes: tuple[AttributeName, ...] = ()
    """Attributes of the documents' schema that the entries have too, in the same fields; a filter
    on any other one leaves no entries."""

    acl: bool = False
    """`true`: the entries have the fields of the user context; `false`: they are public."""

    threshold: float = Field(default=0.4, ge=0, le=1)
    """Least calibrated score of question against query text at which an entry is a result."""


def _one_spelling(value: object) -> object:
    return value if not isinstance(value, str) else fold_query(value)


def fold_query(text: str) -> str:
    """The form in which featured queries are compared: case and runs of blanks do not count."""
    return " ".join(text.split()).casefold()


class FeaturedSet(Strict):
    queries: tuple[Annotated[str, BeforeValidator(_one_spelling), Field(min_length=1)], ...] = (
        Field(min_length=1, max_length=49)
    )
    """Whole queries that feature the documents; case and runs of blanks do not count."""

    documents: tuple[Annotated[str, Field(min_length=1, max_length=2048)], ...] = Field(
        min_length=1, max_length=4
    )
    """Ids of the documents, in the order shown."""

    active: bool = True
    """`false` keeps the set without using it."""


class Confidence(Strict):
    very_high: float = Field(default=0.9, ge=0, le=1)
    """Least calibrated score for VERY_HIGH."""

    high: float = Field(default=0.7, ge=0, le=1)
    """The same for HIGH."""

    medium: float = Field(default=0.4, ge=0, le=1)
    """The same for MEDIUM; below it is LOW, and nothing is an answer."""

    cosine: CosineLogits = CosineLogits(middle=0.49)
    """How a bi-encoder's cosine is calibrated; a cross-encoder's score is so already. The default
    is chosen for all-MiniLM-L6-v2 and the hits of searches, which are nearer to the query text than
    texts at large; docs/quality.md has the share of relevant ones in each bucket."""

    languages: tuple[str, ...] = ("en",)
    """Languages that the model is calibrated for; results in another one are NOT_AVAILABLE."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.very_high >= self.high >= self.medium:
            raise ValueError("very_high, high and medium must not increase")
        return self


class KendraIndex(Strict):
    index: IndexName
    """OpenSearch index or alias of the documents."""

    description: str = ""
    """What this index is, in one sentence."""

    status: Literal["ACTIVE", "CREATING", "UPDATING", "DELETING", "FAILED"] = "ACTIVE"
    """Anything but ACTIVE and UPDATING refuses searches with a ConflictException."""

    plan: str | None = Field(default=None, min_length=1)
    """Plan whose window, models, passages and fusion order the documents; `apis.kendra.plan` when
    left out. Its title and body are those of `fields`, unless it reads them itself."""

    fields: KendraFields
    """Which fields are a document's id, title, text and address."""

    attributes: dict[AttributeName, Attribute] = Field(default={})
    """The attributes by name; names that begin with `_` are Kendra's reserved fields."""

    text_match: Literal["most_fields", "best_fields", "cross_fields"] = "best_fields"
    """How matches in several fields add up (`multi_match`)."""

    language: str = Field(default="en", min_length=2)
    """Language of the documents without `_language_code`."""

    filter_language: bool = False
    """`true`: a request whose filter does not name `_language_code` finds documents in `language`
    alone."""

    spell_field: FieldName | None = None
    """Unstemmed text field for spelling suggestions, as `body.spell`; none when left out."""

    account: OpenSearchAccount | None = None
    """The OpenSearch account that searches run as; `upstream.username` when left out."""

    user_context: UserContextSettings = UserContextSettings()
    """Which documents a caller may see."""

    faq: KendraFaq | None = None
    """Questions and answers; none when left out."""

    featured: tuple[FeaturedSet, ...] = Field(default=(), max_length=50)
    """Documents that are put first for certain queries."""

    confidence: Confidence = Confidence()
    """How the model's scores become ScoreConfidence."""

    boost_weight: float = Field(default=0.1, ge=0, le=10, allow_inf_nan=False)
    """How much relevance tuning counts beside the fused score of 0 to 1, once the model has
    read."""

    passages_per_document: int = Field(default=50, ge=1, le=1000)
    """Passages of one document that the model may read for answers and Retrieve."""

    collapsed_total: bool = True
    """`true`: TotalNumberOfResults counts groups when results are collapsed."""

    highlight_offsets: Literal["code_points", "utf_16"] = "code_points"
    """Unit of highlight offsets: `utf_16` for clients in Java and JavaScript."""

    query_token_words: int = Field(default=30, ge=1, le=1000)
    """Token words of a query text that count; the rest is dropped, as Kendra does behind 30."""

    max_query_characters: int = Field(default=1000, ge=1, le=100_000)
    """Longer query texts are refused."""

    max_buckets: int = Field(default=65_535, ge=1000, le=10_000_000)
    """OpenSearch's `search.max_buckets`, below which nested facets stay."""

    @model_validator(mode="after")
    def _reserved_names_have_their_type(self) -> Self:
        for name, attribute in self.attributes.items():
            if not name.startswith("_"):
                continue
            expected = RESERVED_TYPES.get(name)
            if expected is None:
                known = ", ".join(sorted(RESERVED_TYPES))
                raise ValueError(f"{name} is no reserved attribute of Kendra (these are: {known})")
            if attribute.type != expected:
                raise ValueError(f"{name} is a {expected} in Kendra, not a {attribute.type}")
        return self

    @model_validator(mode="after")
    def _one_freshness(self) -> Self:
        fresh = [
            name
            for name, attribute in self.attributes.items()
            if attribute.relevance and attribute.relevance.freshness
        ]
        if len(fresh) > 1:
            raise ValueError(f"only one attribute may have freshness, not {' and '.join(fresh)}")
        return self

    @model_validator(mode="after")
    def _queries_feature_once(self) -> Self:
        seen: set[str] = set()
        for featured in self.featured:
            for query in featured.queries if featured.active else ():
                if query in seen:
                    raise ValueError(f"the query {query!r} is in two active sets of featured")
                seen.add(query)
        return self

    @model_validator(mode="after")
    def _faq_attributes_exist(self) -> Self:
        unknown = sorted(set(self.faq.attributes if self.faq else ()) - set(self.attributes))
        if unknown:
            raise ValueError(f"faq.attributes names {unknown[0]}, which attributes does not have")
        return self

    def field_of(self, name: str) -> str:
        """The field with the exact values of an attribute that is in the schema."""
        return self.attributes[name].field or name


class Kendra(Strict):
    indexes: dict[IndexId, KendraIndex] = Field(default={})
    """Kendra index ids, 36 letters, digits and `-` each, and what they stand for."""

    plan: str | None = Field(default=None, min_length=1)
    """The plan of indexes that name none; when left out `fused` if there is one, else the first
    by name."""

    access_keys: tuple[KendraAccessKey, ...] = ()
    """Keys whose signatures (SigV4) are accepted. With none every request is accepted, and the
    api listener stays on loopback."""

    region: str | None = Field(default=None, pattern=r"^[a-z0-9.-]{1,63}$")
    """The region that signatures must name; any when left out."""

    deadline_ms: int = Field(default=5000, ge=1, le=600_000)
    """Milliseconds that OpenSearch may take for a request, until it is refused with an
    InternalServerException. The models have the plan's `deadline_ms` after that."""

    max_body_mb: int = Field(default=4, ge=1, le=256)
    """Largest request body, in MiB."""

    feedback: str | None = Field(default=None, min_length=1)
    """File, seen from this file, to which SubmitFeedback appends one line of JSON an item; what is
    submitted is checked and dropped when left out."""

    feedback_key: str | None = Field(default=None, min_length=16, repr=False)
    """Signs query ids, so that feedback is accepted after a restart and by other processes of the
    same key; made anew at each start when left out. Write `${NAME}`."""


def needs_loopback(settings: Kendra) -> bool:
    """Whether anybody who reaches the listener may call it."""
    return not settings.access_keys

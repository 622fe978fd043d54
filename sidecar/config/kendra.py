"""What the main file may contain under `apis.kendra`: Kendra indexes over those of OpenSearch.

A Kendra index has a fixed schema, so the section says which field of OpenSearch each part of it is.
`sidecar kendra-index --from INDEX` writes a first version from a live index.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipelines.strict import FieldName, FieldNames, Strict
from sidecar.config.kendra_attributes import RESERVED_TYPES, Attribute, Importance
from sidecar.config.kendra_users import UserContextSettings
from sidecar.config.rerank import CosineLogits

IndexId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9-]{35}$")]
AttributeName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9_-]{0,199}$")]
OffsetUnit = Literal["code_points", "utf_16"]
IndexName = Annotated[str, Field(pattern=r"^[^\s,/?#%*\"<>|\\]+$")]


class OpenSearchAccount(Strict):
    username: str = Field(min_length=1)
    """Name of the account."""

    password: str = Field(min_length=1, repr=False)
    """Its password; write `${NAME}` and set NAME in the environment."""


class KendraAccessKey(Strict):
    id: str = Field(pattern=r"^[^\s/,=]+$")
    """Access key id, as the client's AWS credentials name it."""

    secret: str = Field(min_length=1, repr=False)
    """Its secret; write `${NAME}` and set NAME in the environment."""

    account: OpenSearchAccount | None = None
    """OpenSearch account for the searches with this key; the index's account if omitted."""

    indexes: tuple[IndexId, ...] = ()
    """Indexes that the key may search; all if empty."""


class KendraFields(Strict):
    document_id: FieldName | None = None
    """Field with the exact value of a document's id; OpenSearch's own `_id` if omitted."""

    shared_id: bool = False
    """`true`: the index contains passages, and hits with the same `document_id` are one
    document."""

    title: FieldNames = ()
    """Analysed field or fields with the title."""

    body: FieldNames = Field(min_length=1)
    """Analysed field or fields with the text, joined in this order; excerpts are cut from it."""

    uri: FieldName | None = None
    """Field with the document's address, shown as DocumentURI and `_source_uri`."""

    title_importance: Importance = 1
    """Weight of matches in the title; the default of Kendra's `_document_title` is 2."""

    body_importance: Importance = 1
    """Weight of matches in the body."""

    @model_validator(mode="after")
    def _shared_id_has_a_field(self) -> Self:
        if self.shared_id and self.document_id is None:
            raise ValueError("shared_id needs a document_id, because OpenSearch's own ids differ")
        return self


class KendraFaq(Strict):
    index: IndexName
    """OpenSearch index or alias with the questions and answers."""

    question: FieldName = "question"
    """Analysed field with the question."""

    answer: FieldName = "answer"
    """Field with the answer's text."""

    uri: FieldName | None = None
    """Field with the entry's address."""

    attributes: tuple[AttributeName, ...] = ()
    """Attributes of the documents' schema that the entries also have, in the same fields; no entry
    matches a filter on any other attribute."""

    acl: bool = False
    """`true`: the entries have the fields of the user context. `false`: they are public."""

    threshold: float = Field(default=0.4, ge=0, le=1)
    """Minimum calibrated score between question and query text for an entry to be a result."""


def _one_spelling(value: object) -> object:
    return value if not isinstance(value, str) else fold_query(value)


def fold_query(text: str) -> str:
    """The form in which featured queries are compared, without case and runs of blanks."""
    return " ".join(text.split()).casefold()


class FeaturedSet(Strict):
    queries: tuple[Annotated[str, BeforeValidator(_one_spelling), Field(min_length=1)], ...] = (
        Field(min_length=1, max_length=49)
    )
    """Whole queries that feature the documents, compared without case and runs of blanks."""

    documents: tuple[Annotated[str, Field(min_length=1, max_length=2048)], ...] = Field(
        min_length=1, max_length=4
    )
    """Ids of the documents, in the order shown."""

    active: bool = True
    """`false`: the set is not used."""


class Confidence(Strict):
    very_high: float = Field(default=0.9, ge=0, le=1)
    """Minimum calibrated score for VERY_HIGH."""

    high: float = Field(default=0.7, ge=0, le=1)
    """Minimum calibrated score for HIGH."""

    medium: float = Field(default=0.4, ge=0, le=1)
    """Minimum calibrated score for MEDIUM; a lower score is LOW, and no answer."""

    cosine: CosineLogits = CosineLogits(middle=0.49)
    """How a bi-encoder's cosine is calibrated; a cross-encoder's score needs no calibration. The
    default is for all-MiniLM-L6-v2 and the hits of searches, which are closer to the query text
    than other texts; docs/quality-kendra.md has the share of relevant hits in each bucket."""

    languages: tuple[str, ...] = ("en",)
    """Languages that the model is calibrated for; results in other languages are NOT_AVAILABLE."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.very_high >= self.high >= self.medium:
            raise ValueError("very_high, high and medium must not increase")
        return self


class KendraIndex(Strict):
    index: IndexName
    """OpenSearch index or alias of the documents."""

    description: str = ""
    """What this index contains, in one sentence."""

    status: Literal["ACTIVE", "CREATING", "UPDATING", "DELETING", "FAILED"] = "ACTIVE"
    """With a status other than ACTIVE and UPDATING, searches get a ConflictException."""

    plan: str | None = Field(default=None, min_length=1)
    """Plan whose window, models, passages and fusion order the documents; `apis.kendra.plan` if
    omitted. Title and body are those of `fields`, unless the plan reads these fields itself."""

    fields: KendraFields
    """The fields with a document's id, title, text and address."""

    attributes: dict[AttributeName, Attribute] = Field(default={})
    """Attributes by name; names that begin with `_` are Kendra's reserved fields."""

    text_match: Literal["most_fields", "best_fields", "cross_fields"] = "best_fields"
    """How scores of matches in several fields are combined (`multi_match`)."""

    language: str = Field(default="en", min_length=2)
    """Language of documents without `_language_code`; of all documents, if the attributes do not
    have `_language_code`."""

    filter_language: bool = False
    """`true`: a request without a filter on `_language_code` finds only documents in `language`."""

    spell_field: FieldName | None = None
    """Unstemmed text field for spelling suggestions, such as `body.spell`; no suggestions if
    omitted."""

    account: OpenSearchAccount | None = None
    """OpenSearch account for searches; `upstream.username` if omitted."""

    user_context: UserContextSettings = UserContextSettings()
    """Who may see which documents."""

    faq: KendraFaq | None = None
    """Questions and answers; none if omitted."""

    featured: tuple[FeaturedSet, ...] = Field(default=(), max_length=50)
    """Documents that come first for certain queries."""

    confidence: Confidence = Confidence()
    """How a model's score becomes ScoreConfidence."""

    boost_weight: float = Field(default=0.3, ge=0, le=10, allow_inf_nan=False)
    """What an importance of 10 adds to a document's fused score of 0 to 1 (an importance of 5 adds
    half of it), for documents that the model has scored. With 0.3, documents of similar relevance
    change places, and an irrelevant one stays behind a clearly relevant one."""

    passages_per_document: int = Field(default=50, ge=1, le=1000)
    """Maximum passages per document in a reply to Retrieve. The model reads these, the best by
    BM25, even if the plan's `per_group` is smaller; for excerpts, this number is compared with the
    query."""

    collapsed_total: bool = True
    """`true`: TotalNumberOfResults counts groups if results are collapsed."""

    highlight_offsets: OffsetUnit = "code_points"
    """Unit of highlight offsets: `utf_16` for clients in Java and JavaScript."""

    query_token_words: int = Field(default=30, ge=1, le=1000)
    """Maximum token words of a query text; the rest is ignored, as Kendra does after 30."""

    max_query_characters: int = Field(default=1000, ge=1, le=100_000)
    """Maximum characters of a query text; longer ones are refused."""

    max_buckets: int = Field(default=65_535, ge=1000, le=10_000_000)
    """OpenSearch's `search.max_buckets`; nested facets request fewer buckets."""

    @model_validator(mode="after")
    def _reserved_names_have_their_type(self) -> Self:
        for name, attribute in self.attributes.items():
            if not name.startswith("_"):
                continue
            expected = RESERVED_TYPES.get(name)
            if expected is None:
                known = ", ".join(sorted(RESERVED_TYPES))
                raise ValueError(f"{name} is no reserved attribute of Kendra (they are: {known})")
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
        """The field with the exact values of an attribute of the schema."""
        return self.attributes[name].field or name


class Kendra(Strict):
    indexes: dict[IndexId, KendraIndex] = Field(default={})
    """The indexes by their Kendra index ids, each of 36 letters, digits and `-`."""

    plan: str | None = Field(default=None, min_length=1)
    """Plan for indexes that name none. If omitted: `fused` if there is such a plan, else the
    first by name."""

    access_keys: tuple[KendraAccessKey, ...] = ()
    """Keys whose signatures (SigV4) are accepted. Without keys, every request is accepted, and the
    api listener must be on loopback."""

    region: str | None = Field(default=None, pattern=r"^[a-z0-9.-]{1,63}$")
    """The region that signatures must name; any region if omitted."""

    deadline_ms: int = Field(default=5000, ge=1, le=600_000)
    """Maximum milliseconds of OpenSearch per request; then the request gets an
    InternalServerException."""

    model_deadline_ms: int = Field(default=2000, ge=1, le=60_000)
    """Maximum milliseconds of the models per request, after OpenSearch; the plan's `deadline_ms`
    does not apply. They read the best passage of each document first."""

    window_order_s: float = Field(default=300.0, ge=0, le=86_400, allow_inf_nan=False)
    """Seconds for which the order of a question is cached for the same caller's further pages. 0:
    each page is ranked again, and may repeat or lose results of the pages before it."""

    window_order_mb: int = Field(default=8, ge=1, le=100_000)
    """Memory for cached orders, in MiB, about 10 KB for each question; the least recently used are
    dropped first."""

    max_body_mb: int = Field(default=4, ge=1, le=256)
    """Largest request body, in MiB."""

    feedback_file: str | None = Field(default=None, min_length=1)
    """File, relative to this file, to which SubmitFeedback appends one line of JSON per item. If
    omitted, feedback is checked and not stored."""

    feedback_key: str | None = Field(default=None, min_length=16, repr=False)
    """Signs query ids, so that feedback is accepted after a restart, and by other processes
    with the same key. If omitted, each start creates a new key. Write `${NAME}`."""

    @property
    def needs_loopback(self) -> bool:
        """Whether everybody who can reach the listener may call it."""
        return not self.access_keys

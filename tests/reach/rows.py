"""The requests of docs/reach.md: searches of today, and clients of rerank and embedding APIs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Where = Literal["proxy", "signed", "api"]
"""The listener that gets the request: the proxy, a proxy with `upstream.resign`, or the api."""


@dataclass(frozen=True, slots=True)
class Row:
    """A request, and who sends it. `body` is JSON, or the bytes of an `_msearch`."""

    what: str
    client: str
    where: Where
    method: str
    target: str
    body: Any = None
    fields: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    """For `signed`: who signs, one of `application`, `temporary`; None for nobody."""


MATCH: Final[Mapping[str, Any]] = {"match": {"body": "copper kettle"}}
_NEURAL: Final[Mapping[str, Any]] = {
    "neural": {"vector": {"query_text": "copper kettle", "model_id": "m", "k": 5}}
}
_NORMALISE: Final[Mapping[str, Any]] = {
    "phase_results_processors": [{"normalization-processor": {}}]
}
_RENAME: Final[Mapping[str, Any]] = {
    "response_processors": [{"rename_field": {"field": "price", "target_field": "cost"}}]
}
PIPELINES: Final[Mapping[str, Any]] = {
    "renames": _RENAME,
    "unlisted": _RENAME,
    "truncates": {"response_processors": [{"truncate_hits": {"target_size": 2}}]},
}
"""Search pipelines of the cluster by name."""

DEFAULT_PIPELINES: Final[Mapping[str, str]] = {"renamed": "renames", "piped": "unlisted"}
"""`index.search.default_pipeline` of the indexes that have one."""

USES: Final = {"renames": "keeps_order", "truncates": "reranks", "norm": "normalises"}
"""`upstream.pipelines`. `norm` needs the neural-search plugin."""

_PAIR: Final = ["a copper kettle", "a garden"]
_RERANK: Final[Mapping[str, Any]] = {"query": "copper kettle", "documents": _PAIR}


def _hybrid(*queries: Any, **more: Any) -> dict[str, Any]:
    return {"query": {"hybrid": {"queries": list(queries), **more}}}


def _search(what: str, client: str, body: Any, target: str = "/docs/_search") -> Row:
    return Row(what, client, "proxy", "POST", target, body)


def _section(what: str, client: str, section: Any, fields: Mapping[str, str] | None = None) -> Row:
    body = {"query": MATCH, "ext": {"rescore": section}}
    return Row(what, client, "proxy", "POST", "/docs/_search", body, fields or {})


def _items(what: str, client: str, *sections: Any) -> Row:
    lines: list[Any] = []
    for section in sections:
        ext = {} if section is None else {"ext": {"rescore": section}}
        lines += [{"index": "docs"}, {"query": MATCH, **ext}]
    return Row(what, client, "proxy", "POST", "/_msearch", _lines(*lines))


def _lines(*lines: Any) -> bytes:
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def _api(what: str, client: str, target: str, body: Any = None) -> Row:
    return Row(what, client, "api", "GET" if body is None else "POST", target, body)


_BUILDERS = "query builders, OpenSearch Dashboards"
_RAG = "RAG applications"
_NEURAL_APPS = "neural search applications"
_SIGNING = "opensearch-py with AWS signatures"

ROWS: Final[tuple[Row, ...]] = (
    _search(
        "`hybrid` with `pagination_depth` 50",
        _NEURAL_APPS,
        _hybrid(MATCH, _NEURAL, pagination_depth=50),
        "/docs/_search?search_pipeline=norm",
    ),
    _search(
        "`hybrid` without `pagination_depth`",
        _NEURAL_APPS,
        _hybrid(MATCH, _NEURAL),
        "/docs/_search?search_pipeline=norm",
    ),
    _search(
        "the same, plan `hybrid: widen`",
        _NEURAL_APPS,
        _hybrid(MATCH, _NEURAL),
        "/widened/_search?search_pipeline=norm",
    ),
    _search(
        "`hybrid` with `pagination_depth` 5, below the window",
        _NEURAL_APPS,
        _hybrid(MATCH, _NEURAL, pagination_depth=5),
        "/docs/_search?search_pipeline=norm",
    ),
    _search(
        "the same, plan `hybrid: widen`, page 2",
        _NEURAL_APPS,
        {**_hybrid(MATCH, _NEURAL, pagination_depth=5), "from": 2, "size": 2},
        "/widened/_search?search_pipeline=norm",
    ),
    _search(
        "`hybrid` of two `match`, plan `hybrid: widen`",
        _NEURAL_APPS,
        _hybrid(MATCH, {"match": {"title": "copper"}}),
        "/widened/_search?search_pipeline=norm",
    ),
    _search(
        "`hybrid` with a normalising pipeline in the body",
        _NEURAL_APPS,
        {**_hybrid(MATCH, _NEURAL, pagination_depth=50), "search_pipeline": _NORMALISE},
    ),
    _search(
        "pipeline `keeps_order`, in the URL",
        "clusters with search pipelines",
        {"query": MATCH},
        "/docs/_search?search_pipeline=renames",
    ),
    _search(
        "pipeline `keeps_order`, in the body",
        "clusters with search pipelines",
        {"query": MATCH, "search_pipeline": "renames"},
    ),
    _search(
        "pipeline `reranks`",
        "clusters with search pipelines",
        {"query": MATCH},
        "/docs/_search?search_pipeline=truncates",
    ),
    _search(
        "pipeline that the configuration does not name",
        "clusters with search pipelines",
        {"query": MATCH},
        "/docs/_search?search_pipeline=unlisted",
    ),
    _search(
        "pipeline in the body, not only normalising",
        "clusters with search pipelines",
        {"query": MATCH, "search_pipeline": _RENAME},
    ),
    _search(
        "default pipeline of the index, `keeps_order`",
        "clusters with search pipelines",
        {"query": MATCH},
        "/renamed/_search",
    ),
    _search(
        "default pipeline of the index, which the configuration does not name",
        "clusters with search pipelines",
        {"query": MATCH},
        "/piped/_search",
    ),
    _search(
        "the same with `search_pipeline=_none`",
        "clusters with search pipelines",
        {"query": MATCH},
        "/piped/_search?search_pipeline=_none",
    ),
    _search(
        "path with a trailing slash",
        "proxies, hand-written code",
        {"query": MATCH},
        "/docs/_search/",
    ),
    _section("`ext.rescore: {}`", _BUILDERS, {}),
    _section("`off: true`", _BUILDERS, {"off": True}),
    _section("`plan: widen`", _BUILDERS, {"plan": "widen"}),
    _section("`query`", _BUILDERS, {"query": "kettle"}),
    _section("`explain: true`", _BUILDERS, {"explain": True}),
    _section("`highlight: true`", _BUILDERS, {"highlight": True}),
    _section("`min_score: 0.6`", _RAG, {"min_score": 0.6}),
    _section("`ext.rescore: null`", _BUILDERS, None),
    _section("unknown key", _BUILDERS, {"nosuch": 1}),
    _section(
        "`off: false`, header `X-Rescore: off`", _BUILDERS, {"off": False}, {"X-Rescore": "off"}
    ),
    _items("`_msearch`: explain in one item", _BUILDERS, {"explain": True}, None),
    _items("`_msearch`: `off` in one item", _BUILDERS, {"off": True}, None),
    _items("`_msearch`: `min_score` in one item", _RAG, {"min_score": 0.6}, None),
    _items("`_msearch`: another `plan` in one item", _BUILDERS, {"plan": "relevant"}, None),
    Row(
        "`_msearch`: `hybrid` in one item, plan `hybrid: widen`",
        _NEURAL_APPS,
        "proxy",
        "POST",
        "/widened/_msearch",
        _lines({}, {**_hybrid(MATCH, _NEURAL), "search_pipeline": "norm"}, {}, {"query": MATCH}),
    ),
    _search("plan with `min_relevance: medium`", _RAG, {"query": MATCH}, "/relevant/_search"),
    _search("plan with `highlight`", _BUILDERS, {"query": MATCH}, "/marked/_search"),
    _search(
        "plan whose model has `kind: static`",
        "small machines",
        {"query": MATCH},
        "/tabled/_search",
    ),
    Row(
        "search signed with SigV4",
        _SIGNING,
        "signed",
        "POST",
        "/docs/_search",
        {"query": MATCH},
        key="application",
    ),
    Row(
        "the same with a session token",
        _SIGNING,
        "signed",
        "POST",
        "/docs/_search",
        {"query": MATCH},
        key="temporary",
    ),
    Row(
        "signed, `ext.rescore: {explain: true}`",
        _SIGNING,
        "signed",
        "POST",
        "/docs/_search",
        {"query": MATCH, "ext": {"rescore": {"explain": True}}},
        key="application",
    ),
    Row(
        "signed request that is no search",
        _SIGNING,
        "signed",
        "GET",
        "/docs/_count",
        key="application",
    ),
    _api("`GET /info`", "Dify (TEI), RAGFlow", "/info"),
    _api("`GET /health`", "load balancers, TEI's clients", "/health"),
    _api("`GET /ping`", "vLLM's clients", "/ping"),
    _api("`GET /v1/models`", "Open WebUI, OpenAI clients", "/v1/models"),
    _api("`GET /models`", "Infinity's client", "/models"),
    _api("`GET /v1/models/ID`", "Dify (Xinference)", "/v1/models/bge-reranker"),
    _api(
        "`GET /v1/models/OWNER/NAME`",
        "OpenAI's client, which escapes no slash",
        "/v1/models/BAAI/bge-reranker-v2-m3",
    ),
    _api(
        '`"return_documents": "true"`',
        "RAGFlow (Xinference)",
        "/v1/rerank",
        {**_RERANK, "return_documents": "true", "return_len": "true"},
    ),
    _api("`top_n: 0`", "Dify (OpenAI-compatible)", "/v1/rerank", {**_RERANK, "top_n": 0}),
    _api("`top_n: 3.0`", "JavaScript and Lua clients", "/v1/rerank", {**_RERANK, "top_n": 3.0}),
    _api(
        "`texts` on `/v1/rerank`",
        "Dify (OpenAI-compatible)",
        "/v1/rerank",
        {"query": "copper kettle", "texts": _PAIR},
    ),
    _api(
        "`documents: [{content: [...]}]`",
        "Dify (multimodal)",
        "/v1/rerank",
        {
            "query": "copper kettle",
            "documents": [{"content": [{"type": "text", "text": text}]} for text in _PAIR],
        },
    ),
    _api(
        "`documents: [{text, metadata}]`",
        "LangChain, LlamaIndex",
        "/v1/rerank",
        {
            "query": "copper kettle",
            "documents": [{"text": text, "metadata": {"n": 1}} for text in _PAIR],
        },
    ),
    _api(
        "`documents: [{page_content}]`",
        "LangChain",
        "/v1/rerank",
        {"query": "copper kettle", "documents": [{"page_content": text} for text in _PAIR]},
    ),
    _api(
        "`query: {text}`",
        "NVIDIA's clients",
        "/v1/rerank",
        {"query": {"text": "copper kettle"}, "documents": _PAIR},
    ),
    _api("`/v1/rerank/`", "clients that join paths", "/v1/rerank/", _RERANK),
    _api("`/reranking`", "llama.cpp's clients", "/reranking", _RERANK),
    _api("`/v1/reranking`", "llama.cpp's clients", "/v1/reranking", _RERANK),
    _api("`/api/rerank`", "Dify (Ollama)", "/api/rerank", _RERANK),
    _api(
        "`/compatible-api/v1/reranks`",
        "LightRAG (DashScope)",
        "/compatible-api/v1/reranks",
        _RERANK,
    ),
    _api("`/score`", "vLLM's clients", "/score", {"text_1": "copper kettle", "text_2": _PAIR}),
    _api(
        "`/v1/score`", "AutoFlow (vLLM)", "/v1/score", {"text_1": "copper kettle", "text_2": _PAIR}
    ),
    _api(
        "`/ranking`",
        "RAGFlow (NVIDIA)",
        "/ranking",
        {"query": {"text": "copper kettle"}, "passages": [{"text": text} for text in _PAIR]},
    ),
    _api(
        "`/nv-rerankqa-mistral-4b-v3/reranking`",
        "RAGFlow (NVIDIA)",
        "/nv-rerankqa-mistral-4b-v3/reranking",
        {"query": {"text": "copper kettle"}, "passages": [{"text": text} for text in _PAIR]},
    ),
    _api(
        "`/v1/ranking`",
        "NVIDIA NIM",
        "/v1/ranking",
        {"query": {"text": "copper kettle"}, "passages": [{"text": text} for text in _PAIR]},
    ),
    _api("`/v1/embeddings`", "OpenAI clients", "/v1/embeddings", {"input": _PAIR, "model": "m"}),
    _api("`/embed`", "TEI's clients", "/embed", {"inputs": _PAIR}),
    _api(
        "`/similarity`",
        "`huggingface_hub`",
        "/similarity",
        {"inputs": {"source_sentence": "copper", "sentences": _PAIR}},
    ),
    _api(
        "`/rerank`, Cohere's body", "Cohere's SDK, RAGFlow", "/v2/rerank", {**_RERANK, "model": "m"}
    ),
    _api(
        "`/rerank`, TEI's body",
        "Haystack, LlamaIndex (TEI)",
        "/rerank",
        {"query": "copper kettle", "texts": _PAIR},
    ),
)

"""The form of each API's answers and errors, chosen by path and request.

`/v1/rerank` belongs to Cohere, Jina, Voyage and vLLM: its answer has the members of all of them,
which do not contradict each other. On `/rerank`, a request with `texts` is TEI's, and one with
`documents` is Infinity's or vLLM's. On every path but `/v2/rerank`, one with `passages` is
NVIDIA's, because its clients differ in the path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sidecar.rerank.answer import RerankAnswer
from sidecar.rerank.cohere import write_cohere_v1, write_cohere_v2
from sidecar.rerank.errors import ErrorAnswer, write_error, write_infinity_error
from sidecar.rerank.infinity import write_infinity
from sidecar.rerank.jina import write_jina
from sidecar.rerank.nvidia import is_nvidia, read_nvidia, write_nvidia
from sidecar.rerank.refusals import Cause
from sidecar.rerank.request import RerankRequest, read_request
from sidecar.rerank.tei import is_tei, read_tei, write_tei, write_tei_error
from sidecar.rerank.vllm import is_vllm, write_vllm
from sidecar.rerank.voyage import write_voyage


@dataclass(frozen=True, slots=True)
class ApiForm:
    """What requests, answers and errors of one API look like. `api` is its name in metrics.

    `read` raises Refusal `missing`, `malformed` or `invalid`.
    """

    api: str
    read: Callable[[Mapping[str, Any]], RerankRequest]
    write: Callable[[RerankAnswer], object]
    write_error: Callable[[Cause, str], ErrorAnswer]


def _write_v1(answer: RerankAnswer) -> dict[str, object]:
    return {**write_voyage(answer), **write_jina(answer), **write_cohere_v1(answer)}


def _write_undecided_error(cause: Cause, message: str) -> ErrorAnswer:
    status, body = write_tei_error(cause, message)
    return status, {**body, "message": message, "detail": message}


V1: Final = ApiForm("v1", read_request, _write_v1, write_error)
V2: Final = ApiForm("v2", read_request, write_cohere_v2, write_error)
TEI: Final = ApiForm("tei", read_tei, write_tei, write_tei_error)
VLLM: Final = ApiForm("vllm", read_request, write_vllm, write_error)
INFINITY: Final = ApiForm("infinity", read_request, write_infinity, write_infinity_error)
NVIDIA: Final = ApiForm("nvidia", read_nvidia, write_nvidia, write_error)

UNDECIDED: Final = ApiForm("rerank", read_request, write_infinity, _write_undecided_error)
"""The form of `/rerank` until its body is parsed; only for errors."""

PATHS: Final[Mapping[str, ApiForm]] = {
    "/v1/rerank": V1,
    "/v2/rerank": V2,
    "/rerank": UNDECIDED,
    "/v1/reranking": V1,  # llama.cpp
    "/reranking": UNDECIDED,  # llama.cpp; NVIDIA's hosted models
    "/nv-rerankqa-mistral-4b-v3/reranking": NVIDIA,  # the path that RAGFlow has for this model
    "/api/rerank": V1,  # forks and adapters of Ollama
    "/compatible-api/v1/reranks": V1,  # DashScope
    "/v1/ranking": NVIDIA,
    "/ranking": NVIDIA,
}
"""Every path, with the form that errors have until the body is parsed."""


def choose_form(path_form: ApiForm, body: Mapping[str, Any]) -> ApiForm:
    """The form for a parsed request to a path with this form."""
    if path_form is V2:
        return V2
    if path_form is NVIDIA or is_nvidia(body):
        return NVIDIA
    if path_form is not UNDECIDED:
        return path_form
    if is_tei(body):
        return TEI
    return VLLM if is_vllm(body) else INFINITY

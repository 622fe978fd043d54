"""One search by template: OpenSearch renders it, and what comes out is rescored as a `_search`.

The parameters of a `_search` in the URL would not help to widen the window: OpenSearch reads
them and then puts the rendered template in their place. So the plain search carries only those
parameters that say how a search is run, and its answer gets the `status` that answers to
templates have and others have not. Any doubt sends the request on as it came.
"""

from __future__ import annotations

from functools import partial

from sidecar.opensearch.answer_rescoring import Search
from sidecar.opensearch.exchange import (
    BODY_LIMIT,
    AsItCame,
    decode_answer,
    decoded_body,
    off_loop,
)
from sidecar.opensearch.json_spans import (
    NotJson,
    Spanned,
    read_document,
    read_object,
    read_unique_value,
)
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.search import search_and_rescore
from sidecar.opensearch.url_parameters import BadUrl, read_url_parameters
from sidecar.relay.content_coding import decode_content, encode_content
from sidecar.relay.errors import UpstreamError
from sidecar.relay.front import Answer, Forward, Request
from sidecar.relay.heads import parse_response_head

# fmt: off
_EXECUTION = frozenset({
    "routing", "preference", "search_type", "request_cache", "ignore_unavailable",
    "allow_no_indices", "expand_wildcards", "ignore_throttled", "batched_reduce_size",
    "pre_filter_shard_size", "max_concurrent_shard_requests", "ccs_minimize_roundtrips",
    "allow_partial_search_results", "cancel_after_time_interval", "phase_took", "typed_keys",
    "rest_total_hits_as_int", "pretty", "human", "error_trace",
})
# fmt: on
_TEMPLATE_KEYS = frozenset({"id", "source", "params"})


async def search_template_and_rescore(
    request: Request, search: Search
) -> tuple[Forward | Answer, Outcome]:
    """Answer one taken search by template, and say what became of it."""
    try:
        plain = await _plain_search(request, search)
    except AsItCame as end:
        outcome = Outcome(search.plan_name, end.status, end.reason)
        return Forward((outcome.header(),)), outcome
    answer, outcome = await search_and_rescore(plain, search)
    if isinstance(answer, Answer):
        answer = await off_loop(len(answer.body), partial(_with_status, answer))
    return answer, outcome


async def _plain_search(request: Request, search: Search) -> Request:
    """The `_search` that does the same; raises AsItCame when it is not certain."""
    head = request.head
    template = _read_template(request)
    written = head.write_upstream(
        method=b"POST",
        target=b"/_render/template",
        content_length=len(template),
        drop=(b"content-encoding", b"accept-encoding", b"expect"),
    )
    try:
        response = await search.upstream.exchange(written, template, limit=BODY_LIMIT)
    except UpstreamError:
        raise AsItCame("failed", "render") from None
    if response.head.status != 200:
        raise AsItCame("failed", "render")
    content, _ = decode_answer(response)
    rendered = _read_rendered(content)

    path, mark, query = head.target.partition(b"?")
    target = path.removesuffix(b"/template") + mark + query
    return Request(
        head.replace(
            start_line=b"POST %s HTTP/1.%d" % (target, 0 if head.http_1_0 else 1),
            method=b"POST",
            target=target,
            fields=tuple(field for field in head.fields if field[0] != b"content-encoding"),
        ),
        rendered,
    )


def _read_template(request: Request) -> bytes:
    """The decompressed body, of which nothing can change the rendered search later."""
    try:
        parameters = read_url_parameters(request.head.target)
    except BadUrl:
        raise AsItCame("skipped", "url_syntax") from None
    if any(parameter.name not in _EXECUTION for parameter in parameters):
        raise AsItCame("skipped", "template")
    body = decoded_body(request)
    try:
        members = read_document(body.decode(), partial(read_object, other=read_unique_value))
    except (UnicodeDecodeError, NotJson):
        raise AsItCame("skipped", "body_syntax") from None
    # `explain` and `profile` beside the template replace those in it.
    if not members.keys() <= _TEMPLATE_KEYS:
        raise AsItCame("skipped", "template")
    return body


def _read_rendered(content: bytes) -> bytes:
    """The search in an answer of `_render/template`, as OpenSearch spelled it."""
    try:
        text = content.decode()
        root = read_document(text, partial(read_object, readers={"template_output": read_object}))
    except (UnicodeDecodeError, NotJson):
        raise AsItCame("failed", "render") from None
    if "template_output" not in root:
        raise AsItCame("failed", "render")
    output: Spanned = root["template_output"]
    # A search by template does not heed these two where the template has them.
    if not output.value.keys().isdisjoint(("explain", "profile")):
        raise AsItCame("skipped", "template")
    return text[output.start : output.end].encode()


def _with_status(answer: Answer) -> Answer:
    """The answer with the last member that those to searches by template have."""
    head = parse_response_head(answer.head)
    if head.status != 200:
        return answer  # an error; its `status` is there
    coding = head.get(b"content-encoding") or b"identity"
    content = decode_content(answer.body, coding, limit=2 * BODY_LIMIT)
    body, closing, behind = content.rpartition(b"}")
    inner = body.rstrip()
    pretty = content.startswith(b"{\n")
    member = b',\n  "status" : 200' if pretty else b',"status":200'
    content = inner + member + body[len(inner) :] + closing + behind
    body = encode_content(content, coding)
    return Answer(head.write_client(content_length=len(body)), body)

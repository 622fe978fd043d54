"""One search by template: OpenSearch renders it, and the result is rescored like a `_search`.

The rendered search is sent as a plain `_search`. URL parameters that select or show hits are not
allowed: in a search by template OpenSearch replaces them by the rendered template. The answer gets
the member `status`, which only answers to searches by template have. In any doubt the request is
forwarded unchanged.
"""

from __future__ import annotations

from functools import partial

from sidecar.config.limits import Limits
from sidecar.opensearch.answer_rescoring import SearchContext
from sidecar.opensearch.exchange import (
    BODY_LIMIT,
    FinalAnswer,
    ForwardUnchanged,
    decode_answer,
    hand_on,
    read_request,
    run_unless_busy,
)
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.rescore_section import cut_rescore_section
from sidecar.opensearch.search import (
    answer_with_rescoring,
    cut_section,
    exchange_or_forward,
    forward_without_rescoring,
)
from sidecar.opensearch.search_request import MAX_KEYS
from sidecar.opensearch.search_response import MAX_VALUES
from sidecar.opensearch.url_options import (
    COPY_OPTIONS,
    EXECUTION_OPTIONS,
    FORMAT_OPTIONS,
    INDEX_OPTIONS,
)
from sidecar.relay.content_coding import decode_content, encode_content
from sidecar.relay.errors import UpstreamError
from sidecar.relay.front import Answer, Forward, Request
from sidecar.relay.heads import parse_response_head
from sidecar.spans.json_amounts import has_more_values
from sidecar.spans.json_spans import (
    NestingTooDeep,
    NotJson,
    Spanned,
    TooMany,
    read_document,
    read_object,
    read_unique_value,
)
from sidecar.spans.url_parameters import (
    BadUrl,
    TooManyParameters,
    read_url_parameters,
)

_ALLOWED_IN_URL = frozenset((*INDEX_OPTIONS, *COPY_OPTIONS, *EXECUTION_OPTIONS, *FORMAT_OPTIONS))
_CODED = 20
"""How many times larger a compressed answer may be when it is decompressed."""

_TEMPLATE_KEYS = frozenset({"id", "source", "params"})


async def search_template_and_rescore(
    request: Request, context: SearchContext
) -> tuple[Forward | Answer, Outcome]:
    """Answer one taken search by template, and return its outcome."""
    caller = context.lessons.caller(request.head)
    try:
        if context.lessons.may_not_render(caller):
            raise ForwardUnchanged("skipped", "render_refused")
        plain = await _render(request, context, caller)
        answer, outcome = await _answer_plain(plain, context)
        if isinstance(answer, Answer):
            answer = await _add_status(answer)
        return answer, outcome
    except ForwardUnchanged as error:
        outcome = Outcome(context.plan_name, error.status, error.reason, key=error.key)
    except FinalAnswer as error:
        outcome = Outcome(context.plan_name, error.status, error.reason)
        if error.response.head.status >= 429:
            return hand_on(error.response, outcome.header()), outcome
        # An error names the refused action, and the client's own action is a different one.
    return Forward((outcome.header(),)), outcome


async def _answer_plain(plain: Request, context: SearchContext) -> tuple[Forward | Answer, Outcome]:
    readable, section = await cut_rescore_section(plain, context.limits)
    own: SearchContext | Outcome = context
    if readable is not plain:
        assert context.with_section is not None
        own = context.with_section(section)
    if isinstance(own, SearchContext):
        context = own
        plugin_readable, context = await cut_section(readable, context)
        try:
            return await answer_with_rescoring(plugin_readable, context)
        except ForwardUnchanged as error:
            if plugin_readable is plain:
                raise
            own = Outcome(context.plan_name, error.status, error.reason, key=error.key)
    # OpenSearch refuses the sections, so the rendered search is sent without them.
    reply = await forward_without_rescoring(readable, own, context.upstream, context.limits)
    if isinstance(reply, Forward) and readable is not plain:
        reply = await exchange_or_forward(readable, own, context.upstream)
    return reply, own


async def _add_status(answer: Answer) -> Answer:
    head = parse_response_head(answer.head)
    if head.status != 200:
        return answer  # an error, which has its `status` already
    coding = head.get(b"content-encoding") or b"identity"
    # A compressed answer may be many times larger when it is decompressed.
    size = len(answer.body) if coding.lower() == b"identity" else _CODED * len(answer.body)
    body = await run_unless_busy(size, lambda: _insert_status(answer.body, coding))
    return Answer(head.write_client(content_length=len(body)), body)


async def _render(request: Request, context: SearchContext, caller: bytes) -> Request:
    """The `_search` that does the same. Raises ForwardUnchanged if that is not certain."""
    head = request.head
    limits = context.limits
    template = await read_request(request, limits, partial(_read_template, head.target, limits))
    written = head.write_with_body(
        template,
        method=b"POST",
        target=b"/_render/template",
        drop=(b"content-encoding", b"accept-encoding", b"expect"),
    )
    try:
        response = await context.upstream.exchange(*written, limit=BODY_LIMIT)
    except UpstreamError:
        raise ForwardUnchanged("failed", "render") from None
    if response.head.status in (401, 403):
        context.lessons.learn_no_rendering(caller)
        raise ForwardUnchanged("skipped", "render_refused")
    if response.head.status != 200:
        raise ForwardUnchanged("failed", "render")
    content, _ = await decode_answer(response)
    rendered = await run_unless_busy(len(content), lambda: _read_rendered(content))

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


def _read_template(target: bytes, limits: Limits, body: bytes) -> bytes:
    """The decompressed body, after a check that nothing beside the template changes the search.

    Raises ForwardUnchanged.
    """
    try:
        parameters = read_url_parameters(target, limits.url_parameters)
    except TooManyParameters:
        raise ForwardUnchanged("skipped", "limits.url_parameters") from None
    except BadUrl:
        raise ForwardUnchanged("skipped", "url_syntax") from None
    if any(parameter.name not in _ALLOWED_IN_URL for parameter in parameters):
        raise ForwardUnchanged("skipped", "template")
    if has_more_values(body, limits.search_values):
        raise ForwardUnchanged("skipped", "limits.search_values")
    try:
        members = read_document(
            body.decode(), partial(read_object, other=read_unique_value, most=len(_TEMPLATE_KEYS))
        )
    except NestingTooDeep:
        raise ForwardUnchanged("skipped", "limits.nesting") from None
    except TooMany:
        raise ForwardUnchanged("skipped", "template") from None
    except (UnicodeDecodeError, NotJson):
        raise ForwardUnchanged("skipped", "body_syntax") from None
    # `explain` and `profile` beside the template replace those in the template.
    if not members.keys() <= _TEMPLATE_KEYS:
        raise ForwardUnchanged("skipped", "template")
    return body


def _read_rendered(content: bytes) -> bytes:
    """The search in an answer of `_render/template`, as OpenSearch wrote it."""
    if has_more_values(content, MAX_VALUES):
        raise ForwardUnchanged("failed", "too_large")
    try:
        text = content.decode()
        readers = {"template_output": partial(read_object, most=MAX_KEYS)}
        root = read_document(text, partial(read_object, readers=readers, most=MAX_KEYS))
    except (UnicodeDecodeError, NotJson):
        raise ForwardUnchanged("failed", "render") from None
    if "template_output" not in root:
        raise ForwardUnchanged("failed", "render")
    output: Spanned = root["template_output"]
    # A search by template ignores these two if the template has them.
    if not output.value.keys().isdisjoint(("explain", "profile")):
        raise ForwardUnchanged("skipped", "template")
    return text[output.start : output.end].encode()


def _insert_status(coded: bytes, coding: bytes) -> bytes:
    """An answer with the member `status` at its end."""
    content = decode_content(coded, coding, limit=2 * BODY_LIMIT)
    body, closing, behind = content.rpartition(b"}")
    inner = body.rstrip()
    pretty = content.startswith(b"{\n")
    member = b',\n  "status" : 200' if pretty else b',"status":200'
    content = inner + member + body[len(inner) :] + closing + behind
    return encode_content(content, coding)

"""Carries out Query and Retrieve: one exchange with OpenSearch, then the models, then one page."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pipelines.scoring import Scorers
from sidecar.event_loop.off_loop import off_loop
from sidecar.kendra.answering.answers import DocumentAnswer, find_answers
from sidecar.kendra.answering.excerpts import cut_retrieved
from sidecar.kendra.answering.faq_choice import choose_faq
from sidecar.kendra.answering.further_passages import read_further
from sidecar.kendra.answering.items import ItemWriter, ResultItem
from sidecar.kendra.answering.page_orders import PageOrder, PageOrders
from sidecar.kendra.answering.query_ids import QueryIds
from sidecar.kendra.answering.query_reply import QueryResults, UpstreamResults, write_query_reply
from sidecar.kendra.answering.ranking import (
    Ranking,
    RequestModels,
    keep_original_order,
    lift,
    rank_documents,
)
from sidecar.kendra.answering.text_passages import SENTENCES_ON_THE_LOOP
from sidecar.kendra.answering.word_terms import WordTerms
from sidecar.kendra.asking.faq import read_faq_entries, write_faq_search
from sidecar.kendra.asking.featured import find_featured, read_featured, write_featured_search
from sidecar.kendra.asking.request import KendraRequest, write_search_body
from sidecar.kendra.asking.tuning import rate
from sidecar.kendra.indexes.found_documents import (
    DocumentSet,
    read_document_set,
    value_fields,
)
from sidecar.kendra.indexes.schema import ask_for_values
from sidecar.kendra.indexes.served_index import ServedIndex
from sidecar.kendra.tables.text_tables import KnownTables
from sidecar.kendra.upstream_search import IndexSearch, UpstreamSearch, read_answers
from sidecar.metrics import Metrics
from sidecar.passage_cutter import PassageCutter

_PAUSE_S: Final = 60.0
"""Seconds without another `_analyze` after one has failed."""


class KendraSearches:
    """Carries out the searches of all indexes. Belongs to one event loop."""

    def __init__(
        self,
        upstream: UpstreamSearch,
        models: Callable[[], Scorers | None],
        passage_cutter: PassageCutter,
        ids: QueryIds,
        metrics: Metrics,
        clock: Callable[[], float],
        orders: PageOrders,
        model_seconds: float,
    ) -> None:
        """`models` returns None until the models are loaded. `model_seconds`: maximum seconds of
        the models per request, after OpenSearch."""
        self._upstream = upstream
        self._loaded = models
        self._passage_cutter = passage_cutter
        self._ids = ids
        self._metrics = metrics
        self._clock = clock
        self._orders = orders
        self._model_seconds = model_seconds
        self._words: dict[str, WordTerms] = {}
        self._tables = KnownTables()
        self._no_analyze_until: dict[tuple[str, str | None], float] = {}

    async def query(
        self, index: ServedIndex, request: KendraRequest, account: str | None, key: bytes
    ) -> dict[str, Any]:
        """The reply to a Query; raises AwsError. `key`: names the question and its caller."""
        order = await self._orders.open(key, request.page.start, self._clock())
        features = find_featured(index.settings, request.query_text) if request.query_text else ()
        upstream_results = await self._gather(index, request, account, features)
        document_set = upstream_results.document_set
        models = self._open_models(index, order)
        scorer = models.scorer if models else None
        entries = await choose_faq(index, request.words, upstream_results.entries, scorer)
        ranking = await self._rank("Query", index, request, document_set, models, order)
        answers: list[DocumentAnswer] = []
        if request.words and request.wants("ANSWER"):
            all_may_answer = request.filter.answers is None
            answers = await find_answers(
                index, request.words, document_set, ranking, scorer, self._tables, all_may_answer
            )
        probabilities = ranking.smooth_probabilities()
        # A table's row may answer better than any passage of its document.
        probabilities |= {each.document.number: each.probability for each in answers}
        self._orders.keep(key, order)
        lifted = self._lift(index, request, document_set, ranking, order.time)
        results = QueryResults(
            upstream_results, lifted, probabilities, answers, entries, frozenset(features)
        )

        async def analyze(body: dict[str, Any]) -> Mapping[str, Any] | None:
            return await self._analyze(index, document_set.index, body, account)

        words = self._words.setdefault(index.id, WordTerms())
        return await write_query_reply(
            request, results, self._writer(index, request), words, analyze
        )

    async def retrieve(
        self, index: ServedIndex, request: KendraRequest, account: str | None, key: bytes
    ) -> dict[str, Any]:
        """The reply to a Retrieve; raises AwsError. `key`: names the question and its caller."""
        order = await self._orders.open(key, request.page.start, self._clock())
        document_set = (await self._gather(index, request, account, ())).document_set
        models = self._open_models(index, order)
        ranking = await self._rank("Retrieve", index, request, document_set, models, order)
        if models is not None:
            ranking = await read_further(
                index, request.words, document_set, ranking, models, self._passage_cutter
            )
        self._orders.keep(key, order)
        lifted = self._lift(index, request, document_set, ranking, order.time)
        most = index.settings.passages_per_document
        end = request.page.start + request.page.size
        passages = await off_loop(
            document_set.size,
            lambda: cut_retrieved(document_set, lifted, request.words, most, end),
            SENTENCES_ON_THE_LOOP,
        )
        page = request.page.cut(passages)
        writer = self._writer(index, request).rate(
            all(passage.number not in ranking.unread for passage in page)
        )

        def write() -> list[ResultItem]:
            return [
                writer.passage(document_set.documents[passage.number], passage) for passage in page
            ]

        items = await off_loop(writer.size(len(page)), write)
        return {"QueryId": writer.query_id, "ResultItems": items}

    async def _gather(
        self,
        index: ServedIndex,
        request: KendraRequest,
        account: str | None,
        features: Sequence[str],
    ) -> UpstreamResults:
        """Search for documents, FAQ entries and featured documents, in one exchange."""
        settings, preference = index.settings, request.preference
        searches = {
            "documents": IndexSearch(settings.index, write_search_body(request, index), preference),
        }
        faq = settings.faq if request.words and request.wants("QUESTION_ANSWER") else None
        if faq and (body := write_faq_search(faq, request.words, request.filter, request.visible)):
            searches["faq"] = IndexSearch(faq.index, body, preference)
        if features and request.page.start == 0:
            values = [*value_fields(settings), *ask_for_values(settings, request.shown_attributes)]
            body = write_featured_search(index, features, request.filters, values)
            searches["featured"] = IndexSearch(settings.index, body, preference)
        models = self._usable_models(index)
        if models and request.words:
            # The models read the query text while OpenSearch searches.
            models.expect((stage.model for stage in index.plan.stages), request.words)
        content = await self._upstream.run(list(searches.values()), account)

        def read() -> UpstreamResults:
            answers = dict(zip(searches, read_answers(content, len(searches)), strict=True))
            return UpstreamResults(
                answers["documents"],
                read_document_set(answers["documents"], settings),
                read_faq_entries(answers["faq"], faq) if faq and "faq" in answers else [],
                read_featured(answers["featured"], settings, features)
                if "featured" in answers
                else [],
            )

        return await off_loop(len(content), read)

    def _usable_models(self, index: ServedIndex) -> Scorers | None:
        return self._loaded() if index.plan.enabled else None

    def _open_models(self, index: ServedIndex, order: PageOrder) -> RequestModels | None:
        """The models, with their deadline counted from now; None if they cannot be used."""
        models = self._usable_models(index) if order.models else None
        if models is None:
            order.models = False
            return None
        deadline = time.monotonic() + self._model_seconds
        return RequestModels(order.scorer(models.scorer(deadline)), deadline)

    async def _rank(
        self,
        operation: str,
        index: ServedIndex,
        request: KendraRequest,
        document_set: DocumentSet,
        models: RequestModels | None,
        order: PageOrder,
    ) -> Ranking:
        if models is None:
            reason = "starting" if index.plan.enabled else "disabled"
            ranking = keep_original_order(document_set, reason)
        elif order.failed:
            ranking = keep_original_order(document_set, order.failed)
        else:
            ranking = await rank_documents(
                index, request.words, document_set, models, self._passage_cutter
            )
        if request.words and document_set.documents:
            self._metrics.kendra_orders.labels(operation, ranking.reason or "ok").inc()
        return order.settle(ranking, document_set)

    def _lift(
        self,
        index: ServedIndex,
        request: KendraRequest,
        document_set: DocumentSet,
        ranking: Ranking,
        now: float,
    ) -> Ranking:
        fields = [document.fields for document in document_set.documents]
        ratings = rate(request.tuning, index.settings, fields, now, request.words)
        return lift(ranking, ratings, index.settings.boost_weight)

    def _writer(self, index: ServedIndex, request: KendraRequest) -> ItemWriter:
        return ItemWriter(
            index, self._ids.new(index.id, self._clock()), self._ids, request.shown_attributes
        )

    async def _analyze(
        self,
        index: ServedIndex,
        name: str | None,
        body: dict[str, Any],
        account: str | None,
    ) -> Mapping[str, Any] | None:
        # One account may be refused what another account may do.
        now, key = time.monotonic(), (index.id, account)
        if now < self._no_analyze_until.get(key, 0.0):
            return None
        answer = await self._upstream.analyze(name or index.settings.index, body, account)
        if answer is None:
            self._no_analyze_until[key] = now + _PAUSE_S
        return answer

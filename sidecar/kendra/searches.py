"""Query and Retrieve: one exchange with OpenSearch, then the models, then the page asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pipelines.scoring import Scorers
from sidecar.kendra.answers import Answer, find_answers
from sidecar.kendra.excerpts import cut_retrieved
from sidecar.kendra.faq import choose_faq, read_faq_entries, write_faq_search
from sidecar.kendra.featured import find_featured, read_featured, write_featured_search
from sidecar.kendra.found_documents import Found, read_found, value_fields
from sidecar.kendra.items import ItemWriter
from sidecar.kendra.query_ids import QueryIds
from sidecar.kendra.query_reply import Gathered, QueryResults, write_query_reply
from sidecar.kendra.ranking import Models, Ranking, lift, rank_documents
from sidecar.kendra.request import Asked, write_search_body
from sidecar.kendra.schema import ask_for_values
from sidecar.kendra.served_index import ServedIndex
from sidecar.kendra.text_tables import KnownTables
from sidecar.kendra.tuning import rate
from sidecar.kendra.upstream_search import Search, UpstreamSearch, read_answers
from sidecar.kendra.word_terms import WordTerms
from sidecar.metrics import Metrics
from sidecar.opensearch.exchange import off_loop
from sidecar.split_documents import SplitDocuments

_PAUSE_S: Final = 60.0
"""After a refused `_analyze` it is not asked for again so soon."""


class Searches:
    """Carries out the searches of all indexes. Belongs to one event loop."""

    def __init__(
        self,
        upstream: UpstreamSearch,
        models: Callable[[], Scorers | None],
        documents: SplitDocuments,
        ids: QueryIds,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        """`models` gives None while they are being loaded."""
        self._upstream = upstream
        self._loaded = models
        self._documents = documents
        self._ids = ids
        self._metrics = metrics
        self._clock = clock
        self._words: dict[str, WordTerms] = {}
        self._tables = KnownTables()
        self._no_analyze_until: dict[tuple[str, str | None], float] = {}

    async def query(self, index: ServedIndex, asked: Asked, account: str | None) -> dict[str, Any]:
        """The reply to a Query; raises AwsError."""
        features = find_featured(index.settings, asked.query_text) if asked.query_text else ()
        gathered = await self._gather(index, asked, account, features)
        found = gathered.found
        models = self._open_models(index)
        scorer = models.scorer if models else None
        entries = await choose_faq(index, asked.words, gathered.entries, scorer)
        ranking = await self._rank("Query", index, asked, found, models)
        answers: list[Answer] = []
        if asked.words and asked.wants("ANSWER"):
            may_all = asked.filter.answers is None
            answers = await find_answers(
                index, asked.words, found, ranking, scorer, self._tables, may_all
            )
        lifted = self._lift(index, asked, found, ranking)
        results = QueryResults(gathered, lifted, answers, entries, frozenset(features))

        async def analyze(body: dict[str, Any]) -> Mapping[str, Any] | None:
            return await self._analyze(index, found.index, body, account)

        words = self._words.setdefault(index.id, WordTerms())
        return await write_query_reply(asked, results, self._writer(index, asked), words, analyze)

    async def retrieve(
        self, index: ServedIndex, asked: Asked, account: str | None
    ) -> dict[str, Any]:
        """The reply to a Retrieve; raises AwsError."""
        found = (await self._gather(index, asked, account, ())).found
        ranking = await self._rank("Retrieve", index, asked, found, self._open_models(index))
        lifted = self._lift(index, asked, found, ranking)
        most = index.settings.passages_per_document
        end = asked.page.start + asked.page.size
        passages = await off_loop(
            found.size, lambda: cut_retrieved(found, lifted, asked.words, most, end)
        )
        writer = self._writer(index, asked)
        items = [
            writer.passage(found.documents[passage.number], passage)
            for passage in asked.page.cut(passages)
        ]
        return {"QueryId": writer.query_id, "ResultItems": items}

    async def _gather(
        self, index: ServedIndex, asked: Asked, account: str | None, features: Sequence[str]
    ) -> Gathered:
        """Everything that OpenSearch is asked for, in one exchange."""
        settings, copies = index.settings, asked.copies
        searches = {
            "documents": Search(settings.index, write_search_body(asked, index), copies),
        }
        faq = settings.faq if asked.words and asked.wants("QUESTION_ANSWER") else None
        if faq and (body := write_faq_search(faq, asked.words, asked.filter, asked.visible)):
            searches["faq"] = Search(faq.index, body, copies)
        if features and asked.page.start == 0:
            values = [*value_fields(settings), *ask_for_values(settings, asked.shown)]
            body = write_featured_search(index, features, asked.filters, values)
            searches["featured"] = Search(settings.index, body, copies)
        models = self._usable_models(index)
        if models and asked.words:
            # Read while OpenSearch searches.
            models.expect((stage.model for stage in index.plan.stages), asked.words)
        content = await self._upstream.run(list(searches.values()), account)

        def read() -> Gathered:
            answers = dict(zip(searches, read_answers(content, len(searches)), strict=True))
            return Gathered(
                answers["documents"],
                read_found(answers["documents"], settings),
                read_faq_entries(answers["faq"], faq) if faq and "faq" in answers else [],
                read_featured(answers["featured"], settings, features)
                if "featured" in answers
                else [],
            )

        return await off_loop(len(content), read)

    def _usable_models(self, index: ServedIndex) -> Scorers | None:
        return self._loaded() if index.plan.enabled else None

    def _open_models(self, index: ServedIndex) -> Models | None:
        """The models until the plan's deadline from now; None when they do not take part."""
        models = self._usable_models(index)
        if models is None:
            return None
        deadline = time.monotonic() + index.plan.deadline_ms / 1000
        return Models(models.scorer(deadline), deadline)

    async def _rank(
        self,
        operation: str,
        index: ServedIndex,
        asked: Asked,
        found: Found,
        models: Models | None,
    ) -> Ranking:
        if models is None:
            reason = "starting" if index.plan.enabled else "disabled"
            ranking = Ranking(tuple(range(len(found.documents))), reason=reason)
        else:
            ranking = await rank_documents(index, asked.words, found, models, self._documents)
        if asked.words and found.documents:
            self._metrics.kendra_orders.labels(operation, ranking.reason or "ok").inc()
        return ranking

    def _lift(self, index: ServedIndex, asked: Asked, found: Found, ranking: Ranking) -> Ranking:
        fields = [document.fields for document in found.documents]
        ratings = rate(asked.tuning, index.settings, fields, self._clock())
        return lift(ranking, ratings, index.settings.boost_weight)

    def _writer(self, index: ServedIndex, asked: Asked) -> ItemWriter:
        return ItemWriter(index, self._ids.new(index.id, self._clock()), self._ids, asked.shown)

    async def _analyze(
        self,
        index: ServedIndex,
        name: str | None,
        body: dict[str, Any],
        account: str | None,
    ) -> Mapping[str, Any] | None:
        # An account may be refused what another one may ask.
        now, asking = time.monotonic(), (index.id, account)
        if now < self._no_analyze_until.get(asking, 0.0):
            return None
        answer = await self._upstream.analyze(name or index.settings.index, body, account)
        if answer is None:
            self._no_analyze_until[asking] = now + _PAUSE_S
        return answer

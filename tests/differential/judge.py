"""Sends a request both ways and says whether the answers agree."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.differential.case import Case
from tests.differential.comparison import (
    Answer,
    Difference,
    compare_answers,
    compare_outcome,
    outcome_label,
)
from tests.differential.corpus import Corpus
from tests.differential.extended import shows, take_out, with_section
from tests.differential.reversal import compare_reversed
from tests.differential.settings import Setting, running_setting
from tests.differential.wire import KeptConnection
from tests.nodes.node import Node
from tests.raw_http import RawResponse

_REPETITIONS = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one request ended: its outcome as X-Rescore has it, the direct status, and what differs.

    `steady` is false where the answers differ in some repetitions only, or where direct answers
    differ among themselves: such a difference is OpenSearch's own.
    """

    outcome: str
    status: int
    difference: Difference | None = None
    steady: bool = True


class Judge:
    """Judges the requests of one setting; may be called from several threads."""

    def __init__(
        self, direct: tuple[str, int], proxy: tuple[str, int], corpus: Corpus, setting: Setting
    ) -> None:
        self._addresses = {"direct": direct, "proxy": proxy}
        self._corpus = corpus
        self.setting = setting
        self._kept = threading.local()
        self._connections: list[KeptConnection] = []

    def judge(self, case: Case) -> Verdict:
        direct, through = self._ask_directly(case), self._ask_proxy(case)
        status = 0 if isinstance(direct, str) else direct.status
        outcome = outcome_label(through)
        difference = self._compare(case, direct, through)
        if difference is None and self.setting == "extended" and outcome != "forwarded":
            return self._judge_section(case, direct, Verdict(outcome, status))
        if difference is None:
            return Verdict(outcome, status)
        for _ in range(_REPETITIONS):
            again = self._ask_directly(case)
            if compare_answers(direct, again) or not self._compare(
                case, again, self._ask_proxy(case)
            ):
                return Verdict(outcome, status, difference, steady=False)
        return Verdict(outcome, status, difference)

    def _judge_section(self, case: Case, direct: Answer, without: Verdict) -> Verdict:
        """The verdict on the same search with its section; `without` if it has none.

        An `_msearch` that is not in pairs of lines is forwarded with its sections.
        """
        extended = with_section(case)
        if extended is None or without.outcome == "skipped; reason=multi_search":
            return without
        for _ in range(_REPETITIONS + 1):
            through = self._exchange("proxy")(extended.write(self._corpus.pit))
            outcome = f"{outcome_label(through)} (ext.rescore)"
            pair: tuple[RawResponse | str, RawResponse | str] = (direct, through)
            if isinstance(direct, RawResponse) and isinstance(through, RawResponse):
                if shows(case, through):
                    outcome = f"{outcome_label(through)} (ext.rescore, explained)"
                pair = take_out(case, direct, through)
            difference = self._compare(case, *pair)
            if difference is None:
                return Verdict(outcome, without.status)
            again = self._ask_directly(case)
            if compare_answers(direct, again):
                return Verdict(outcome, without.status, difference, steady=False)
        return Verdict(outcome, without.status, difference)

    def differs(self, case: Case) -> bool:
        """Whether a request gets different answers each time."""
        verdict = self.judge(case)
        return verdict.difference is not None and verdict.steady

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _compare(self, case: Case, direct: Answer, through: Answer) -> Difference | None:
        different = compare_outcome(through, routed=self.setting != "none")
        if different is not None:
            return different
        if self.setting != "reverse":
            return compare_answers(direct, through)
        try:
            return compare_reversed(
                case, direct, through, self._ask_directly, self._corpus.with_text
            )
        except (ConnectionError, KeyError, TypeError, ValueError) as error:
            # No such page can be expected: the proxy should have left this search alone.
            return Difference("rescored", f"{type(error).__name__}: {error}", str(through)[:500])

    def _ask_directly(self, case: Case) -> Answer:
        return self._exchange("direct")(case.write(self._corpus.pit))

    def _ask_proxy(self, case: Case) -> Answer:
        return self._exchange("proxy")(case.write(self._corpus.pit))

    def _exchange(self, side: str) -> Callable[[bytes], Answer]:
        """A thread's own connection to this side."""
        connection: KeptConnection | None = getattr(self._kept, side, None)
        if connection is None:
            connection = KeptConnection(*self._addresses[side])
            setattr(self._kept, side, connection)
            self._connections.append(connection)
        return connection.exchange


@contextmanager
def running_judge(folder: Path, node: Node, corpus: Corpus, setting: Setting) -> Iterator[Judge]:
    """A judge with a sidecar of this setting before a node that has the corpus."""
    with running_setting(folder, node.url, setting) as sidecar:
        judge = Judge((node.host, node.port), sidecar.proxy, corpus, setting)
        try:
            yield judge
        finally:
            judge.close()

"""Sends attacks one after the other, and measures what each costs the sidecar.

Measured from outside, in the kernel's own counts: CPU time of the event loop's thread and of all
threads until the sidecar is idle again, also when the attacker has left; and the peak of memory.
Beside each fourth attack an ordinary search has to be answered.
"""

from __future__ import annotations

import contextlib
import random
import socket
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tests.amounts import framing, searches, services
from tests.amounts.attacks import Attack, post, query
from tests.amounts.process import INDEX, Served, query_texts
from tests.raw_http import RawResponse, read_response, send

KINDS: Mapping[str, Callable[[random.Random], Attack]] = {
    make.__name__: make
    for make in (
        searches.repeated_in_search,
        searches.nested_search,
        searches.msearch_items,
        searches.index_names,
        searches.url_parameters,
        searches.typed_words,
        searches.wide_pages,
        searches.broken_bodies,
        framing.gzip_members,
        framing.small_chunks,
        framing.odd_chunks,
        framing.many_headers,
        framing.pipelined,
        framing.empty_lines,
        framing.half_requests,
        services.rerank_amounts,
        services.api_codings,
        services.cbor_amounts,
        services.tencent_urls,
        services.ordinary,
    )
}

STALL_S = 0.020
"""CPU time in one turn of the event loop."""

CPU_S = 0.100
"""CPU time of all threads for one request that no model worked for."""

MODEL_CPU_S = 2.0
"""The same where a model read texts, which is what the sidecar is for; its deadline bounds it."""

PIPELINED_CPU_S = 0.005
"""And for each further request on a connection: a model reads the query text of a search."""

GROWTH_MB = 64.0
"""Memory that one request may take for a time."""

KEPT_MB = 200.0
"""Memory that may be in use more at the end than at the start."""

PATIENCE_S = 20.0
_ATTEMPTS = 3
_HALVES = 100
"""Half requests that are open at a time."""

_MODEL_WORKED = ("applied", "partial", "failed; reason=deadline")


@dataclass(frozen=True, slots=True)
class Figures:
    """What one attack has cost."""

    kind: str
    number: int
    amount: int
    outcome: str
    loop_s: float
    cpu_s: float
    stall_s: float
    waited_s: float
    """The longest time that the loop waited for a thread. Not judged: a busy machine makes it."""

    grown_mb: float
    beside_s: float | None
    faults: tuple[str, ...]


@dataclass
class Report:
    """All of a run."""

    figures: list[Figures] = field(default_factory=list)
    start_mb: float = 0.0
    end_mb: float = 0.0
    seconds: float = 0.0
    unsteady: int = 0
    """Attacks that passed a bound at one attempt and at the next did not."""

    faults: list[str] = field(default_factory=list)


def make_attack(seed: int, number: int) -> tuple[str, Attack]:
    """The same seed and number always make the same attack."""
    chance = random.Random(f"{seed}/{number}")
    kind = list(KINDS)[number % len(KINDS)]
    return kind, KINDS[kind](chance)


def run(
    served: Served, seed: int, numbers: Iterable[int], advance: Callable[[], object] = lambda: None
) -> Report:
    """Make these attacks of a seed; `advance` is called after each."""
    attacker = _Attacker(served)
    attacker.warm_up()
    report = Report(start_mb=served.memory_mb())
    began = time.monotonic()
    for number in numbers:
        kind, attack = make_attack(seed, number)
        figures = attacker.measure(kind, number, attack)
        # What the sidecar does by itself, as reading passages on after a deadline, may fall into
        # the time of any attack. A fault is what each of three attempts shows.
        for _ in range(_ATTEMPTS - 1):
            if figures.faults:
                again = attacker.measure(kind, number, attack)
                report.unsteady += not again.faults
                figures = again
        report.figures.append(figures)
        advance()
    attacker.close()
    report.seconds = time.monotonic() - began
    report.end_mb = served.memory_mb()
    if report.end_mb - report.start_mb > KEPT_MB:
        report.faults.append(f"memory: {report.start_mb:.0f} MB before, {report.end_mb:.0f} after")
    return report


class _Attacker:
    def __init__(self, served: Served) -> None:
        self._served = served
        self._halves: deque[socket.socket] = deque()
        self._ordinary = _Ordinary(served)

    def warm_up(self) -> None:
        """Let the models read what the ordinary searches find, and learn what one costs."""
        for _ in range(3):
            self._ordinary.ask_all()
        self._served.wait_until_read()
        self._spinning = self._find_spinning()
        costs = []
        for _ in range(9):
            loop, cpu = self._served.loop_seconds(), self._served.seconds(self._spinning)
            self._ordinary.ask()
            self._settle()
            costs.append(
                (self._served.loop_seconds() - loop, self._served.seconds(self._spinning) - cpu)
            )
        self._loop_cost = statistics.median(loop for loop, _ in costs)
        self._cpu_cost = statistics.median(cpu for _, cpu in costs)
        self._computing = self._served.stalls("computing")
        self._waiting = self._served.stalls("waiting")

    def close(self) -> None:
        while self._halves:
            self._halves.popleft().close()
        self._ordinary.close()
        self._settle()

    def measure(self, kind: str, number: int, attack: Attack) -> Figures:
        served = self._served
        faults = []
        served.forget_peak()
        memory, loop, cpu = (
            served.memory_mb(),
            served.loop_seconds(),
            served.seconds(self._spinning),
        )
        sending = _Sending(served.proxy if attack.to == "proxy" else served.api, attack)
        beside: float | None = None
        if (number + number // len(KINDS)) % 4 == 0:
            beside = self._ordinary.ask()
            if self._ordinary.failure:
                faults.append(f"the search beside it: {self._ordinary.failure}")
        outcome, worked = sending.wait()
        if attack.answers == 0:
            self._halves.append(sending.connection)
            if len(self._halves) > _HALVES:
                self._halves.popleft().close()
        elif outcome == "silence" and self._node_answers(attack):
            faults.append("no answer")
        if not self._settle():
            faults.append("still working long after")
        loop = served.loop_seconds() - loop - (self._loop_cost if beside is not None else 0.0)
        cpu = served.seconds(self._spinning) - cpu - (self._cpu_cost if beside is not None else 0.0)
        grown = served.peak_mb() - memory
        stall = waited = 0.0
        if loop > STALL_S or cpu > CPU_S:
            computing, waiting = served.stalls("computing"), served.stalls("waiting")
            stall = min(loop, computing.longest_since(self._computing))
            waited = waiting.longest_since(self._waiting)
            self._computing, self._waiting = computing, waiting
        if stall > STALL_S:
            faults.append(f"stall {stall * 1000:.0f} ms")
        most = MODEL_CPU_S if worked else CPU_S + PIPELINED_CPU_S * attack.answers
        if cpu > most:
            faults.append(f"CPU {cpu * 1000:.0f} ms")
        if grown > GROWTH_MB:
            faults.append(f"memory {grown:+.0f} MB")
        return Figures(
            *(kind, number, attack.amount, outcome, loop, cpu, stall, waited, grown, beside),
            tuple(faults),
        )

    def _node_answers(self, attack: Attack) -> bool:
        if attack.to == "api":
            return True
        node = self._served.node
        return _Sending((node.host, node.port), attack).wait()[0] != "silence"

    def _find_spinning(self) -> frozenset[str]:
        """Threads that use CPU time with nothing to do: those of the models' library.

        What they do for a model is not judged, and while nothing is done they would hide the rest.
        """
        before, seconds = self._served.threads(), 2.0
        time.sleep(seconds)
        return frozenset(
            task
            for task, (cpu, _) in self._served.threads().items()
            if task != str(self._served.pid)
            and cpu - before.get(task, (0.0, 0.0))[0] > seconds / 100
        )

    def _settle(self) -> bool:
        """Wait until the sidecar does nothing; False when it works on and on.

        A thread that is ready and gets no processor, on a busy machine, has work still.
        """
        end = time.monotonic() + 2 * PATIENCE_S
        before = self._served.wanted_seconds(self._spinning)
        while time.monotonic() < end:
            time.sleep(0.004)
            now = self._served.wanted_seconds(self._spinning)
            # The watch over the loop itself takes about 1 % of a core.
            if now - before < 0.0008:
                return True
            before = now
        return False


class _Sending:
    """One attack on its way, on a connection and in a thread of its own."""

    def __init__(self, address: tuple[str, int], attack: Attack) -> None:
        self._attack = attack
        self.connection = socket.create_connection(address, PATIENCE_S)
        self._outcome = ""
        self._worked = False
        self._thread = threading.Thread(target=self._exchange)
        self._thread.start()

    def wait(self) -> tuple[str, bool]:
        """How it ended, and whether a model worked for it."""
        self._thread.join()
        return self._outcome, self._worked

    def _exchange(self) -> None:
        if self._attack.answers == 0:
            self._outcome = "half"
            self._send()
            return
        sender = threading.Thread(target=self._send)
        sender.start()
        try:
            with self.connection.makefile("rb") as stream:
                for _ in range(self._attack.answers):
                    response = read_response(stream)
                    self._outcome = str(response.status)
                    self._worked |= _model_worked(response, self._attack)
        except TimeoutError:
            self._outcome = "silence"
        except (OSError, EOFError, ValueError):
            self._outcome = self._outcome or "closed"
        finally:
            # Also ends a sender whose bytes nobody reads any more.
            self._cut()
            sender.join()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def _send(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.sendall(self._attack.raw)


def _model_worked(response: RawResponse, attack: Attack) -> bool:
    if attack.to == "api":
        return response.status == 200 and not attack.raw.startswith(b"GET /healthz")
    return any(value.startswith(_MODEL_WORKED) for value in response.values("X-Rescore"))


class _Ordinary:
    """Searches as users make them, on a connection that is kept."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.failure = ""
        self._searches = [
            post(f"/{INDEX}/_search", query(text), "Content-Type: application/json")
            for text in query_texts()[:20]
        ]
        self._next = 0
        self._connection: socket.socket | None = None

    def ask(self) -> float:
        """Seconds until there is an answer or `failure` says what came in its place.

        What the node does not answer either, because its own memory is full, is no failure.
        """
        began = time.monotonic()
        raw = self._searches[self._next % len(self._searches)]
        self._next += 1
        self.failure = ""
        try:
            if self._connection is None:
                self._connection = socket.create_connection(self._served.proxy, PATIENCE_S)
            self._connection.sendall(raw)
            with self._connection.makefile("rb") as stream:
                response = read_response(stream)
            if response.status != 200 and self._node_answers(raw):
                self.failure = f"{response.status} {response.body[:200]!r}"
            elif response.status == 200 and not response.values("X-Rescore"):
                self.failure = "no X-Rescore"
        except (OSError, EOFError, ValueError) as error:
            self.failure = f"{type(error).__name__} {error}"
            self.close()
        return time.monotonic() - began

    def _node_answers(self, raw: bytes) -> bool:
        node = self._served.node
        return send(node.host, node.port, raw, PATIENCE_S).status == 200

    def ask_all(self) -> None:
        for _ in self._searches:
            self.ask()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

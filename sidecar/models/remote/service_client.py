"""HTTP calls of a service, within a deadline; counts and logs each outcome.

Calls come from the model's threads and block them. An event loop in a thread of its own does the
network, with aiohttp: connections are kept and shared, and a time limit holds for the whole call. A
call is sent once; nothing is sent again. Log lines and errors have no text of calls or answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, TraceConfig

from pipelines.errors import BadScores, DeadlinePassed, ModelFailed, Overloaded
from sidecar.metrics import Metrics
from sidecar.models.backends.base import CALL_DEADLINE
from sidecar.models.breaker import Breaker

CONNECTIONS = 4
"""Calls of one model at a time, each on a connection of its own."""

_IDLE_S = 60.0
MOST_FAILURES = 5
"""Failures in a row after which no calls are sent for a while."""

PAUSE_S = 5.0
"""For so long; then one call tries."""

_LOG_S = 10.0
_BUSY = (429, 503)
_WAITING = frozenset({"connection", "timeout", "busy"})

Value = TypeVar("Value")

_log = logging.getLogger(__name__)


class CallFailed(Exception):
    """A call that has no usable answer; `outcome` is a label of the metric."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.is_counted = False

    @property
    def may_pass(self) -> bool:
        """Whether the service may only be starting or busy; otherwise a setting is wrong."""
        return self.outcome in _WAITING


class ServiceClient:
    """The calls of one remote model. `timeout_s` is the maximum for one call."""

    def __init__(
        self,
        name: str,
        address: str,
        key: str | None,
        tls: ssl.SSLContext | None,
        timeout_s: float,
        metrics: Metrics,
    ) -> None:
        self._name = name
        self._address = address
        self._key = key
        self._tls = tls
        self._timeout_s = timeout_s
        self._calls = metrics.remote_calls
        self._breaker = Breaker(MOST_FAILURES, PAUSE_S, PAUSE_S)
        self._usual_s = 0.0
        self._logged: dict[str, tuple[float, int]] = {}
        self._log_lock = threading.Lock()
        self._session: ClientSession | None = None
        self.connections_made = 0
        """Connections made so far; the service may be another one after a new connection."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"calls-{name}", daemon=True
        )
        self._thread.start()

    def ask(self, body: object, most_bytes: int, read: Callable[[Any], Value]) -> Value:
        """Send a call and return what `read` makes of the answer's JSON.

        `read` raises BadScores for a wrong answer, and CallFailed. Raises ModelFailed, Overloaded,
        DeadlinePassed or BadScores. The deadline is `CALL_DEADLINE`.
        """
        if not self._breaker.allow():
            self._calls.labels(self._name, "open").inc()
            raise ModelFailed(f"the service of model {self._name!r} fails; it is tried again soon")
        started = time.monotonic()
        left = self._time_left(started)
        try:
            value = self.try_once(body, most_bytes, read)
        except CallFailed as error:
            # A call with less time than usual calls take says nothing about the service.
            if error.outcome == "deadline" and left < 2 * self._usual_s:
                self._breaker.give_up()
            else:
                self._breaker.fail()
            self._tell(error)
            raise _as_rescore_error(self._name, error) from None
        except BaseException:
            self._breaker.fail()
            raise
        self._usual_s += 0.2 * (time.monotonic() - started - self._usual_s)
        self._breaker.succeed()
        return value

    def try_once(
        self,
        body: object,
        most_bytes: int,
        read: Callable[[Any], Value],
        address: str | None = None,
    ) -> Value:
        """The same without the breaker and the log. `body` None: a GET. Raises CallFailed."""
        try:
            answer = self._send(address or self._address, body, most_bytes)
            value = read(_parse(answer))
        except CallFailed as error:
            self._count(error)
            raise
        except BadScores as error:
            failure = CallFailed("answer", str(error))
            self._count(failure)
            raise failure from None
        self._calls.labels(self._name, "ok").inc()
        return value

    def close(self) -> None:
        """Close the connections and end the thread."""
        if self._session is not None:
            asyncio.run_coroutine_threadsafe(self._session.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _count(self, error: CallFailed) -> None:
        """Count a failure once, also if it is that of a call within `read`."""
        if not error.is_counted:
            error.is_counted = True
            self._calls.labels(self._name, error.outcome).inc()

    def _time_left(self, now: float) -> float:
        deadline = CALL_DEADLINE.get()
        return self._timeout_s if deadline is None else min(self._timeout_s, deadline - now)

    def _send(self, address: str, body: object, most_bytes: int) -> bytes:
        left = self._time_left(time.monotonic())
        outcome = "timeout" if left >= self._timeout_s else "deadline"
        if left <= 0:
            raise CallFailed("deadline", "the deadline has passed")
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        call = asyncio.wait_for(self._exchange(address, content, most_bytes), left)
        try:
            return asyncio.run_coroutine_threadsafe(call, self._loop).result()
        except TimeoutError:
            raise CallFailed(outcome, f"no answer within {left * 1000:.0f} ms") from None
        except (ClientError, OSError) as error:
            raise CallFailed(
                "connection", f"no connection or no whole answer: {_kind(error)}"
            ) from None
        except ValueError as error:  # such as a head that is no HTTP
            raise CallFailed("answer", f"no HTTP answer: {_kind(error)}") from None

    async def _exchange(self, address: str, content: bytes | None, most_bytes: int) -> bytes:
        session = self._open_session()
        method = "GET" if content is None else "POST"
        async with session.request(method, address, data=content, allow_redirects=False) as answer:
            if answer.status != 200:
                outcome = "busy" if answer.status in _BUSY else "status"
                raise CallFailed(outcome, f"the service answered with status {answer.status}")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise CallFailed("answer", "the answer is compressed, although nobody asked for it")
            parts, size = [], 0
            async for part in answer.content.iter_any():
                size += len(part)
                if size > most_bytes:
                    answer.close()
                    raise CallFailed("answer", f"the answer is larger than {most_bytes} bytes")
                parts.append(part)
            return b"".join(parts)

    def _open_session(self) -> ClientSession:
        if self._session is None:
            tracing = TraceConfig()
            tracing.on_connection_create_end.append(self._count_connection)
            fields = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
            if self._key is not None:
                fields["Authorization"] = f"Bearer {self._key}"
            self._session = ClientSession(
                connector=TCPConnector(
                    ssl=True if self._tls is None else self._tls,
                    limit=CONNECTIONS,
                    keepalive_timeout=_IDLE_S,
                ),
                timeout=ClientTimeout(total=None),  # `_send` limits the whole call
                headers=fields,
                auto_decompress=False,
                trust_env=False,
                trace_configs=[tracing],
            )
        return self._session

    async def _count_connection(self, *_: object) -> None:
        self.connections_made += 1

    def _tell(self, error: CallFailed) -> None:
        """Log a failure, at most one line for each outcome in ten seconds."""
        if error.outcome == "deadline":
            return  # as with a local model: the search's own line says it
        now = time.monotonic()
        with self._log_lock:
            last, silent = self._logged.get(error.outcome, (-_LOG_S, 0))
            if now - last < _LOG_S:
                self._logged[error.outcome] = (last, silent + 1)
                return
            self._logged[error.outcome] = (now, 0)
        more = f" (and {silent} times since the last such line)" if silent else ""
        _log.warning("model %s: %s: %s%s", self._name, error.outcome, error, more)


def _parse(answer: bytes) -> Any:
    try:
        return json.loads(answer, parse_constant=_refuse)
    except BadScores:
        raise
    except (RecursionError, ValueError):
        raise BadScores("the answer is not JSON, or too deep") from None


def _refuse(_: str) -> None:
    raise BadScores("the answer has a number that is not finite")


def _kind(error: BaseException) -> str:
    """The error's class and the system's words; never what the service has said."""
    number = getattr(error, "errno", None)
    return type(error).__name__ + (f", errno {number}" if number else "")


def _as_rescore_error(name: str, error: CallFailed) -> Exception:
    message = f"model {name!r}: {error}"
    if error.outcome == "deadline":
        return DeadlinePassed(message)
    if error.outcome == "busy":
        return Overloaded(message)
    return BadScores(message) if error.outcome == "answer" else ModelFailed(message)

"""The paths of the page: its files, and the calls under `/ui/api`."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from sidecar.api.json_bodies import TooManyValues, parse_json
from sidecar.api.request_body import BodyError, BodyReader
from sidecar.config.main_file import Config
from sidecar.event_loop.off_loop import Busy, off_loop
from sidecar.page.collection import PageCollection
from sidecar.page.gate import PageGate
from sidecar.page.lists import read_lists
from sidecar.page.live_samples import LiveSamples
from sidecar.page.page_search import PageSearches
from sidecar.page.plan_texts import list_plans
from sidecar.page.refusals import PageRefusal
from sidecar.page.requests import read_account, read_page_search
from sidecar.page.static_files import PAGE_HEADERS, StaticFile, answer_file

_SEARCH_BYTES: Final = 1 << 20
_LIST_BYTES: Final = 16 << 20
_MOST_VALUES: Final = 100_000
_SMALL: Final = 1024

_log = logging.getLogger(__name__)

Work = Callable[[web.Request], Awaitable[bytes]]


class PageHandlers:
    """Answers the page's requests. `files`: the page's own, by name."""

    def __init__(
        self,
        gate: PageGate,
        bodies: BodyReader,
        searches: PageSearches,
        live: LiveSamples,
        config: Config,
        folder: Path,
        collection: PageCollection | None,
    ) -> None:
        self._gate = gate
        self._bodies = bodies
        self._searches = searches
        self._live = live
        self._config = config
        self._folder = folder
        self._collection = collection
        self.files: Mapping[str, StaticFile] = {}

    def routes(self) -> Sequence[web.RouteDef]:
        """All paths."""
        calls: Sequence[tuple[str, str, Work]] = (
            ("GET", "plans", self._list_plans),
            ("GET", "collection", self._show_collection),
            ("GET", "live", self._show_live),
            ("POST", "search", self._search),
            ("POST", "lists", self._read_lists),
        )
        return (
            web.get("/ui", self._redirect),
            web.get("/ui/", self._answer_file),
            web.get("/ui/{name}", self._answer_file),
            *(
                web.route(method, f"/ui/api/{name}", self._answering(work))
                for method, name, work in calls
            ),
        )

    async def _redirect(self, _: web.Request) -> web.Response:
        # Relative names in the page need the slash; browsers keep what stands behind `#`.
        return web.Response(status=308, headers={"Location": "/ui/"})

    async def _answer_file(self, request: web.Request) -> web.Response:
        file = self.files.get(request.match_info.get("name", "index.html"))
        try:
            self._gate.admit_file(request)
        except PageRefusal as refusal:
            return _refuse(refusal)
        if file is None:
            return web.Response(status=404, text="the page has no such file\n")
        return answer_file(request, file)

    def _answering(self, work: Work) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            try:
                self._gate.admit_call(request)
                content = await work(request)
                return await _write(request, content)
            except PageRefusal as refusal:
                return _refuse(refusal)
            except Busy:
                return _refuse(PageRefusal("busy", "the sidecar has too much to do; try again"))
            except Exception:
                _log.exception("a call of the page failed; it is a bug")
                return _refuse(PageRefusal("internal", "an error within the sidecar; see its log"))

        return answer

    async def _search(self, request: web.Request) -> bytes:
        account = read_account(request.headers.get("Authorization"))
        asked = read_page_search(await self._receive(request, _SEARCH_BYTES, _MOST_VALUES))
        return await self._searches.run(asked, account)

    async def _read_lists(self, request: web.Request) -> bytes:
        asked = await self._receive(request, _LIST_BYTES, _MOST_VALUES)
        size = sum(len(value) for value in asked.values() if isinstance(value, str))
        return await off_loop(size, lambda: _dump(read_lists(asked)))

    async def _list_plans(self, _: web.Request) -> bytes:
        plans = await asyncio.to_thread(list_plans, self._config, self._folder)
        routes = [{"index": one.index, "plan": one.plan} for one in self._config.main.routes]
        return _dump({"plans": plans, "routes": routes})

    async def _show_collection(self, _: web.Request) -> bytes:
        offered = self._collection
        if offered is None:
            return b"null"
        return await asyncio.to_thread(lambda: _dump(offered.as_json()))

    async def _show_live(self, _: web.Request) -> bytes:
        return _dump(self._live.describe())

    async def _receive(self, request: web.Request, most: int, values: int) -> dict[str, Any]:
        """The JSON object of a request's body. Raises PageRefusal."""
        try:
            body = await self._bodies.read(request, most)
            value = await off_loop(len(body), lambda: parse_json(body, values))
        except BodyError as error:
            raise PageRefusal("request", error.message) from None
        except (TooManyValues, ValueError, RecursionError):
            raise PageRefusal("request", "the body is not JSON that the page sends") from None
        if not isinstance(value, dict):
            raise PageRefusal("request", "the body must be a JSON object")
        return value


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


async def _write(request: web.Request, content: bytes) -> web.Response:
    headers = {**PAGE_HEADERS, "Cache-Control": "no-store", "Content-Type": "application/json"}
    if len(content) > _SMALL and "gzip" in request.headers.get("Accept-Encoding", "").lower():
        # Level 1: most pages are on the same machine.
        content = await off_loop(len(content), lambda: gzip.compress(content, 1))
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=content, headers=headers)


def _refuse(refusal: PageRefusal) -> web.Response:
    return web.Response(
        status=refusal.status,
        body=_dump({"cause": refusal.cause, "message": refusal.message}),
        headers={**PAGE_HEADERS, "Cache-Control": "no-store", "Content-Type": "application/json"},
    )

"""The address of the page with a comparison in it."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from sidecar.config.main_file import Address


def write_link(address: Address, **state: str) -> str:
    """The page on this listener; `state` stands behind `#`, as `static/state.js` reads it.

    Its names are `view`, `index`, `q` (the query text), `a`, `b` (plans) and `body`.
    """
    given = {name: value for name, value in state.items() if value}
    fragment = urlencode(given, quote_via=quote)
    return f"http://{address}/ui/" + (f"#{fragment}" if fragment else "")

"""The documents of the browser's tests, with some that want to do harm."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import ClientSession

QUERY = "cheap red shoes for winter walks"

# Titles that repeat words of the query are high in OpenSearch's order; bodies answer it or do not.
DOCS: Sequence[Mapping[str, str]] = (
    {"title": "Walks walks walks walks, cheap cheap cheap cheap", "body": "Nothing more is said."},
    {"title": "Winter winter winter", "body": "A park, and a bench in it."},
    {"title": "Number 2", "body": "Red shoes keep warm in winter: cheap, and made for long walks."},
    {"title": "Red red", "body": "The colour of the season, for everybody."},
    {"title": "Number 4", "body": "How to clean shoes after walks in the snow, even red ones."},
    {"title": "Wine", "body": "Red, for cold days."},
    {"title": "Number 6", "body": "Winter shoes for walks."},
)

_HTML = "<script>document.title = 'stolen'</script><img src=x onerror=\"document.title='stolen'\">"
HOSTILE: Sequence[Mapping[str, str]] = (
    {"title": f"{_HTML} shoes", "body": f"{_HTML} red", "image": "javascript:alert(1)"},
    {"title": "shoes " + "long " * 200_000, "body": "winter"},
    {
        "title": "\u202eshoes \u05e9\u05dc\u05d5\u05dd",
        "body": "\u0645\u0631\u062d\u0628\u0627 \U0001f45f",
    },
    {"title": "a ' \" & < > shoes", "body": "</mark></script><style>*{display:none}</style> walks"},
)

MANY: Sequence[Mapping[str, str]] = tuple(
    {
        "title": f"Shoes {number}",
        "body": " ".join(QUERY.split()[: 1 + number * 7919 % 6]) + f" {number}",
    }
    for number in range(1000)
)


async def load_documents(url: str) -> None:
    """Create the three indexes."""
    async with ClientSession(raise_for_status=True) as session:
        for index, documents in (("docs", DOCS), ("hostile", HOSTILE), ("many", MANY)):
            lines: list[Any] = []
            for number, document in enumerate(documents):
                lines += [{"index": {"_index": index, "_id": f"d{number}"}}, document]
            body = "".join(json.dumps(line) + "\n" for line in lines)
            async with session.post(
                f"{url}/_bulk?refresh=true",
                data=body,
                headers={"Content-Type": "application/x-ndjson"},
            ) as answer:
                assert not (await answer.json())["errors"]

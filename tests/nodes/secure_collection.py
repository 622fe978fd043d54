"""The few documents that the users of a secure node see differently.

Every document matches "quarterly report". In docs1 every second one is public.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.nodes.secure import Answer, SecureNode

QUERY = {"match": {"title": "quarterly report"}}

_SUBJECTS = (
    ("energy costs", "Heating and power became cheaper after the contract was renewed."),
    ("salaries", "Wages of all departments, with the raises agreed for next year."),
    ("new shops", "Three shops opened in the north; the harbour shop sells most."),
    ("planned layoffs", "Two plants close; the works council has not been told yet."),
    ("customer praise", "Letters from customers, most of them about quick delivery."),
    ("lawsuits", "Claims against the company and what they may cost."),
    ("delivery times", "Parcels arrive a day sooner since the second depot opened."),
    ("takeover talks", "Price and conditions offered for the competitor."),
    ("recycling", "How much packaging came back and was used again."),
    ("break-ins", "Doors and cameras that failed, and who was on duty."),
)

DOCS1: Mapping[str, Mapping[str, str]] = {
    str(number): {
        "title": f"Quarterly report on {subject}",
        "body": body,
        "dept": "public" if number % 2 else "private",
        "secret": f"secret-{number}",
        "owner": f"owner-{number}",
    }
    for number, (subject, body) in enumerate(_SUBJECTS, start=1)
}
"""The documents of docs1 by id, "1" to "10"."""

OTHER1: Mapping[str, Mapping[str, str]] = {
    f"o{number}": {"title": f"Quarterly report of the {place} branch", "body": body}
    for number, (place, body) in enumerate(
        (
            ("northern", "Snow closed the roads for a week."),
            ("southern", "The new warehouse is in use."),
            ("eastern", "Sales doubled after the fair."),
            ("western", "The ferry line brings more visitors."),
        ),
        start=1,
    )
}
"""The documents of other1 by id, "o1" to "o4"."""

_TEXT = {"type": "text"}
_KEYWORD = {"type": "keyword"}
_MAPPINGS = {
    "docs1": {
        "title": _TEXT,
        "body": _TEXT,
        "dept": _KEYWORD,
        "secret": _KEYWORD,
        "owner": _KEYWORD,
    },
    "other1": {"title": _TEXT, "body": _TEXT},
}


def load_collection(node: SecureNode) -> None:
    """Make docs1 and other1 anew, ready to be searched; one shard each, so that scores repeat."""
    _check(node.request("admin", "DELETE", "/docs1,other1?ignore_unavailable=true"))
    for index, properties in _MAPPINGS.items():
        settings = {"number_of_shards": 1, "number_of_replicas": 0}
        body = {"settings": settings, "mappings": {"properties": properties}}
        _check(node.request("admin", "PUT", f"/{index}", body))

    lines: list[Mapping[str, object]] = []
    for index, documents in (("docs1", DOCS1), ("other1", OTHER1)):
        for identifier, document in documents.items():
            lines += [{"index": {"_index": index, "_id": identifier}}, document]
    bulk = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = node.request("admin", "POST", "/_bulk?refresh=true", bulk)
    _check(answer)
    if answer.json()["errors"]:
        raise RuntimeError(f"not every document was indexed: {answer.body.decode()}")


def _check(answer: Answer) -> None:
    if answer.status >= 300:
        raise RuntimeError(f"OpenSearch answered {answer.status} {answer.body.decode()}")

"""What the names of fields say: titles, bodies, labels, and codes that nobody reads.

A name is compared by its words: `productTitle`, `product_title` and `product.title` all end with
the word `title`.
"""

from __future__ import annotations

import re
from typing import Final

TITLES: Final = ("title", "headline", "heading", "subject", "name", "question", "caption")
BODIES: Final = (
    *("body", "content", "contents", "text", "abstract", "description", "summary", "overview"),
    *("article", "answer", "details", "message", "plot", "synopsis", "passage", "paragraph"),
    *("review", "comment", "transcript", "excerpt", "lead", "introduction"),
)
LABELS: Final = frozenset(
    {
        *("brand", "brands", "manufacturer", "vendor", "material", "color", "colour", "model"),
        *("category", "categories", "department", "section", "topic", "topics", "subtitle"),
        *("genre", "genres", "tag", "tags", "keyword", "keywords", "series", "album", "label"),
        *("author", "authors", "director", "directors", "actor", "actors", "cast", "artist"),
        *("artists", "writer", "writers", "publisher", "journal", "city", "cuisine", "features"),
    }
)
CODES: Final = frozenset(
    {
        *("id", "ids", "uuid", "guid", "key", "sku", "ean", "isbn", "upc", "gtin", "asin", "doi"),
        *("hash", "md5", "sha1", "sha256", "checksum", "etag", "token", "password", "secret"),
        *("url", "urls", "uri", "link", "links", "href", "path", "file", "filename", "slug"),
        *("image", "images", "thumbnail", "email", "phone", "ip", "host", "hostname", "session"),
        *("lang", "language", "locale", "currency", "status", "state", "version", "format"),
        *("mime", "mimetype", "encoding", "charset", "code", "date", "time", "timestamp"),
        *("created", "updated", "modified", "username", "user", "owner", "agent"),
    }
)
# Fields that say nothing by themselves: `author.name` is an author.
_GENERAL: Final = frozenset({"name", "value", "values", "text", "label", "title", "en", "keyword"})
_WORD_BREAK: Final = re.compile(r"[^A-Za-z0-9\u0080-\uffff]+|(?<=[a-z0-9])(?=[A-Z])")
_LANGUAGE: Final = re.compile(r"[a-z]{2}")


def split_name(name: str) -> tuple[str, ...]:
    """The words of a field's last part, in lower case, without a language at the end (`_en`)."""
    words = tuple(word.lower() for word in _WORD_BREAK.split(name.rpartition(".")[2]) if word)
    if len(words) > 1 and _LANGUAGE.fullmatch(words[-1]):
        words = words[:-1]
    return words


def subject(name: str) -> str:
    """The word that says what the field holds: `brand` for `brand.name` and `product_brand`."""
    words = split_name(name)
    parent = name.rpartition(".")[0]
    if parent and words and words[-1] in _GENERAL:
        return (split_name(parent) or words)[-1]
    return words[-1] if words else ""


def title_rank(name: str) -> int | None:
    """How well the name fits a title, 0 best; None if it does not."""
    words = split_name(name)
    if not words or words[-1] not in TITLES or subject(name) not in TITLES:
        return None
    return TITLES.index(words[-1]) + 10 * (len(words) > 1) + 20 * name.count(".")


def body_rank(name: str) -> int | None:
    """How well the name fits a body, 0 best; None if it does not."""
    words = split_name(name)
    if not words or words[-1] not in BODIES:
        return None
    return BODIES.index(words[-1]) + 30 * (len(words) > 1) + 60 * name.count(".")


def write_label(name: str) -> str:
    """The words that the model reads before a value: `Brand` for `brand.name`."""
    parent, _, last = name.rpartition(".")
    words = split_name(name)
    if parent and words and words[-1] in _GENERAL:
        words = split_name(parent)
    spelled = " ".join(words) or last
    return spelled[:1].upper() + spelled[1:60]

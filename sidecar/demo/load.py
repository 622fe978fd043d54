"""Loads the bundled collection into a cluster: `python -m sidecar.demo.load --url URL`.

It uses an index of its own. If an index of that name belongs to somebody else, it is left alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import click

from sidecar.demo.collection import SAMPLE, Collection, read_collection
from sidecar.demo.errors import DemoError
from sidecar.demo.index import INDEX, MARK, index_body

_CHUNK = 200


async def load_collection(
    url: str, collection: Collection, on_document: Callable[[], object]
) -> None:
    """Create the index again with all documents, ready to be searched.

    Calls `on_document` after each document. Raises DemoError if the cluster refuses, or has an
    index of this name that the demo did not create.
    """
    from opensearchpy import AsyncOpenSearch
    from opensearchpy.exceptions import OpenSearchException
    from opensearchpy.helpers import async_streaming_bulk

    async with AsyncOpenSearch([url], max_retries=0, timeout=60) as client:
        try:
            if await _is_there(client):
                await client.indices.delete(index=INDEX)
            await client.indices.create(index=INDEX, body=index_body())
            async for _ in async_streaming_bulk(client, _actions(collection), chunk_size=_CHUNK):
                on_document()
            await client.indices.refresh(index=INDEX)
        except OpenSearchException as error:
            raise DemoError(f"{url}: {_in_words(error)}") from None


async def delete_index(url: str) -> None:
    """Delete the demo's index, if it exists. Raises DemoError."""
    from opensearchpy import AsyncOpenSearch
    from opensearchpy.exceptions import OpenSearchException

    async with AsyncOpenSearch([url], max_retries=0, timeout=60) as client:
        try:
            if await _is_there(client):
                await client.indices.delete(index=INDEX)
        except OpenSearchException as error:
            raise DemoError(f"{url}: {_in_words(error)}") from None


async def _is_there(client: Any) -> bool:
    """Whether the demo's index exists; raises DemoError if it belongs to somebody else."""
    mappings = await client.indices.get_mapping(index=INDEX, params={"ignore_unavailable": "true"})
    if not mappings:
        return False
    # An alias of this name answers with the index behind it.
    if mappings.get(INDEX, {}).get("mappings", {}).get("_meta") != MARK:
        raise DemoError(
            f"the cluster has an index or alias {INDEX} that the demo did not create;"
            " rename or delete it first"
        )
    return True


def _actions(collection: Collection) -> Iterator[dict[str, Any]]:
    for document in collection.documents:
        source = {"title": document.title, "text": document.text}
        yield {"_index": INDEX, "_id": document.id, "_source": source}


def _in_words(error: Exception) -> str:
    from opensearchpy.exceptions import ConnectionError, TransportError

    if isinstance(error, ConnectionError):
        return f"no OpenSearch answers there ({type(error.info).__name__})"
    if isinstance(error, TransportError):
        return f"refused with status {error.status_code}: {error.error}"
    return str(error)[:200]


@click.command()
@click.option("--url", required=True, help="The cluster, as http://HOST:PORT.")
def main(url: str) -> None:
    """Load the demo's collection into a cluster.

    Example: python -m sidecar.demo.load --url http://127.0.0.1:9200
    """
    logging.basicConfig(level=logging.ERROR)
    collection = read_collection(SAMPLE)
    try:
        asyncio.run(load_collection(url, collection, lambda: None))
    except DemoError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{len(collection.documents)} documents are in {url}/{INDEX}")


if __name__ == "__main__":
    main()

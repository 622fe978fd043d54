"""`sidecar kendra-index`: a first configuration of a Kendra index, read from a live index."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from sidecar.commands.terminal import Refused, config_option, read_configuration
from sidecar.config.kendra import Kendra

_SAMPLES = 50
_INTRODUCTION = """\
# Guessed from the mapping of {index} and {count} of its documents. Check it, then put it into the
# main file. All keys: docs/reference.md
"""


@click.command("kendra-index")
@click.option("--from", "index", required=True, metavar="INDEX", help="The OpenSearch index.")
@config_option
def kendra_index(index: str, config_path: Path) -> None:
    """Print a first configuration for a Kendra index over an OpenSearch index.

    Reads the mapping and some documents with the sidecar's own account.

    Example: sidecar kendra-index --from docs > kendra.yaml
    """
    # Imported here, so that `--help` does not wait for them.
    from opensearchpy.exceptions import NotFoundError, OpenSearchException

    from sidecar.cluster_client import open_blocking_client
    from sidecar.kendra.indexes.generated_config import guess_index
    from sidecar.kendra.indexes.mapping_check import flatten_mapping
    from sidecar.upstream_check import in_words

    config = read_configuration(config_path)
    client = open_blocking_client(config.main.upstream, config_path.parent)
    try:
        mappings = client.indices.get_mapping(index=index, allow_no_indices=False)
        answer = client.search(index=index, body={"size": _SAMPLES, "query": {"match_all": {}}})
    except NotFoundError:
        raise Refused(f"--from {index}: the cluster has no index or alias of this name") from None
    except OpenSearchException as error:
        urls = ", ".join(config.main.upstream.urls)
        raise Refused(f"{urls}: {in_words(error)}") from None
    finally:
        client.close()
    fields = {}
    for mapping in mappings.values():
        fields.update(flatten_mapping(mapping["mappings"]))
    samples = [hit.get("_source") or {} for hit in answer["hits"]["hits"]]
    try:
        index_id, settings = guess_index(index, fields, samples)
    except ValueError as error:
        raise Refused(f"--from {index}: {error}") from None
    section = {"indexes": {index_id: settings}}
    Kendra.model_validate(section)
    click.echo(_INTRODUCTION.format(index=index, count=len(samples)), nl=False)
    click.echo(yaml.safe_dump({"apis": {"kendra": section}}, sort_keys=False, width=100), nl=False)

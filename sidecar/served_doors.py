"""The doors of the api listener."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sidecar.api.doors import Door, DoorParts
from sidecar.health import HealthDoor, Readiness
from sidecar.kendra.door import build_kendra_door
from sidecar.kendra_ranking.door import build_kendra_ranking_door
from sidecar.page.collection import PageCollection
from sidecar.page.door import build_page_door
from sidecar.reloading.config_door import ConfigDoor
from sidecar.reloading.generation import GenerationParts
from sidecar.rerank.door import build_rerank_door
from sidecar.workers.siblings import NoSiblings


def build_doors(
    parts: DoorParts,
    new: GenerationParts,
    config_state: Callable[[], dict[str, object]],
    siblings: NoSiblings,
    collection: PageCollection | None,
) -> list[Door]:
    """The doors that are served; a door for another API gets a line here.

    The first door that owns a request to `/` answers it. Tencent's old signatures are recognized by
    parameters instead of a header, so `rerank` comes last. `config_state` describes the
    configuration for `/readyz`; `collection` is offered to the page.
    """
    models = new.models
    readiness = Readiness(
        new.checked.config.main.upstream,
        new.checked.upstream_tls,
        new.model_states,
        config_state,
        siblings,
    )
    doors: Sequence[Door | None] = (
        HealthDoor(readiness, parts.metrics, siblings),
        ConfigDoor(lambda: new.checked.effective),
        build_page_door(parts, lambda: models.current, collection),
        build_kendra_ranking_door(parts),
        build_rerank_door(parts),
        # The last one at `/`, as it also refuses targets of no service.
        build_kendra_door(parts),
    )
    return [door for door in doors if door is not None]

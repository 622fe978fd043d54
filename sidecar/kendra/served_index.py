"""A Kendra index as requests meet it: settings, plan, accounts, and the reader of tokens."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.plan import DocumentFields, Plan
from sidecar.aws_errors import conflict, not_found
from sidecar.aws_json import AwsError
from sidecar.config import Config, Upstream
from sidecar.config_kendra import Kendra, KendraIndex, OpenSearchAccount
from sidecar.kendra.user_tokens import UserTokenReader

GROUP = "kendra:document"
"""What a hit's source has beside its own fields for the core: the number of its document."""

MOST_RESULTS = 100
"""Results of a query that can be reached by paging."""


@dataclass(frozen=True, slots=True)
class ServedIndex:
    """One index. `account` is the value of an Authorization field, None for no account.

    `cosines` are the plan's models whose scores are cosines.
    """

    id: str
    settings: KendraIndex
    plan: Plan
    cosines: frozenset[str]
    account: str | None
    tokens: UserTokenReader

    @property
    def window(self) -> int:
        """Hits that one search fetches."""
        return max(MOST_RESULTS, self.plan.rescore_window)


def build_indexes(config: Config, settings: Kendra, folder: Path) -> dict[str, ServedIndex]:
    """Every configured index by its id; `folder`: where relative paths start."""
    cosines = frozenset(
        name for name, model in config.main.models.items() if model.kind == "bi-encoder"
    )
    return {
        index_id: ServedIndex(
            index_id,
            index,
            adapt_plan(config.plans[_plan_name(index, settings, config.plans)], index),
            cosines,
            _authorization(index.account, config.main.upstream),
            UserTokenReader(index.user_context.tokens, folder),
        )
        for index_id, index in settings.indexes.items()
    }


def find_index(
    indexes: Mapping[str, ServedIndex],
    index_id: str,
    not_active: Callable[[str], AwsError] = conflict,
) -> ServedIndex:
    """The index of this id; raises AwsError when it is not there, or not to be searched now.

    `not_active` makes the error for the latter, which differs between operations.
    """
    index = indexes.get(index_id)
    if index is None:
        raise not_found(f"There is no index {index_id}; apis.kendra.indexes names those there are.")
    if index.settings.status not in ("ACTIVE", "UPDATING"):
        raise not_active(f"The index is {index.settings.status}; wait until it is ACTIVE.")
    return index


def basic(account: OpenSearchAccount) -> str:
    """The Authorization field of an account."""
    pair = f"{account.username}:{account.password}".encode()
    return f"Basic {b64encode(pair).decode()}"


def _plan_name(index: KendraIndex, settings: Kendra, plans: Mapping[str, Plan]) -> str:
    named = index.plan or settings.plan
    return named or ("fused" if "fused" in plans else min(plans))


def adapt_plan(plan: Plan, index: KendraIndex) -> Plan:
    """The plan for this index.

    A plan that reads the index's title and body reads them in its own way, with its labels,
    weights and further fields; any other one reads these two.
    """
    fields = index.fields
    document = plan.document
    if not {*fields.title, *fields.body} <= set(document.names):
        document = DocumentFields.model_validate({"title": fields.title, "body": fields.body})
    group_by = GROUP if fields.shared_id else plan.group_by
    return plan.model_copy(update={"document": document, "group_by": group_by})


def _authorization(account: OpenSearchAccount | None, upstream: Upstream) -> str | None:
    if account is not None:
        return basic(account)
    if upstream.username is None or upstream.password is None:
        return None
    return basic(OpenSearchAccount(username=upstream.username, password=upstream.password))

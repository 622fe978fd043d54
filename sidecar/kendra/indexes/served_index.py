"""A Kendra index that can be searched: its settings, plan, account, and reader of user tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.plan import DocumentFields, Plan
from sidecar.api.doors import choose_plan
from sidecar.aws.errors import conflict, not_found
from sidecar.aws.json import AwsError
from sidecar.cluster_client import write_basic, write_own_account
from sidecar.config.kendra import Kendra, KendraIndex, OpenSearchAccount
from sidecar.config.main_file import Config, find_bi_encoders
from sidecar.kendra.indexes.user_tokens import UserTokenReader

GROUP = "kendra:document"
"""A field that is added to each hit's source for the core: the number of its document."""

MOST_RESULTS = 100
"""Maximum number of results that paging reaches, and of results on one page."""


@dataclass(frozen=True, slots=True)
class ServedIndex:
    """One index.

    `account` is the value of the Authorization field for OpenSearch; None sends no such field.
    `cosines` are the names of all models whose scores are cosines.
    """

    id: str
    settings: KendraIndex
    plan: Plan
    cosines: frozenset[str]
    account: str | None
    tokens: UserTokenReader

    @property
    def window(self) -> int:
        """Maximum number of hits that one search fetches."""
        return max(MOST_RESULTS, self.plan.rescore_window)


def build_indexes(config: Config, settings: Kendra, folder: Path) -> dict[str, ServedIndex]:
    """Every configured index, by its id. Relative paths start at `folder`."""
    cosines = find_bi_encoders(config.main.models)
    own_account = write_own_account(config.main.upstream)
    return {
        index_id: ServedIndex(
            index_id,
            index,
            adapt_plan(config.plans[choose_plan(config.plans, index.plan or settings.plan)], index),
            cosines,
            write_account(index.account) if index.account else own_account,
            UserTokenReader(index.user_context.tokens, folder),
        )
        for index_id, index in settings.indexes.items()
    }


def find_index(
    indexes: Mapping[str, ServedIndex],
    index_id: str,
    not_active: Callable[[str], AwsError] = conflict,
) -> ServedIndex:
    """The index of this id. Raises AwsError if it does not exist, or if it is not active.

    `not_active` makes the error for an index that is not active; operations differ in it.
    """
    index = indexes.get(index_id)
    if index is None:
        raise not_found(f"There is no index {index_id}; apis.kendra.indexes lists the indexes.")
    if index.settings.status not in ("ACTIVE", "UPDATING"):
        raise not_active(f"The index is {index.settings.status}; wait until it is ACTIVE.")
    return index


def write_account(account: OpenSearchAccount) -> str:
    """The value of an Authorization field for this account."""
    return write_basic(account.username, account.password)


def adapt_plan(plan: Plan, index: KendraIndex) -> Plan:
    """The plan for this index.

    If the plan reads the index's title and body fields, its own `document` section stays, with its
    labels, weights and further fields. If not, the plan reads the index's title and body.
    """
    fields = index.fields
    document = plan.document
    if not {*fields.title, *fields.body} <= set(document.names):
        document = DocumentFields.model_validate({"title": fields.title, "body": fields.body})
    group_by = GROUP if fields.shared_id else plan.group_by
    return plan.model_copy(update={"document": document, "group_by": group_by})

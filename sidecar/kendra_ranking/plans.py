"""Rescore execution plans, their tags, client tokens and pages: what each operation does.

Each operation's function takes a connection of `database.py` and returns the members of the answer.
A plan needs no resources here, so it is ACTIVE at once, unless the configuration sets a transition
time (`transition_ms`), which is for tests of clients.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.aws.errors import conflict, quota_exceeded
from sidecar.aws.json import AwsError
from sidecar.aws.shapes import validation_error
from sidecar.config.kendra_ranking import KendraRanking
from sidecar.kendra_ranking.errors import no_plan, no_resource
from sidecar.kendra_ranking.wires import Timestamp

Members = Mapping[str, Any]
AnswerMembers = dict[str, object]

DEFAULT_PAGE = 50
MOST_TAGS = 200

_TOKEN_SECONDS = 24 * 3600
_GONE = "transition = 'DELETING' AND settled_at <= :now"
_HERE = f"NOT ({_GONE})"


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan at one moment. Times are in epoch seconds; `units` does not count the base unit."""

    id: str
    arn: str
    name: str
    description: str
    units: int
    created_at: float
    updated_at: float
    status: str

    @property
    def summary(self) -> AnswerMembers:
        """The plan in a list, always with all five members: scripts cut columns of the CLI."""
        return {
            "Name": self.name,
            "Id": self.id,
            "CreatedAt": Timestamp(self.created_at),
            "UpdatedAt": Timestamp(self.updated_at),
            "Status": self.status,
        }


def find_plan(connection: sqlite3.Connection, plan_id: str, now: float) -> StoredPlan:
    """Read one plan. Raises ResourceNotFoundException."""
    row = connection.execute(
        f"SELECT * FROM plans WHERE id = :id AND {_HERE}",  # noqa: S608, a constant
        {"id": plan_id, "now": now},
    ).fetchone()
    if row is None:
        raise no_plan(plan_id)
    return _read_row(row, now)


def create_plan(
    connection: sqlite3.Connection, members: Members, now: float, settings: KendraRanking
) -> AnswerMembers:
    """Create a plan, or return the plan that the same client token created before."""
    parameters = _parameters(members)
    token = members.get("ClientToken")
    connection.execute("DELETE FROM client_tokens WHERE created_at < ?", (now - _TOKEN_SECONDS,))
    if token is not None:
        row = connection.execute(
            "SELECT parameters, id, arn FROM client_tokens WHERE token = ?", (token,)
        ).fetchone()
        if row is not None:
            if row[0] != parameters:
                raise conflict(
                    "The client token was used before, with other parameters. Use a new one."
                )
            return {"Id": row[1], "Arn": row[2]}

    units = _units(members, 0)
    _check_units(units, settings)
    connection.execute(f"DELETE FROM plans WHERE {_GONE}", {"now": now})  # noqa: S608
    (count,) = connection.execute("SELECT count(*) FROM plans").fetchone()
    if count >= settings.max_plans:
        raise quota_exceeded(
            f"There are {count} rescore execution plans; {settings.max_plans} are allowed. Delete "
            "one, or raise max_plans."
        )
    plan_id = str(uuid.uuid4())
    arn = insert_plan(
        connection, plan_id, members["Name"], members.get("Description", ""), units, now, settings
    )
    _put_tags(connection, plan_id, members.get("Tags", ()))
    if token is not None:
        connection.execute(
            "INSERT INTO client_tokens VALUES (?, ?, ?, ?, ?)",
            (token, parameters, plan_id, arn, now),
        )
    return {"Id": plan_id, "Arn": arn}


def insert_plan(
    connection: sqlite3.Connection,
    plan_id: str,
    name: str,
    description: str,
    units: int,
    now: float,
    settings: KendraRanking,
) -> str:
    """Write a plan with this id unless there is one. Returns its ARN."""
    arn = (
        f"arn:aws:kendra-ranking:{settings.region or 'us-east-1'}:{settings.account}:"
        f"rescore-execution-plan/{plan_id}"
    )
    connection.execute(
        "INSERT OR IGNORE INTO plans VALUES (?, ?, ?, ?, ?, ?, ?, 'CREATING', ?)",
        (plan_id, arn, name, description, units, now, now, _settled_at(now, settings)),
    )
    return arn


def describe_plan(connection: sqlite3.Connection, members: Members, now: float) -> AnswerMembers:
    """Everything about one plan."""
    plan = find_plan(connection, members["Id"], now)
    return {
        **plan.summary,
        "Arn": plan.arn,
        "Description": plan.description,
        "CapacityUnits": {"RescoreCapacityUnits": plan.units},
    }


def list_plans(connection: sqlite3.Connection, members: Members, now: float) -> AnswerMembers:
    """One page of plans, oldest first, and the token of the next page if there is one."""
    (key,) = connection.execute("SELECT key FROM page_key").fetchone()
    size = members.get("MaxResults", DEFAULT_PAGE)
    token = members.get("NextToken")
    created_at, plan_id = _read_page_token(key, token) if token is not None else (-1.0, "")
    rows = connection.execute(
        f"SELECT * FROM plans WHERE (created_at, id) > (:created_at, :id) AND {_HERE} "  # noqa: S608
        "ORDER BY created_at, id LIMIT :limit",
        {"created_at": created_at, "id": plan_id, "now": now, "limit": size + 1},
    ).fetchall()
    plans = [_read_row(row, now) for row in rows]
    answer: AnswerMembers = {"SummaryItems": [plan.summary for plan in plans[:size]]}
    if len(plans) > size:
        last = plans[size - 1]
        answer["NextToken"] = _write_page_token(key, last.created_at, last.id)
    return answer


def update_plan(
    connection: sqlite3.Connection, members: Members, now: float, settings: KendraRanking
) -> AnswerMembers:
    """Change the members that are given, and leave the others."""
    plan = find_plan(connection, members["Id"], now)
    if plan.status != "ACTIVE":
        raise conflict(f"The plan is {plan.status}; wait until it is ACTIVE.")
    units = _units(members, plan.units)
    _check_units(units, settings)
    connection.execute(
        "UPDATE plans SET name = ?, description = ?, units = ?, updated_at = ?, "
        "transition = 'UPDATING', settled_at = ? WHERE id = ?",
        (
            members.get("Name", plan.name),
            members.get("Description", plan.description),
            units,
            now,
            _settled_at(now, settings),
            plan.id,
        ),
    )
    return {}


def delete_plan(
    connection: sqlite3.Connection, members: Members, now: float, settings: KendraRanking
) -> AnswerMembers:
    """Delete a plan and its tags. A plan that is being deleted counts as deleted."""
    plan = find_plan(connection, members["Id"], now)
    if plan.status == "DELETING":
        raise no_plan(plan.id)
    if settings.transition_ms:
        connection.execute(
            "UPDATE plans SET transition = 'DELETING', settled_at = ? WHERE id = ?",
            (_settled_at(now, settings), plan.id),
        )
    else:
        connection.execute("DELETE FROM plans WHERE id = ?", (plan.id,))
    return {}


def tag_resource(connection: sqlite3.Connection, members: Members, now: float) -> AnswerMembers:
    """Add tags to a plan. A key that the plan has already gets the new value."""
    plan_id = _find_by_arn(connection, members["ResourceARN"], now)
    _put_tags(connection, plan_id, members["Tags"])
    (count,) = connection.execute(
        "SELECT count(*) FROM tags WHERE plan_id = ?", (plan_id,)
    ).fetchone()
    if count > MOST_TAGS:
        raise validation_error(
            f"Value at 'tags' failed to satisfy constraint: the resource would have {count} tags, "
            f"and {MOST_TAGS} are allowed"
        )
    return {}


def untag_resource(connection: sqlite3.Connection, members: Members, now: float) -> AnswerMembers:
    """Remove tags by key. Keys that the plan does not have are ignored."""
    plan_id = _find_by_arn(connection, members["ResourceARN"], now)
    connection.executemany(
        "DELETE FROM tags WHERE plan_id = ? AND folded = ?",
        [(plan_id, key.casefold()) for key in members["TagKeys"]],
    )
    return {}


def list_tags(connection: sqlite3.Connection, members: Members, now: float) -> AnswerMembers:
    """The tags of a plan, sorted by key."""
    plan_id = _find_by_arn(connection, members["ResourceARN"], now)
    rows = connection.execute(
        "SELECT key, value FROM tags WHERE plan_id = ? ORDER BY key", (plan_id,)
    )
    return {"Tags": [{"Key": key, "Value": value} for key, value in rows]}


def _read_row(row: tuple[Any, ...], now: float) -> StoredPlan:
    plan_id, arn, name, description, units, created_at, updated_at, transition, settled_at = row
    status = "ACTIVE" if settled_at <= now else transition
    return StoredPlan(plan_id, arn, name, description, units, created_at, updated_at, status)


def _settled_at(now: float, settings: KendraRanking) -> float:
    # 0 and not `now`: a clock that is set back a little must not cause a transition.
    return now + settings.transition_ms / 1000 if settings.transition_ms else 0.0


def _units(members: Members, otherwise: int) -> int:
    capacity = members.get("CapacityUnits")
    return otherwise if capacity is None else int(capacity["RescoreCapacityUnits"])


def _check_units(units: int, settings: KendraRanking) -> None:
    if units > settings.max_capacity_units:
        raise quota_exceeded(
            f"A plan may have at most {settings.max_capacity_units} capacity units beyond its base "
            "unit."
        )


def _parameters(members: Members) -> str:
    """A hash of the parameters, which two requests with the same client token must share."""
    tags = sorted((tag["Key"], tag["Value"]) for tag in members.get("Tags", ()))
    parameters = [members["Name"], members.get("Description", ""), _units(members, 0), tags]
    return hashlib.sha256(json.dumps(parameters).encode()).hexdigest()


def _put_tags(
    connection: sqlite3.Connection, plan_id: str, tags: list[dict[str, str]] | tuple[()]
) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)",
        [(plan_id, tag["Key"].casefold(), tag["Key"], tag["Value"]) for tag in tags],
    )


def _find_by_arn(connection: sqlite3.Connection, arn: str, now: float) -> str:
    row = None
    if arn.isascii():  # SQLite raises for a lone surrogate, and no ARN has one
        row = connection.execute(
            f"SELECT id FROM plans WHERE arn = :arn AND {_HERE}",  # noqa: S608
            {"arn": arn, "now": now},
        ).fetchone()
    if row is None:
        raise no_resource(arn)
    return str(row[0])


def _write_page_token(key: bytes, created_at: float, plan_id: str) -> str:
    position = f"{created_at!r} {plan_id}".encode()
    return base64.urlsafe_b64encode(_seal(key, position) + position).decode()


def _read_page_token(key: bytes, token: str) -> tuple[float, str]:
    try:
        sealed = base64.b64decode(token.encode("ascii"), b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise _bad_page_token() from None
    seal, position = sealed[:16], sealed[16:]
    if not hmac.compare_digest(seal, _seal(key, position)):
        raise _bad_page_token()
    created_at, _, plan_id = position.decode().partition(" ")
    return float(created_at), plan_id


def _seal(key: bytes, position: bytes) -> bytes:
    return hmac.new(key, position, hashlib.sha256).digest()[:16]


def _bad_page_token() -> AwsError:
    return validation_error(
        "Value at 'nextToken' failed to satisfy constraint: Member must be a token of the page "
        "before"
    )

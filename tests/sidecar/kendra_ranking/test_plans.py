"""The life of a plan: creation, client tokens, states, changes, pages, tags, quotas, throttling."""

from typing import Any

import pytest

from sidecar.kendra_ranking.allowance import Allowance
from tests.sidecar.kendra_ranking.serving import PLAN_ID, Answer, Serve, Served, document

CREATE, LIST, UPDATE = (
    "CreateRescoreExecutionPlan",
    "ListRescoreExecutionPlans",
    "UpdateRescoreExecutionPlan",
)
DESCRIBE, DELETE = "DescribeRescoreExecutionPlan", "DeleteRescoreExecutionPlan"
UNITS = "RescoreCapacityUnits"


def create(door: Served, name: str = "n", **more: Any) -> str:
    answer = door.call(CREATE, {"Name": name, **more})
    assert answer.status == 200, answer.body
    return str(answer.json["Id"])


def describe(door: Served, plan: str) -> dict[str, Any]:
    members: dict[str, Any] = door.call(DESCRIBE, {"Id": plan}).json
    return members


def test_a_plan_is_active_at_once(serve: Serve) -> None:
    door = serve()
    door.clock.append(1_700_000_000.25)
    answer = door.call(CREATE, {"Name": "n"}).json
    assert describe(door, answer["Id"]) == {
        "Id": answer["Id"],
        "Arn": "arn:aws:kendra-ranking:us-east-1:000000000000:rescore-execution-plan/"
        + answer["Id"],
        "Name": "n",
        "Description": "",
        "CapacityUnits": {UNITS: 0},
        "CreatedAt": 1_700_000_000.25,
        "UpdatedAt": 1_700_000_000.25,
        "Status": "ACTIVE",
    }
    assert answer["Arn"] == describe(door, answer["Id"])["Arn"]


def test_region_and_account_of_the_arn_are_configured(serve: Serve) -> None:
    door = serve(region="eu-west-1", account="123456789012")
    arn = door.call(CREATE, {"Name": "n"}).json["Arn"]
    assert arn.startswith("arn:aws:kendra-ranking:eu-west-1:123456789012:rescore-execution-plan/")


def test_names_need_not_differ(door: Served) -> None:
    assert create(door, "same") != create(door, "same")


def test_a_client_token_makes_one_plan(serve: Serve) -> None:
    door = serve()
    wanted: dict[str, Any] = {
        "Description": "d",
        "CapacityUnits": {UNITS: 2},
        "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}],
        "ClientToken": "token",
    }
    plan = create(door, **wanted)
    assert create(door, **wanted) == plan
    assert create(door, **{**wanted, "Tags": wanted["Tags"][::-1]}) == plan
    assert create(door, **{**wanted, "ClientToken": "other"}) != plan
    changes: list[dict[str, Any]] = [
        {"Name": "m"},
        {"Description": "e"},
        {"CapacityUnits": None},
        {"Tags": []},
    ]
    for change in changes:
        answer = door.call(CREATE, {"Name": "n", **wanted, **change})
        assert answer.error == (400, "ConflictException")
    assert create(door) != create(door)


def test_a_client_token_is_kept_for_a_day(serve: Serve) -> None:
    door = serve()
    door.clock.append(1e9)
    plan = create(door, ClientToken="token")
    door.clock.append(1e9 + 24 * 3600)
    assert create(door, ClientToken="token") == plan
    door.clock.append(1e9 + 24 * 3600 + 1)
    assert create(door, ClientToken="token") != plan


def test_a_client_token_of_a_refused_request_is_free(serve: Serve) -> None:
    door = serve(max_capacity_units=1)
    over = {"Name": "n", "ClientToken": "token", "CapacityUnits": {UNITS: 2}}
    assert door.call(CREATE, over).error == (400, "ServiceQuotaExceededException")
    create(door, ClientToken="token")


def test_an_update_changes_what_it_names(serve: Serve) -> None:
    door = serve()
    door.clock.append(1e9)
    plan = create(door, Description="d", CapacityUnits={UNITS: 3})
    before = describe(door, plan)
    door.clock.append(1e9 + 5)
    assert door.call(UPDATE, {"Id": plan, "Name": "m"}).body == b"{}"
    assert describe(door, plan) == {**before, "Name": "m", "UpdatedAt": 1e9 + 5}
    door.call(UPDATE, {"Id": plan, "Description": "", "CapacityUnits": {UNITS: 0}})
    after = describe(door, plan)
    assert (after["Name"], after["Description"], after["CapacityUnits"]) == ("m", "", {UNITS: 0})


def test_a_deleted_plan_is_gone(door: Served) -> None:
    answer = door.call(CREATE, {"Name": "n", "Tags": [{"Key": "k", "Value": "v"}]}).json
    assert door.call(DELETE, {"Id": answer["Id"]}).body == b"{}"
    for operation in (DELETE, DESCRIBE, UPDATE):
        gone = door.call(operation, {"Id": answer["Id"]})
        assert gone.error == (400, "ResourceNotFoundException")
    tags = door.call("ListTagsForResource", {"ResourceARN": answer["Arn"]})
    assert tags.error == (400, "ResourceUnavailableException")


def test_states_with_a_transition(serve: Serve) -> None:
    door = serve(transition_ms=10_000, auto_plan=None)

    def at(seconds: float) -> None:
        door.clock.append(1e9 + seconds)

    def rescore() -> Answer:
        return door.rescore([document("d", "text")], RescoreExecutionPlanId=plan)

    def update() -> Answer:
        return door.call(UPDATE, {"Id": plan, "Name": "m"})

    conflict = (400, "ConflictException")
    at(0)
    plan = create(door)
    assert describe(door, plan)["Status"] == "CREATING"
    assert (rescore().error, update().error) == (conflict, conflict)
    at(10)
    assert describe(door, plan)["Status"] == "ACTIVE"
    assert (rescore().status, update().status) == (200, 200)
    assert describe(door, plan)["Status"] == "UPDATING"
    assert (rescore().status, update().error) == (200, conflict)
    at(20)
    assert describe(door, plan)["Status"] == "ACTIVE"
    assert door.call(DELETE, {"Id": plan}).status == 200
    assert describe(door, plan)["Status"] == "DELETING"
    assert (rescore().error, update().error) == (conflict, conflict)
    assert door.call(DELETE, {"Id": plan}).error == (400, "ResourceNotFoundException")
    assert door.call(LIST).json["SummaryItems"][0]["Status"] == "DELETING"
    at(30)
    assert door.call(DESCRIBE, {"Id": plan}).error == (400, "ResourceNotFoundException")
    assert door.call(LIST).json == {"SummaryItems": []}


def test_a_clock_that_is_set_back_changes_no_state(serve: Serve) -> None:
    door = serve()
    door.clock.append(1e9)
    plan = create(door)
    door.clock.append(1e9 - 100)
    assert describe(door, plan)["Status"] == "ACTIVE"


def test_pages_have_every_plan_once_oldest_first(serve: Serve) -> None:
    door = serve(auto_plan=None)
    created = []
    for number in range(7):
        door.clock.append(1e9 + number // 2)  # some at the same moment
        created.append((1e9 + number // 2, create(door)))
    seen, token = [], None
    for size in (3, 3, 1):
        page = door.call(LIST, {"MaxResults": size, "NextToken": token}).json
        assert len(page["SummaryItems"]) == size
        seen += [(item["CreatedAt"], item["Id"]) for item in page["SummaryItems"]]
        token = page.get("NextToken")
        for item in page["SummaryItems"]:
            assert list(item) == ["Name", "Id", "CreatedAt", "UpdatedAt", "Status"]
    assert token is None
    assert "NextToken" not in page
    assert seen == sorted(created)


def test_a_page_goes_on_where_the_last_plan_was_though_it_is_gone(serve: Serve) -> None:
    door = serve(auto_plan=None)
    plans = [create(door) for _ in range(3)]
    page = door.call(LIST, {"MaxResults": 2}).json
    for item in page["SummaryItems"]:
        door.call(DELETE, {"Id": item["Id"]})
    rest = door.call(LIST, {"NextToken": page["NextToken"]}).json["SummaryItems"]
    assert [item["Id"] for item in rest] == plans[2:]


def test_a_page_without_a_size_has_fifty(serve: Serve) -> None:
    door = serve(max_plans=60)
    for _ in range(50):
        create(door)
    assert len(door.call(LIST).json["SummaryItems"]) == 50


def test_a_token_that_was_not_given_out_is_refused(serve: Serve) -> None:
    door = serve()
    create(door)
    token = door.call(LIST, {"MaxResults": 1}).json["NextToken"]
    flipped = token[:-3] + ("A" if token[-3] != "A" else "B") + token[-2:]
    for bad in (flipped, token[:-4], token + token, "x", "é", "====", "AAAA" * 20):
        assert door.call(LIST, {"NextToken": bad}).error == (400, "ValidationException")


def test_fifty_plans_and_a_thousand_units(serve: Serve) -> None:
    door = serve(auto_plan=None)
    plans = [create(door, CapacityUnits={UNITS: 1000}) for _ in range(50)]
    exceeded = (400, "ServiceQuotaExceededException")
    assert door.call(CREATE, {"Name": "n"}).error == exceeded
    assert door.call(UPDATE, {"Id": plans[0], "CapacityUnits": {UNITS: 1001}}).error == exceeded
    door.call(DELETE, {"Id": plans[0]})
    assert door.call(CREATE, {"Name": "n", "CapacityUnits": {UNITS: 1001}}).error == exceeded
    create(door)


def tags_of(door: Served, arn: str) -> dict[str, str]:
    tags = door.call("ListTagsForResource", {"ResourceARN": arn}).json["Tags"]
    return {tag["Key"]: tag["Value"] for tag in tags}


def tag(door: Served, arn: str, **tags: str) -> Answer:
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    return door.call("TagResource", {"ResourceARN": arn, "Tags": listed})


def test_tags_are_merged_by_key_whatever_its_case(door: Served) -> None:
    arn = door.call(CREATE, {"Name": "n", "Tags": [{"Key": "a", "Value": "1"}]}).json["Arn"]
    assert tags_of(door, arn) == {"a": "1"}
    assert tag(door, arn, b="2", A="3").body == b"{}"
    assert tags_of(door, arn) == {"A": "3", "b": "2"}
    removed = {"ResourceARN": arn, "TagKeys": ["B", "unknown"]}
    assert door.call("UntagResource", removed).body == b"{}"
    assert tags_of(door, arn) == {"A": "3"}


def test_keys_of_one_request_must_differ(door: Served) -> None:
    twice = [{"Key": "k", "Value": "1"}, {"Key": "K", "Value": "2"}]
    answer = door.call(CREATE, {"Name": "n", "Tags": twice})
    assert answer.error == (400, "ValidationException")


def test_two_hundred_tags_and_no_more(door: Served) -> None:
    arn = door.call(CREATE, {"Name": "n"}).json["Arn"]
    assert tag(door, arn, **{f"k{n}": "v" for n in range(199)}).status == 200
    over = tag(door, arn, x="1", y="2")
    assert over.error == (400, "ValidationException")
    assert len(tags_of(door, arn)) == 199
    assert tag(door, arn, x="1", k0="new").status == 200


def test_the_configured_plan_needs_no_creation(serve: Serve) -> None:
    door = serve()
    assert describe(door, PLAN_ID)["Name"] == "auto-plan"
    assert door.rescore([document("d", "text")]).status == 200


def test_throttling_by_capacity_units(serve: Serve) -> None:
    door = serve(throttling=True)
    assert door.rescore([document("d", "text")]).status == 200
    answer = door.rescore([document("d", "text")])
    assert answer.error == (400, "ThrottlingException")
    other = create(door)
    assert door.rescore([document("d")], RescoreExecutionPlanId=other).status == 200


@pytest.mark.parametrize(("units", "seconds"), [(0, 100), (9, 10), (99, 1), (1000, 1 / 10.01)])
def test_the_allowance_of_capacity_units(units: int, seconds: float) -> None:
    allowance = Allowance()
    while allowance.take("plan", units, 50.0) == 0:
        pass
    assert allowance.take("plan", units, 50.0) == pytest.approx(seconds)
    assert allowance.take("plan", units, 50.0 + seconds * 0.5) == pytest.approx(seconds * 0.5)
    assert allowance.take("plan", units, 50.0 + seconds * 1.01) == 0
    assert allowance.take("plan", units, 50.0 + seconds * 1.01) > 0


def test_an_allowance_does_not_grow_while_nobody_calls() -> None:
    allowance = Allowance()
    assert [allowance.take("plan", 0, moment) == 0 for moment in (0, 1e6, 1e6)] == [
        True,
        True,
        False,
    ]

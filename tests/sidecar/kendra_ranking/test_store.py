"""The store: a killed process loses nothing that was acknowledged; processes share one file."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.kendra_ranking.database import BadStore, Database
from tests.sidecar.kendra_ranking.serving import PLAN_ID, Served, serving

ROOT = Path(__file__).parents[3]
CREATE, LIST = "CreateRescoreExecutionPlan", "ListRescoreExecutionPlans"

# Creates plans one after another, without end, and prints each id after its acknowledgement.
WRITER = """
import asyncio, sys, time
from functools import partial
from pathlib import Path
from sidecar.config.kendra_ranking import KendraRanking
from sidecar.kendra_ranking.database import Database
from sidecar.kendra_ranking.plans import create_plan, describe_plan

async def write(name, count):
    database, settings = Database(Path(sys.argv[1])), KendraRanking(max_plans=10_000)
    while count:
        members = {"Name": name, "Tags": [{"Key": "k", "Value": "v"}]}
        create = partial(create_plan, members=members, now=time.time(), settings=settings)
        print((await database.write(create))["Id"], flush=True)
        count -= 1
    database.close()

asyncio.run(write(sys.argv[2], int(sys.argv[3])))
"""


def start_writer(store: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store), name, str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def stored(store: Path) -> set[str]:
    connection = sqlite3.connect(store)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = connection.execute(
            "SELECT plans.id FROM plans JOIN tags ON tags.plan_id = plans.id"
        ).fetchall()
    finally:
        connection.close()
    return {row[0] for row in rows}


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    acknowledged: set[str] = set()
    for _ in range(3):
        with start_writer(store, "killed", -1) as writer:
            assert writer.stdout
            acknowledged.update(writer.stdout.readline().strip() for _ in range(20))
            writer.kill()
            # Lines that it printed after the last one that was read count as well; the last line
            # may be incomplete.
            acknowledged.update(line.strip() for line in writer.stdout if line.endswith("\n"))
    assert acknowledged <= stored(store)
    assert len(acknowledged) >= 60


def test_processes_share_the_file(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    writers = [start_writer(store, f"writer{n}", 25) for n in range(3)]
    said: set[str] = set()
    for writer in writers:
        out, _ = writer.communicate(timeout=60)
        assert writer.returncode == 0
        said.update(out.split())
    assert len(said) == 75
    assert stored(store) == said


def test_two_doors_on_one_file_see_each_others_plans(tmp_path: Path) -> None:
    with serving(tmp_path) as one, serving(tmp_path) as other:
        created = one.call(CREATE, {"Name": "n", "ClientToken": "token"}).json
        assert other.call(CREATE, {"Name": "n", "ClientToken": "token"}).json == created
        token = one.call(LIST, {"MaxResults": 1}).json["NextToken"]
        assert other.call(LIST, {"NextToken": token}).status == 200
        other.call("DeleteRescoreExecutionPlan", {"Id": created["Id"]})
        gone = one.call("DescribeRescoreExecutionPlan", {"Id": created["Id"]})
        assert gone.error == (400, "ResourceNotFoundException")


def test_plans_outlive_the_door(tmp_path: Path) -> None:
    def listed(door: Served) -> list[str]:
        return [plan["Id"] for plan in door.call(LIST).json["SummaryItems"]]

    with serving(tmp_path) as door:
        door.call(CREATE, {"Name": "n"})
        before = listed(door)
    with serving(tmp_path) as door:
        assert listed(door) == before
        assert PLAN_ID in before


def test_each_commit_is_synced(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.sqlite")
    pragmas = ("journal_mode", "synchronous", "foreign_keys")

    def read(connection: sqlite3.Connection) -> list[object]:
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]

    import asyncio

    assert asyncio.run(database.read(read)) == ["wal", 2, 1]
    database.close()


async def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.sqlite")

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO page_key VALUES (x'00')")
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        await database.write(fail)
    count = await database.read(lambda c: c.execute("SELECT count(*) FROM page_key").fetchone())
    assert count == (1,)
    database.close()


def test_a_file_of_something_else_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough to be sure of it\n" * 50)
    with pytest.raises(BadStore, match=r"notes\.txt.*must be a file"):
        Database(path).open()
    assert path.read_text().startswith("not a database")


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(BadStore, match="version 7"):
        Database(path).open()


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    database = Database(tmp_path / "a" / "b" / "store.sqlite")
    database.open()
    database.close()
    assert (tmp_path / "a" / "b" / "store.sqlite").exists()


def test_a_store_that_nobody_used_leaves_no_file(tmp_path: Path) -> None:
    Database(tmp_path / "store.sqlite").close()
    assert list(tmp_path.iterdir()) == []

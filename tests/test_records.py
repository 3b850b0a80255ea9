"""What goes out on stdout, and what is answered: to the letter."""

from __future__ import annotations

import io
import json
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_backup.reporting.records import MAX_BYTES, Recorder
from redis_backup.request.events import TriggerKind
from redis_backup.request.instances import InstanceRef
from redis_backup.request.request import Request, Totals
from redis_backup.runtime import Runtime
from redis_backup.states import ErrorKind, Outcome, Problem, State
from simulator import Fault, Instance, SimulatedClock

SINCE = datetime(2026, 11, 24, 2, tzinfo=timezone.utc)
INSTANCE = InstanceRef("cn-hangzhou", "r-1")
TEXT = st.text(max_size=400)


def recorded(request: Request, outcome: Outcome, stream: Any = None) -> list[dict[str, Any]]:
    stream = stream or io.StringIO()
    Recorder(Runtime({}, SimulatedClock(), stream), "1-x").state(request, INSTANCE, outcome)
    stream.flush()
    text = stream.getvalue() if isinstance(stream, io.StringIO) else stream.buffer.getvalue().decode("ascii")
    assert text.endswith("\n")
    assert len(text.splitlines()) == text.count("\n")
    assert all(len(line.encode()) <= MAX_BYTES for line in text.splitlines())
    return [json.loads(line) for line in text.splitlines()]


@given(
    st.lists(st.integers(0, 10**15).map(str), max_size=600, unique=True),
    st.text(max_size=200).map(lambda text: " ".join(text.encode("utf-8", "replace").decode().split())),
    TEXT,
    TEXT,
)
def test_a_record_fits_its_line_is_flat_and_loses_no_job_id(
    ids: list[str], reason: str, message: str, hint: str
) -> None:
    problem = Problem(
        "Code",
        message.encode("utf-8", "replace").decode(),
        ErrorKind.UNKNOWN,
        "id" * 300,
        hint.encode("utf-8", "replace").decode(),
    )
    request = Request(TriggerKind.TIMER, "t" * 500, SINCE, reason=reason)
    records = recorded(request, Outcome(State.PENDING, tuple(ids), error=problem))
    assert [job_id for record in records for job_id in record.get("job_ids", "").split(",") if job_id] == ids
    for record in records:
        assert all(isinstance(value, (str, int, float, bool)) for value in record.values())


def test_a_text_of_any_length_fits() -> None:
    problem = Problem("C" * 3000, "m" * 3000, ErrorKind.UNKNOWN, "i" * 3000, "h" * 3000)
    request = Request(TriggerKind.TIMER, "t" * 3000, SINCE, reason="r" * 3000)
    assert recorded(request, Outcome(State.FAILED, ("1" * 64,), error=problem))[0]["job_ids"] == "1" * 64


def test_a_stream_that_is_not_utf_8_gets_escapes() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    request = Request(TriggerKind.MANUAL, "x", SINCE, reason="发布")
    assert recorded(request, Outcome(State.RUNNING, ("1",)), stream)[0]["reason"] == "发布"


def test_the_records_of_one_backup(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", duration=90))
    event = {
        "triggerTime": "2026-11-24T02:00:00Z",
        "triggerName": "nightly",
        "payload": '{"instance_ids":"r-1","reason":"why"}',
    }
    first = cloud.invoke(event, request_id="1-6b04efa0-00")
    cloud.platform.drain()
    story = {
        "trigger": "timer",
        "trigger_id": "nightly@2026-11-24T02:00:00Z",
        "since": "2026-11-24T02:00:00Z",
        "reason": "why",
    }
    assert first.records == [
        {
            "time": "2026-11-24T02:00:00.000Z",
            "level": "INFO",
            "event": "backup_started",
            "request_id": "1-6b04efa0-00",
            **story,
            "region": "cn-hangzhou",
            "instance_id": "r-1",
            "attempts": 1,
            "job_ids": "10000",
        },
        {
            "time": "2026-11-24T02:00:00.000Z",
            "level": "INFO",
            "event": "report",
            "request_id": "1-6b04efa0-00",
            **story,
            "dry_run": False,
            "ok": True,
            "done": False,
            "running": 1,
            "instances": 1,
        },
    ]
    last = [record for record in cloud.logs.records if record["event"] == "backup_succeeded"]
    assert [(record["job_ids"], record["duration_seconds"], record["backup_size"] > 0) for record in last] == [
        ("10000", 90, True)
    ]
    end = cloud.platform.invocations[2]
    assert [record for record in end.records if record["event"] == "request_finished"] == [
        {
            "time": "2026-11-24T02:02:00.000Z",
            "level": "INFO",
            "event": "request_finished",
            "request_id": end.request_id,
            **story,
            "trigger": "follow",
            "instances": 1,
            "succeeded": 1,
            "failed": 0,
            "attempts": 1,
            "first_started": "2026-11-24T02:00:00Z",
            "duration_seconds": 120,
        }
    ]
    middle = cloud.platform.invocations[1]
    assert [record["event"] for record in middle.records] == ["report"]  # no change of state, no record


def test_a_state_is_recorded_when_it_or_its_error_changes(make_cloud) -> None:
    """A follow-up takes its instances' last state as recorded."""
    cloud = make_cloud(Instance("r-1", status="Changing", normal_after=150))
    cloud.invoke_async({"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "t", "payload": "r-1"})
    cloud.platform.drain(50)
    assert [
        (record["level"], record["event"], record.get("error_code"))
        for record in cloud.logs.records
        if "instance_id" in record
    ] == [
        ("WARNING", "backup_pending", "IncorrectDBInstanceState"),
        ("INFO", "backup_pending", "Watching"),
        ("INFO", "backup_started", None),
        ("INFO", "backup_succeeded", None),
    ]


def test_the_report(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2", status="Changing"))
    report = cloud.invoke({"instance_ids": "r-1 r-2", "reason": "why"}, request_id="1-6b04efa0-00").result
    pending = report["instances"][1]["error"]
    assert pending.pop("request_id")
    assert report == {
        "request_id": "1-6b04efa0-00",
        "trigger": {"kind": "manual", "id": "1-6b04efa0-00"},
        "since": "2026-11-24T02:00:00Z",
        "reason": "why",
        "dry_run": False,
        "ok": True,
        "done": False,
        "counts": {"pending": 1, "running": 1},
        "jobs": {"cn-hangzhou/r-1": ["10000"]},
        "instances": [
            {
                "instance_id": "r-1",
                "region": "cn-hangzhou",
                "state": "running",
                "job_ids": ["10000"],
                "adopted": False,
                "attempts": 1,
                "progress": None,
                "verified": None,
                "copies": None,
                "error": None,
            },
            {
                "instance_id": "r-2",
                "region": "cn-hangzhou",
                "state": "pending",
                "job_ids": [],
                "adopted": False,
                "attempts": 0,
                "progress": None,
                "verified": None,
                "copies": None,
                "error": {
                    "code": "IncorrectDBInstanceState",
                    "message": "The current instance state does not support this operation.",
                    "kind": "busy",
                    "hint": "the instance is being created or changed; the backup starts when its status is Normal again",  # noqa: E501
                },
            },
        ],
    }


def test_a_job_id_is_out_before_anything_else_is_done(make_cloud) -> None:
    """Killed at the first thing after CreateBackup's answer, the record is there."""
    cloud = make_cloud()
    events = cloud.invoke({"instance_ids": "r-1"}).events
    for kill_after in range(1, events + 1):
        other = make_cloud()
        killed = other.invoke({"instance_ids": "r-1"}, kill_after=kill_after)
        answered = [call for call in other.calls if call.operation == "CreateBackup" and call.status == 200]
        after = [call for call in other.calls if call.operation == "InvokeFunction"]
        if answered and after:
            assert [record["job_ids"] for record in killed.records if record["event"] == "backup_started"] == ["10000"]


@pytest.mark.parametrize("count", [3, 400])
def test_a_raised_text_is_a_summary_and_a_json_list_of_at_most_8_kb(make_cloud, count: int) -> None:
    cloud = make_cloud(settings={"BACKUP_SHARD_SIZE": "1000"})
    payload = {"instance_ids": [f"r-gone{number}" for number in range(count)]}
    error = cloud.invoke(
        {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "t", "payload": json.dumps(payload)}
    ).error
    text = error["errorMessage"]
    summary, listed = text.split(":\n")
    assert summary.startswith(f"{count} failed of {count} instances (trigger t@2026-11-24T02:00:00Z)")
    assert len(text.encode()) <= 8192
    shown = json.loads(listed)
    assert all(item["error"]["code"] == "InvalidInstanceId.NotFound" for item in shown)
    assert (len(shown) == count) == (count == 3)
    assert ("are in the log store" in summary) == (count == 400)


def test_a_progress_is_shown_where_the_listing_has_one(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", duration=100))
    cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"})
    cloud.clock.advance(42)
    state = cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"}).result["instances"][0]
    assert state["progress"] == 42


def test_an_unreadable_answer_to_create_backup_is_an_unknown_outcome(make_cloud) -> None:
    cloud = make_cloud()
    cloud.faults.plan("CreateBackup", [Fault("truncated", after=True), None])
    assert cloud.invoke({"instance_ids": "r-1"}).result["instances"][0]["job_ids"] == ["10000"]


def test_what_is_cut_first_is_what_a_query_can_do_without() -> None:
    """A record is found by its trigger's ID and its reason, in whatever alphabet."""
    stream = io.StringIO()
    request = Request(TriggerKind.TIMER, "发" * 150, SINCE, reason="布" * 200)
    finished = Totals(0, 100, 100, SINCE, tuple(f"cn-hangzhou/r-{number:020}" for number in range(100)))
    Recorder(Runtime({}, SimulatedClock(), stream), "1-x").request_finished(request, finished)
    line = stream.getvalue().rstrip()
    record = json.loads(line)
    assert (record["trigger_id"], record["reason"]) == ("发" * 150, "布" * 200)
    assert 1900 < len(line.encode()) <= MAX_BYTES
    assert all(len(key) == 34 for key in record["failed_ids"].split(","))
    assert (record["failed"], record["attempts"]) == (100, 100)


def test_few_failed_ids_are_not_cut_for_a_long_reason() -> None:
    stream = io.StringIO()
    request = Request(TriggerKind.TIMER, "𠀀" * 250, SINCE, reason="𠀀" * 200)
    finished = Totals(0, 1, 1, SINCE, ("cn-hangzhou/r-1",), unlisted=3)
    Recorder(Runtime({}, SimulatedClock(), stream), "1-x").request_finished(request, finished)
    assert len(stream.getvalue().encode()) <= MAX_BYTES
    assert json.loads(stream.getvalue())["failed_ids"] == "cn-hangzhou/r-1"

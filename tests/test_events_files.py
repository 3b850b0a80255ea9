"""Every sample in events/ goes through the function, on the default fleet, to its end; and batches of events."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from simulator import Cloud, Fleet, Instance, SimulatedClock

EVENTS = Path(__file__).resolve().parent.parent / "events"
STANDARD, SHARDS, CLOUD_NATIVE = "r-bp1zxszhcgatnx01", "r-bp1cluster2shards", "r-bp1cloudnative01"
CREATING, DENIED = "r-bp1beingcreated1", "r-bp1notyours00001"
REQUEST_ID = "1-6b04efa0-127fbe39cd7681596e33ebad"  # of 02:00:00, as FC 3.0 makes them


def seen(records: list[dict[str, Any]]) -> dict[str, str]:
    """What the records say last of each instance. (The lines of a raised error's text are no records.)"""
    found = [each for each in records if "instance_id" in each and "event" in each]
    return {each["instance_id"]: each["event"].removeprefix("backup_") for each in found}


def outcome(cloud: Cloud, event: bytes) -> dict[str, Any]:
    """What one event came to: the answer to it, where its instances ended up, and what was raised, if anything."""
    first = cloud.invoke(event, request_id=REQUEST_ID)
    cloud.platform.drain()
    report = first.records[-1]
    fields = ("trigger", "trigger_id", "since", "reason", "dry_run")
    return {
        "answer": first.error["errorType"] if first.error else first.result.get("statusCode", "report"),
        "raised": {each.error["errorType"] for each in cloud.platform.invocations if each.error},
        **{name: report[name] for name in fields if name in report},
        "at first": seen(first.records),
        "in the end": seen(cloud.logs.records),
    }


def expected(
    trigger: str,
    trigger_id: str,
    since: str,
    *instances: str,
    answer: str | int = "report",
    raised: str | None = None,
    reason: str | None = None,
    dry_run: bool = False,
    at_first: str | dict[str, str] = "started",
    in_the_end: str | dict[str, str] = "succeeded",
) -> dict[str, Any]:
    """An `outcome`; a state alone is that of all the instances."""
    return {
        "answer": answer,
        "raised": {raised} if raised else set(),
        "trigger": trigger,
        "trigger_id": trigger_id,
        "since": since,
        **({"reason": reason} if reason else {}),
        "dry_run": dry_run,
        "at first": dict.fromkeys(instances, at_first) if isinstance(at_first, str) else at_first,
        "in the end": dict.fromkeys(instances, in_the_end) if isinstance(in_the_end, str) else in_the_end,
    }


BATCH = expected(
    "eventbridge",
    "0c5f2a30-1111-4476-bdef-5d6fb57f0046,0c5f2a30-2222-4476-bdef-5d6fb57f0047",
    "2026-11-24T10:00:04Z",
    STANDARD,
    SHARDS,
    CLOUD_NATIVE,
    reason="release 46 of shop/web,release 47 of shop/api",
    at_first={STANDARD: "started", SHARDS: "adopted", CLOUD_NATIVE: "started"},  # by the later of the two that name it
)
SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {  # the clock at the event's arrival, and the outcome
    "manual.json": (
        "2026-11-24T02:00:00Z",
        expected("manual", REQUEST_ID, "2026-11-24T02:00:00Z", STANDARD, SHARDS, reason="before release 42"),
    ),
    "check.json": (
        "2026-11-24T02:00:00Z",
        {
            "answer": "report",
            "raised": set(),
            "trigger": "manual",
            "trigger_id": REQUEST_ID,
            "at first": {},
            "in the end": {},
        },
    ),
    "manual-list.json": (
        "2026-11-24T02:00:00Z",
        expected("manual", REQUEST_ID, "2026-11-24T02:00:00Z", STANDARD, SHARDS),
    ),
    "manual-ids.txt": (
        "2026-11-24T02:00:00Z",
        expected("manual", REQUEST_ID, "2026-11-24T02:00:00Z", STANDARD, SHARDS),
    ),
    "tags.json": (
        "2026-11-24T02:00:00Z",
        expected("manual", REQUEST_ID, "2026-11-24T02:00:00Z", STANDARD, reason="before the sale"),
    ),
    "timer.json": (
        "2026-11-24T02:00:01Z",
        expected(
            "timer",
            "nightly@2026-11-24T02:00:00Z",
            "2026-11-24T02:00:00Z",
            raised="BackupFailed",  # when it is over, and not while others are followed up
            reason="nightly",
            at_first={
                STANDARD: "started",
                SHARDS: "started",
                CLOUD_NATIVE: "started",
                CREATING: "pending",
                DENIED: "failed",
            },
            in_the_end={**dict.fromkeys((STANDARD, SHARDS, CLOUD_NATIVE, CREATING), "succeeded"), DENIED: "failed"},
        ),
    ),
    "timer-text.json": (
        "2026-11-24T03:00:01Z",
        expected("timer", "hourly@2026-11-24T03:00:00Z", "2026-11-24T03:00:00Z", STANDARD, CLOUD_NATIVE),
    ),
    "timer-copy.json": (
        "2026-11-24T04:00:01Z",
        expected("timer", "copies@2026-11-24T04:00:00Z", "2026-11-24T04:00:00Z", STANDARD, SHARDS, reason="copies"),
    ),
    "audit.json": (
        "2026-11-24T02:30:01Z",
        expected(
            "timer",
            "audit@2026-11-24T02:30:00Z",
            "2026-11-24T02:30:00Z",
            STANDARD,
            SHARDS,
            CLOUD_NATIVE,
            reason="audit",
            dry_run=True,
            at_first="planned",
            in_the_end="planned",
        ),
    ),
    "eventbridge-predeploy.json": (
        "2026-11-24T09:15:02Z",
        expected(
            "eventbridge",
            "7adc8c1a-645d-4476-bdef-5d6fb57f0042",
            "2026-11-24T09:15:00.25Z",
            STANDARD,
            SHARDS,
            reason="release 42 of shop/web",
        ),
    ),
    "eventbridge-json-text.json": (
        "2026-11-24T09:20:02Z",
        expected(
            "eventbridge",
            "7adc8c1a-645d-4476-bdef-5d6fb57f0043",
            "2026-11-24T09:20:00Z",
            STANDARD,
            CLOUD_NATIVE,
            reason="release 43 of shop/web",
        ),
    ),
    "eventbridge-base64.json": (
        "2026-11-24T09:25:02Z",
        expected(
            "eventbridge",
            "7adc8c1a-645d-4476-bdef-5d6fb57f0044",
            "2026-11-24T09:25:00Z",
            SHARDS,
            reason="release 44 of shop/web",
        ),
    ),
    "eventbridge-odd-time.json": (
        "2026-11-24T09:30:02Z",
        expected(
            "eventbridge",
            "7adc8c1a-645d-4476-bdef-5d6fb57f0045",
            "2026-11-24T09:30:01.204Z",
            STANDARD,
            reason="release 45 of shop/web",
        ),
    ),
    "eventbridge-kvstore-maintenance.json": (
        "2026-11-24T06:00:03Z",
        expected("eventbridge", "45ef4dewdwe1-7c35-447a-bd93-fab2cdb3", "2026-11-24T06:00:00Z", STANDARD),
    ),
    "batch-objects.json": ("2026-11-24T10:00:05Z", BATCH),
    "batch-texts.json": ("2026-11-24T10:00:05Z", BATCH),
    "http.json": (
        "2026-11-24T11:00:01Z",
        expected(
            "http",
            "1-6b056e30-127fbe39cd7681596e33ebad",
            "2026-11-24T11:00:00.5Z",
            STANDARD,
            CLOUD_NATIVE,
            answer=202,
            reason="by hand, ticket OPS-7",
        ),
    ),
    "http-base64.json": (
        "2026-11-24T11:00:01Z",
        expected(
            "http",
            "1-6b056e30-127fbe39cd7681596e33ebae",
            "2026-11-24T11:00:00.5Z",
            STANDARD,
            CLOUD_NATIVE,
            answer=202,
            reason="by hand, ticket OPS-7",
        ),
    ),
    "console-template.json": (
        "2026-11-24T02:00:00Z",
        {
            "answer": "InvalidRequest",
            "raised": {"InvalidRequest"},
            "trigger": "manual",
            "trigger_id": REQUEST_ID,
            "at first": {},
            "in the end": {},
        },
    ),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_event_comes_to_what_it_asks_for(name: str) -> None:
    arrival, wanted = SAMPLES[name]
    clock = SimulatedClock(datetime.fromisoformat(arrival.replace("Z", "+00:00")).timestamp())
    with Cloud(clock=clock, settings={"BACKUP_STORE": "oss://backups/redis"}) as cloud:
        assert outcome(cloud, (EVENTS / name).read_bytes()) == wanted
        copied = {key.split("/")[3] for key in cloud.store.objects if key.endswith(".rdb")}
        assert copied == (set(wanted["in the end"]) if name == "timer-copy.json" else set())


def test_the_timer_sample_names_the_whole_default_fleet() -> None:
    payload = json.loads(json.loads((EVENTS / "timer.json").read_text())["payload"])
    assert set(payload["instance_ids"]) == {each.id for each in Fleet.load()}


def test_every_file_has_its_test() -> None:
    assert {path.name for path in EVENTS.iterdir()} == set(SAMPLES)


AT = "2026-11-24T01:59:5"  # and a second: all are prompt


def event(number: int, *instances: str, **data: Any) -> dict[str, Any]:
    """A CloudEvent of a batch."""
    return {
        "id": f"e{number}",
        "source": "tests",
        "type": "release",
        "specversion": "1.0",
        "time": f"{AT}{number}Z",
        "data": {"instance_ids": list(instances), **data},
    }


def told(cloud: Cloud, name: str) -> list[dict[str, Any]]:
    """The records of one name, in the order in which they came, without what differs from run to run."""
    volatile = ("time", "request_id", "duration_seconds")
    records = [record for record in cloud.logs.records if record.get("event") == name]
    return [{key: value for key, value in record.items() if key not in volatile} for record in records]


def jobs(cloud: Cloud, instance: str) -> list[str]:
    """The job IDs of all the backups that an instance has."""
    return [",".join(backup.job_ids) for backup in cloud.kvstore.instance(instance).backups]


BAD = {**event(2), "data": {"instance_ids": "?", "wait_seconds": -1}}


def test_a_bad_event_of_a_batch_is_refused_by_itself_and_its_neighbours_get_their_backups(make_cloud) -> None:
    cloud: Cloud = make_cloud(Instance("r-a"), Instance("r-b"))
    invocation = cloud.invoke([event(1, "r-a"), BAD, event(3, "r-b")])
    names = [record["event"] for record in invocation.records if "event" in record]
    assert sorted(names) == ["backup_started", "backup_started", "event_refused", "report"]
    [refused] = told(cloud, "event_refused")
    assert (refused["level"], refused["trigger_id"], refused["error_code"]) == ("ERROR", "e2", "InvalidRequest")
    assert all(fault in refused["error_message"] for fault in ("instance_ids must be", "wait_seconds must be"))
    assert invocation.error
    kind, message = invocation.error["errorType"], invocation.error["errorMessage"]
    assert (kind, message.count("event 2 of 3 (e2): ")) == ("InvalidRequest", 2)
    assert "the batch's other events are handled" in message
    cloud.platform.drain()
    assert [len(jobs(cloud, each)) for each in ("r-a", "r-b")] == [1, 1]
    finished = {record["trigger_id"]: record["succeeded"] for record in told(cloud, "request_finished")}
    assert finished == {"e1": 1, "e3": 1}


def test_a_batch_with_a_bad_event_that_is_delivered_again_makes_no_second_backup(make_cloud) -> None:
    cloud: Cloud = make_cloud(Instance("r-a"), Instance("r-b"))
    cloud.invoke_async([event(1, "r-a"), BAD, event(3, "r-b")])
    cloud.platform.drain()
    assert [invocation.attempt for invocation in cloud.platform.invocations if invocation.error] == [0, 1, 2, 3]
    assert [len(jobs(cloud, each)) for each in ("r-a", "r-b")] == [1, 1]


def test_a_batch_of_which_no_event_is_good_starts_nothing(make_cloud) -> None:
    cloud: Cloud = make_cloud()
    invocation = cloud.invoke([BAD, event(1)])
    assert invocation.error
    assert invocation.error["errorType"] == "InvalidRequest"
    assert "Nothing was started. An event that works" in invocation.error["errorMessage"]
    assert [record["trigger_id"] for record in told(cloud, "event_refused")] == ["e2", "e1"]
    assert (told(cloud, "report")[0]["ok"], cloud.calls) == (False, [])


@pytest.mark.parametrize(
    ("batch", "raised"),
    [
        ([event(1, "r-denied"), BAD], "InvalidRequest"),
        ([event(1, "r-denied"), event(3, "r-changing")], "BackupFailed"),
        ([event(1, "r-changing"), BAD], "InvalidRequest"),
        ([event(1, "r-changing")], "BackupPending"),
    ],
)
def test_a_batch_tells_of_bad_events_first_then_of_failures_then_of_what_is_left(
    make_cloud, batch: list[dict[str, Any]], raised: str
) -> None:
    cloud: Cloud = make_cloud(
        Instance("r-denied", denied=True),
        Instance("r-changing", status="Changing"),
        settings={"BACKUP_FOLLOW_SECONDS": "0"},
    )
    invocation = cloud.invoke(batch)
    assert invocation.error
    assert invocation.error["errorType"] == raised
    *_, last = [record["event"] for record in invocation.records if "event" in record]
    assert last == "report"


def test_each_event_of_a_batch_has_a_limit_of_its_own(make_cloud) -> None:
    cloud: Cloud = make_cloud(
        *(Instance(f"r-{name}") for name in "abcd"), settings={"BACKUP_MAX_INSTANCES": "2", "BACKUP_SHARD_SIZE": "10"}
    )
    invocation = cloud.invoke([event(1, "r-a", "r-b"), event(2, "r-c", "r-d")])
    assert (invocation.error, invocation.result["counts"]) == (None, {"running": 4})
    invocation = cloud.invoke([event(1, "r-a", "r-b"), event(2, "r-b", "r-c", "r-d")])
    assert invocation.error
    assert (
        "event 2 of 2 (e2): the request names 3 instances but must name at most 2" in invocation.error["errorMessage"]
    )
    cloud.platform.drain()
    assert [len(jobs(cloud, f"r-{name}")) for name in "abcd"] == [1, 1, 1, 1]


@pytest.mark.parametrize("shard_size", ["200", "1"])
def test_an_instance_of_two_events_is_the_stricter_ones_and_adopted_once_for_the_other(
    make_cloud, shard_size: str
) -> None:
    cloud: Cloud = make_cloud(Instance("r-a"), Instance("r-b"), settings={"BACKUP_SHARD_SIZE": shard_size})
    # The later of the two would do with a backup that is an hour old, and there is one.
    old = cloud.clock.time() - 1800
    cloud.kvstore.instance("r-a").add_backup(old, old + 60)
    cloud.invoke([event(1, "r-a"), event(3, "r-a", "r-b", max_age_minutes=60)])
    cloud.platform.drain()
    assert [len(jobs(cloud, each)) for each in ("r-a", "r-b")] == [2, 1]
    started = {
        (record["instance_id"], record["trigger_id"], record["since"]) for record in told(cloud, "backup_started")
    }
    assert started == {("r-a", "e1", f"{AT}1Z"), ("r-b", "e3", f"{AT}3Z")}
    [adopted] = told(cloud, "backup_adopted")
    assert (adopted["instance_id"], adopted["trigger_id"]) == ("r-a", "e1")
    finished = {
        record["trigger_id"]: (record["since"], record["instances"]) for record in told(cloud, "request_finished")
    }
    assert finished == {"e1": (f"{AT}1Z", 1), "e3": (f"{AT}3Z", 1)}


def test_a_cloud_event_with_a_very_long_id_is_followed_to_its_end(make_cloud) -> None:
    cloud: Cloud = make_cloud(Instance("r-a"))
    invocation = cloud.invoke({**event(1, "r-a"), "id": "x" * 140_000})
    assert (invocation.error, len(cloud.platform.queue)) == (None, 1)
    cloud.platform.drain()
    assert [record["succeeded"] for record in told(cloud, "request_finished")] == [1]

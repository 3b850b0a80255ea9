"""Follow-ups and shards: the same request, sent again by the function to itself."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from redis_backup.followups.payload import next_due
from redis_backup.reconcile.work import WorkItem
from redis_backup.request.events import TriggerKind
from redis_backup.request.instances import InstanceRef
from redis_backup.request.request import FollowUpInfo, Request
from redis_backup.states import ErrorKind, Outcome, Problem, State
from simulator import Behaviour, Cloud, Fault, Faults, FunctionConfig, Instance, SimulatedClock, ram

EVENT = {
    "id": "deploy-42",
    "source": "ci",
    "type": "deploy",
    "specversion": "1.0",
    "time": "2026-11-24T02:00:00.250Z",
    "data": {"instance_ids": "r-1 r-2", "reason": "release 42", "retention_days": 30, "max_age_minutes": 1},
}


def queued(cloud: Cloud) -> list[tuple[float, str | None, dict[str, Any]]]:
    """What waits: seconds from now, task ID, payload."""
    now = cloud.clock.time()
    waiting = sorted(cloud.platform.queue._waiting)
    return [(round(each.due - now, 1), each.task_id, json.loads(each.event)) for each in waiting]


@pytest.mark.parametrize("generation", [2, 3])
def test_a_follow_up_is_the_same_request_for_what_is_not_final(make_cloud, generation: int) -> None:
    busy = Instance("r-2", status="Changing")
    cloud = make_cloud(Instance("r-1"), busy, function=FunctionConfig(generation=generation))
    cloud.invoke(EVENT)
    [(delay, task_id, payload)] = queued(cloud)
    assert delay == 60
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,127}", task_id)
    assert payload == {
        "follow": {
            "first": "2026-11-24T02:00:00Z",
            "due": "2026-11-24T02:01:00.25Z",
            "trigger": "eventbridge",
            "trigger_id": "deploy-42",
            "total": 2,
        },
        "instance_ids": ["cn-hangzhou/r-1", "cn-hangzhou/r-2"],
        "jobs": {
            "cn-hangzhou/r-1": ["10000"],
            "cn-hangzhou/r-2": ["recorded:pending:IncorrectDBInstanceState"],
        },
        "since": "2026-11-24T02:00:00.25Z",
        "max_age_minutes": 1,
        "retention_days": 30,
        "reason": "release 42",
        "verify": "none",
        "copy": False,
    }


def test_one_chain_exists_however_often_the_event_is_delivered(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2"))
    for _ in range(3):
        cloud.invoke(EVENT)
        cloud.clock.advance(1)
    assert len(queued(cloud)) == 1
    assert [call.status for call in cloud.calls if call.operation == "InvokeFunction"] == [202, 409, 409]


def test_polls_of_a_pipeline_do_not_each_start_a_chain(make_cloud) -> None:
    cloud = make_cloud()
    for _ in range(3):
        cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"})
        cloud.clock.advance(1)
    assert len(queued(cloud)) == 1


def test_other_events_have_their_own_chains(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2"))
    for change in (
        {},
        {"id": "deploy-43"},
        {"time": "2026-11-24T02:00:00.500Z"},
        {"data": {**EVENT["data"], "reason": "x"}},
    ):
        cloud.invoke({**EVENT, **change})
    assert len(queued(cloud)) == 4


@pytest.mark.parametrize("denied", [("r-2",), ("r-1", "r-2")])
def test_an_event_that_is_sent_again_backs_up_what_can_be_after_all(make_cloud, denied: tuple[str, ...]) -> None:
    """A permission that was missing at the first delivery is there at the next one, while follow-ups wait or not."""
    cloud = make_cloud(Instance("r-1"), Instance("r-2"))
    cloud.policy = _denying(*denied)
    first = cloud.invoke(EVENT)
    assert first.result["counts" if first.error is None else "errorType"] == (
        {"failed": 1, "running": 1} if len(denied) == 1 else "BackupFailed"
    )
    cloud.policy = ram.allow(["*"], ["*"])
    cloud.clock.advance(30)
    cloud.invoke_async(EVENT)
    cloud.platform.drain()
    assert [len(state.backups) for state in cloud.kvstore.instances] == [1, 1]
    final = [record for record in cloud.logs.records if record.get("event") == "backup_succeeded"]
    assert {record["instance_id"] for record in final} == {"r-1", "r-2"}


def test_what_has_failed_is_not_tried_again_by_a_follow_up(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2"))
    cloud.policy = _denying("r-2")
    cloud.invoke(EVENT)
    [(_, _, payload)] = queued(cloud)
    assert payload["instance_ids"] == ["cn-hangzhou/r-1"]
    assert payload["follow"]["finished"] == {"failed": 1, "failed_ids": ["cn-hangzhou/r-2"]}


def _denying(*instances: str) -> dict[str, Any]:
    allow = ram.allow(["*"], ["*"])
    names = [f"*instance/{instance}" for instance in instances]
    deny = ram.allow(["kvstore:CreateBackup"], names, effect="Deny")
    return {"Version": "1", "Statement": [*allow["Statement"], *deny["Statement"]]}


def test_records_of_a_follow_up_tell_the_first_events_story(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2"))
    cloud.invoke(EVENT)
    cloud.platform.drain()
    story = [record for record in cloud.logs.records if record.get("trigger_id") == "deploy-42"]
    assert [(record["trigger"], record["event"]) for record in story if record.get("instance_id") == "r-1"] == [
        ("eventbridge", "backup_started"),
        ("follow", "backup_succeeded"),
    ]
    assert {record["reason"] for record in story} == {"release 42"}


def test_following_can_be_turned_off(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings={"BACKUP_FOLLOW_SECONDS": "0"})
    event = {**EVENT, "data": {"instance_ids": "r-1"}}
    assert cloud.invoke(event).result["counts"] == {"running": 1}  # left alone
    cloud.kvstore.instance("r-1").status = "Changing"
    error = cloud.invoke({**event, "id": "e2", "time": "2026-11-24T02:00:01Z"}).error
    assert error["errorType"] == "BackupPending"
    assert "no follow-up will look at unfinished instances: BACKUP_FOLLOW_SECONDS is 0" in error["errorMessage"]
    assert queued(cloud) == []


def test_a_dry_run_is_not_followed(make_cloud) -> None:
    cloud = make_cloud()
    cloud.invoke({"instance_ids": "r-1"})
    cloud.platform.queue._waiting.clear()
    request = json.dumps({"instance_ids": "r-1", "dry_run": True})
    timer = {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "audit", "payload": request}
    assert cloud.invoke(timer).result["counts"] == {"running": 1}
    cloud.faults.plan("DescribeBackupTasks", [Fault("reset")] * 8)
    unseen = cloud.invoke(timer)
    assert (unseen.error, unseen.result["counts"]) == (None, {"pending": 1})
    assert queued(cloud) == []


def test_a_service_named_by_a_context_of_fc_3_falls_back(make_cloud) -> None:
    cloud = make_cloud(settings={"FC_SERVICE_NAME": "left-over"})
    cloud.invoke({"instance_ids": "r-1"})
    assert len(queued(cloud)) == 1


@pytest.mark.parametrize("generation", [2, 3])
@pytest.mark.parametrize("kind", ["reset", "page502", "truncated", "throttle", "internal", "hang"])
@pytest.mark.parametrize("after", [False, True])
def test_a_follow_up_whose_answer_is_lost_is_sent_again_and_exists_once(
    make_cloud, generation: int, kind: str, after: bool
) -> None:
    cloud = make_cloud(function=FunctionConfig(generation=generation))
    cloud.faults.plan("InvokeFunction", [Fault(kind, after=after)] * 2)
    assert cloud.invoke(EVENT | {"data": {"instance_ids": "r-1"}}).error is None
    assert len(queued(cloud)) == 1


def test_a_follow_up_that_cannot_be_sent_leaves_the_retry_to_the_platform(make_cloud) -> None:
    cloud = make_cloud()
    cloud.faults.plan("InvokeFunction", [Fault("reset")] * 6)
    cloud.invoke_async(EVENT | {"data": {"instance_ids": "r-1"}})
    assert cloud.platform.run_due().error["errorType"] == "BackupPending"
    cloud.platform.drain()
    assert [record["event"] for record in cloud.logs.records[-3:]] == [
        "backup_succeeded",
        "request_finished",
        "report",
    ]


def test_a_late_follow_up_only_looks(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2", duration=1e6), Instance("r-3"))
    for name in ("r-1", "r-2"):
        cloud.invoke({"instance_ids": name, "since": "2026-11-24T02:00:00Z"})
    cloud.clock.advance(7 * 3600)
    follow_up = {"first": "2026-11-24T02:00:00Z", "due": "2026-11-24T02:01:00Z", "trigger": "timer", "trigger_id": "x"}
    late = {"follow": follow_up, "instance_ids": "r-1 r-2 r-3", "since": "2026-11-24T02:00:00Z"}
    invocation = cloud.invoke(late)
    last = {record["instance_id"]: record for record in invocation.records if "instance_id" in record}
    assert {name: (record["event"], record.get("error_code")) for name, record in last.items()} == {
        "r-1": ("backup_succeeded", None),
        "r-2": ("backup_failed", "FollowUpExpired"),
        "r-3": ("backup_failed", "FollowUpExpired"),
    }
    assert invocation.error["errorType"] == "BackupFailed"
    assert cloud.kvstore.instance("r-3").backups == []


def test_a_dry_run_in_a_batch_does_not_keep_the_others_from_being_followed(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2"))
    cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"})
    cloud.platform.queue._waiting.clear()
    cloud.invoke([{"instance_ids": "r-1", "dry_run": True, "since": "2026-11-24T02:00:00Z"}, {"instance_ids": "r-2"}])
    assert [payload["instance_ids"] for _, _, payload in queued(cloud)] == [["cn-hangzhou/r-2"]]


def test_the_follow_ups_of_many_events_are_sent_side_by_side(make_cloud) -> None:
    fleet = fleet_of(150)
    batch = [{**EVENT, "id": f"e{each.id}", "data": {"instance_ids": each.id}} for each in fleet]
    cloud = make_cloud(*fleet, settings={"BACKUP_CONCURRENCY": "16"}, clock=SimulatedClock(), latency=0.1)
    invocation = cloud.invoke(batch)
    assert (invocation.error, len(queued(cloud))) == (None, 150)
    assert invocation.duration < 10


def test_a_second_attempt_of_a_cloud_native_cluster_is_not_lost_with_the_listing(make_cloud) -> None:
    native = Instance("r-1", kind="cloud-native", outcomes=("failed", "success"), duration=50)
    cloud = make_cloud(native, behaviour=Behaviour(listing_lag=60))
    cloud.invoke({"instance_ids": "r-1"})
    cloud.platform.drain()
    assert [backup.succeeded for backup in cloud.kvstore.instance("r-1").backups] == [False, True]


# The points of time at which follow-ups are due


def request_of(since: float = 0.25, follow_due: float | None = None) -> Request:
    """`since` and `follow_due` in seconds after 02:00."""
    follow_up = FollowUpInfo(at(0), at(follow_due), TriggerKind.TIMER, "t") if follow_due is not None else None
    return Request(TriggerKind.TIMER, "t", at(since), (InstanceRef("cn-hangzhou", "r-1"),), follow_up=follow_up)


def at(seconds: float) -> datetime:
    return datetime(2026, 11, 24, 2, tzinfo=timezone.utc) + timedelta(seconds=seconds)


def item(request: Request, code: str | None) -> WorkItem:
    """An instance that runs, or that is pending with this error code."""
    problem = Problem(code, "…", ErrorKind.UNKNOWN) if code else None
    outcome = Outcome(State.PENDING, error=problem) if code else Outcome(State.RUNNING, ("1",))
    return WorkItem(request, request.instances[0], outcome=outcome)


@pytest.mark.parametrize(
    ("request_", "codes", "step", "now", "due"),
    [
        (request_of(), [None], 60, 0.5, 60.25),
        (request_of(), [None], 60, 30.25, 60.25),  # half a step from now
        (request_of(), [None], 60, 30.26, 120.25),
        (request_of(), [None], 60, 1000, 1080.25),
        (request_of(), [None], 2400, 5, 2400.25),
        (request_of(follow_due=60.25), [None], 60, 12, 120.25),  # early, and not once more for its own time
        (request_of(follow_due=60.25), [None], 60, 100, 180.25),
        (request_of(), ["BackupJobExists"], 60, 5, 60.25),
        (request_of(), ["Watching"], 60, 33, 40.25),  # the next multiple of 10 s, at least 1 s from now
        (request_of(), ["Watching"], 60, 39.5, 50.25),
        (request_of(), ["OutOfTime"], 60, 33, 40.25),
        (request_of(since=25.25), ["OutOfTime"], 60, 0, 35.25),  # by a clock that is ahead: never at `since`, as shards
        (request_of(), [None, "Watching"], 60, 33, 40.25),
        (request_of(follow_due=40.25), ["Watching"], 60, 36, 50.25),
        (request_of(), [], 0, 5, 60.25),  # a shard that is sent again, where there are no follow-ups
    ],
)
def test_a_follow_up_is_due_at_the_next_point_of_the_grid(
    request_: Request, codes: list[str | None], step: int, now: float, due: float
) -> None:
    items = [item(request_, code) for code in codes]
    assert next_due(request_, items, step, 300, at(now)) == at(due)


def test_a_follow_up_is_named_by_what_it_covers_and_when_it_is_due(make_cloud) -> None:
    """Not by how it was asked for, nor by anything that was seen."""
    tagged = [Instance(name, tags={"app": "shop"}, duration=600) for name in ("r-1", "r-2")]
    cloud = make_cloud(*tagged)
    since = "2026-11-24T02:00:00Z"
    for request in (
        {"instance_ids": "r-1 r-2"},
        {"instance_ids": ["r-2", "r-1"], "wait_seconds": 3},
        {"tags": {"app": "shop"}},
        {"instance_ids": "r-1 r-2", "jobs": {"cn-hangzhou/r-1": ["10000", "attempt:2", "7"]}},
    ):
        cloud.invoke({**request, "since": since})
    assert [call.status for call in cloud.calls if call.operation == "InvokeFunction"] == [202, 409, 409, 409]
    for request in (
        {"instance_ids": "r-1"},
        {"instance_ids": "r-1 r-2", "reason": "why"},
        {"instance_ids": "r-1 r-2", "retention_days": 9},
        {"instance_ids": "r-1 r-2", "max_age_minutes": 9},
    ):
        cloud.invoke({**request, "since": since})
    assert [call.status for call in cloud.calls if call.operation == "InvokeFunction"][4:] == [202] * 4


@pytest.mark.parametrize("status", [400, 409])
def test_a_name_that_is_taken_may_be_refused_either_way(make_cloud, status: int) -> None:
    cloud = make_cloud(Instance("r-1", duration=600), function=FunctionConfig(duplicate_status=status))
    for _ in range(2):
        assert cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"}).error is None
    assert len(queued(cloud)) == 1


# Shards


def fleet_of(count: int) -> list[Instance]:
    return [Instance(f"r-{number:05d}", duration=90) for number in range(count)]


def test_a_large_request_is_split_and_each_shard_reports_its_own(make_cloud) -> None:
    fleet = fleet_of(45)
    cloud = make_cloud(*fleet, settings={"BACKUP_SHARD_SIZE": "20"})
    first = cloud.invoke(EVENT | {"data": {"instance_ids": [instance.id for instance in fleet]}})
    assert (first.result["counts"], first.result["ok"], first.result["done"]) == ({"pending": 45}, True, False)
    assert [(shard["instances"], shard["sent"]) for shard in first.result["shards"]] == [
        (20, "new"),
        (20, "new"),
        (5, "new"),
    ]
    assert first.result["jobs"] == {}
    assert [state["error"] for state in first.result["instances"]] == [None] * 45
    assert [record["event"] for record in first.records] == ["report"]
    again = cloud.invoke(EVENT | {"data": {"instance_ids": [instance.id for instance in fleet]}})
    assert [shard["sent"] for shard in again.result["shards"]] == ["repeat"] * 3
    # What the first ones did, only looking can tell: each is sent for the next point of the grid.
    assert [(delay, payload["follow"]["due"]) for delay, _, payload in queued(cloud)] == [
        *[(1, "2026-11-24T02:00:00.25Z")] * 3,
        *[(61, "2026-11-24T02:01:00.25Z")] * 3,
    ]
    cloud.platform.drain()
    assert {len(state.backups) for state in cloud.kvstore.instances} == {1}
    done = [record for record in cloud.logs.records if record.get("event") == "backup_succeeded"]
    assert len({record["instance_id"] for record in done}) == 45
    assert {record["trigger_id"] for record in done} == {"deploy-42"}


def test_a_shard_that_cannot_be_sent_is_reported_and_tried_again(make_cloud) -> None:
    fleet = fleet_of(6)
    cloud = make_cloud(*fleet, settings={"BACKUP_SHARD_SIZE": "3"})
    cloud.faults.plan("InvokeFunction", [None, *[Fault("reset")] * 6])
    cloud.invoke_async(EVENT | {"data": {"instance_ids": [instance.id for instance in fleet]}})
    first = cloud.platform.run_due()
    assert first.error["errorType"] == "BackupPending"
    pending = [record["instance_id"] for record in first.records if record.get("event") == "backup_pending"]
    assert pending == ["r-00003", "r-00004", "r-00005"]
    cloud.platform.drain()
    assert {len(state.backups) for state in cloud.kvstore.instances} == {1}


def test_a_dry_run_is_split_too(make_cloud) -> None:
    cloud = make_cloud(*fleet_of(5), settings={"BACKUP_SHARD_SIZE": "3"})
    cloud.invoke({"instance_ids": [f"r-{number:05d}" for number in range(5)], "dry_run": True})
    cloud.platform.drain()
    assert Counter(record.get("event") for record in cloud.logs.records)["backup_planned"] == 5
    assert {len(state.backups) for state in cloud.kvstore.instances} == {0}


def test_no_payload_is_larger_than_the_platform_takes(make_cloud) -> None:
    """Clusters of 128 shards: their job IDs alone are more than 128 KB."""
    fleet = [Instance(f"r-{'x' * 40}{number:04d}", kind="classic-cluster", shards=128) for number in range(130)]
    cloud = make_cloud(*fleet, settings={"BACKUP_SHARD_SIZE": "1000", "BACKUP_CONCURRENCY": "8"}, latency=0)
    cloud.invoke({"instance_ids": [instance.id for instance in fleet]})
    cloud.platform.drain()
    assert {call.status for call in cloud.calls if call.operation == "InvokeFunction"} == {202}
    assert {len(state.backups) for state in cloud.kvstore.instances} == {1}
    finished = [record for record in cloud.logs.records if record["event"] == "request_finished"]
    assert len({record["shard"] for record in finished}) == len(finished) > 1  # queries take one for each
    assert sum(record["instances"] for record in finished) == 130


def test_a_reason_that_is_empty_is_none_and_names_no_other_follow_up(make_cloud) -> None:
    cloud = make_cloud()
    for reason in ({}, {"reason": ""}):
        cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z", **reason})
    assert len(queued(cloud)) == 1


# Tags


def test_tags_select_redis_and_tair_page_by_page_and_join_the_named(make_cloud) -> None:
    tagged = [
        Instance(f"r-t{number:03d}", type="Tair" if number % 2 else "Redis", tags={"env": "prod", "n": str(number % 3)})
        for number in range(120)
    ]
    cloud = make_cloud(*tagged, Instance("r-other"), settings={"BACKUP_CONCURRENCY": "8"})
    report = cloud.invoke({"tags": {"env": "prod", "n": "1"}, "instance_ids": "r-other, r-t001"}).result
    expected = {"r-other", *(instance.id for instance in tagged if instance.tags["n"] == "1")}
    assert {state["instance_id"] for state in report["instances"]} == expected
    assert report["counts"] == {"running": 41}


def test_tags_that_select_nothing_are_an_error_that_says_so(make_cloud) -> None:
    error = make_cloud().invoke({"tags": {"env": "prod"}}).error
    assert error["errorType"] == "InvalidRequest"
    assert 'no instance in cn-hangzhou has the tags {"env": "prod"}' in error["errorMessage"]


@pytest.mark.parametrize(("fault", "error_type"), [("reset", "BackupPending"), (None, "BackupFailed")])
def test_tags_that_cannot_be_looked_up_start_nothing(make_cloud, fault: str | None, error_type: str) -> None:
    policy = ram.allow(["kvstore:CreateBackup"], ["*"]) if fault is None else None
    faults = Faults(1.0, kinds=[fault]) if fault else None
    cloud = make_cloud(policy=policy, faults=faults)
    error = cloud.invoke({"tags": {"env": "prod"}, "instance_ids": "r-1"}).error
    assert error["errorType"] == error_type
    assert "nothing was started, because the tags could not be looked up" in error["errorMessage"]
    assert cloud.kvstore.instance("r-1").backups == []
    last = cloud.logs.records[-1]
    assert (last["event"], last["trigger"], "trigger_id" in last, "hint" in last) == ("report", "manual", True, True)


def test_an_adopted_cloud_native_backup_is_not_lost_with_the_listing(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", kind="cloud-native", duration=100), behaviour=Behaviour(listing_lag=60))
    cloud.faults.plan("CreateBackup", [Fault("reset", after=True)])
    cloud.invoke({"instance_ids": "r-1"})
    assert queued(cloud)[0][2]["jobs"]["cn-hangzhou/r-1"][0].startswith("cluster:")
    cloud.platform.drain()
    assert len(cloud.kvstore.instance("r-1").backups) == 1
    assert cloud.logs.records[-3]["event"] == "backup_succeeded"


def test_the_job_ids_of_an_adopted_cloud_native_backup_are_looked_for(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", kind="cloud-native"), behaviour=Behaviour(cloud_native_tasks=True))
    cloud.faults.plan("CreateBackup", [Fault("reset", after=True)])
    assert cloud.invoke({"instance_ids": "r-1"}).result["instances"][0]["job_ids"] == ["10000"]

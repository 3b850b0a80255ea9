"""What an invocation does first, what it waits for, and what stays as it is once it is final. End to end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import handler
from redis_backup.runtime import Runtime
from simulator import Behaviour, Cloud, Fault, FunctionConfig, Instance, ram
from simulator.clock import DEFAULT_START
from simulator.fc.state import Invocation

Make = Callable[..., Cloud]
TIMER = {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "nightly", "payload": '{"instance_ids": "r-1"}'}
LOOKING = ["kvstore:DescribeBackupTasks", "kvstore:DescribeBackups", "kvstore:CreateBackup", "fc:InvokeFunction"]


def cloud_event(event_id: str, data: dict[str, Any], minute: int = 0) -> dict[str, Any]:
    time = f"2026-11-24T02:{minute:02}:00Z"
    return {"specversion": "1.0", "id": event_id, "source": "x", "type": "t", "time": time, "data": data}


def follow_up(due: str, **fields: Any) -> dict[str, Any]:
    follow = {"first": "2026-11-24T02:00:00Z", "due": due, "trigger": "timer", "trigger_id": "nightly@1"}
    return {"follow": follow, "instance_ids": ["cn-hangzhou/r-1"], "since": "2026-11-24T02:00:00Z", **fields}


def times(cloud: Cloud, operation: str) -> list[float]:
    return [call.time - DEFAULT_START for call in cloud.calls if call.operation == operation]


def told(invocation: Invocation, instance: str = "r-1") -> list[tuple[str, str | None]]:
    records = [record for record in invocation.records if record.get("instance_id") == instance]
    return [(record["event"], record.get("error_code")) for record in records]


def test_what_failed_while_a_follow_up_waited_to_be_due_stays_failed(make_cloud: Make) -> None:
    cloud = make_cloud(function=FunctionConfig(timeout=600))
    cloud.faults.plan("CreateBackup", [Fault("lock", code="BackupTimesExceeded")])
    invocation = cloud.invoke(follow_up("2026-11-24T02:10:00Z"))
    assert told(invocation)[-1] == ("backup_failed", "BackupTimesExceeded")
    assert len(times(cloud, "CreateBackup")) == 1


def test_a_follow_up_with_nothing_left_to_do_does_not_wait_to_be_due(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", duration=30), function=FunctionConfig(timeout=600))
    cloud.kvstore.create_backup({"InstanceId": "r-1"}, None)
    cloud.clock.advance(120)
    invocation = cloud.invoke(follow_up("2026-11-24T02:11:00Z"))
    assert told(invocation) == [("backup_succeeded", None)]
    assert invocation.duration < 30


def test_what_starts_at_its_first_look_goes_before_what_is_watched(make_cloud: Make) -> None:
    old = [f"r-{number:02}" for number in range(60)]
    limits = {"DescribeBackupTasks": 1.0}
    cloud = make_cloud(*map(Instance, [*old, "r-new"]), limits=limits, function=FunctionConfig(timeout=300))
    cloud.clock.advance(600)
    batch = [cloud_event("old", {"instance_ids": old}), cloud_event("new", {"instance_ids": "r-new"}, minute=10)]
    invocation = cloud.invoke(batch)
    assert told(invocation, "r-new") == [("backup_started", None)]
    assert times(cloud, "CreateBackup")[0] < 660


@pytest.mark.parametrize(("kind", "error"), [("throttle", "BackupPending"), ("lock", "BackupFailed")])
def test_tags_that_cannot_be_looked_up_keep_no_neighbour_waiting(make_cloud: Make, kind: str, error: str) -> None:
    cloud = make_cloud(function=FunctionConfig(timeout=300))
    cloud.faults.plan("DescribeInstances", [Fault(kind, code="NoPermission" if kind == "lock" else "")] * 200)
    invocation = cloud.invoke([cloud_event("a", {"tags": {"a": "b"}}), cloud_event("b", {"instance_ids": "r-1"})])
    assert told(invocation) == [("backup_started", None)]
    assert times(cloud, "CreateBackup")[0] < 60
    [refused] = [record for record in invocation.records if record["event"] == "event_refused"]
    assert (refused["level"], refused["trigger_id"]) == ("ERROR", "a")
    assert refused["error_kind"] == ("throttled" if kind == "throttle" else "permanent")
    assert invocation.error is not None
    assert invocation.error["errorType"] == error


@pytest.mark.parametrize("seconds", [4.7, 5.5])
def test_an_api_that_takes_10_s_for_a_look_does_not_keep_a_backup_from_starting(
    make_cloud: Make, seconds: float
) -> None:
    cloud = make_cloud(latency=seconds, function=FunctionConfig(timeout=300))
    invocation = cloud.invoke(TIMER)
    assert told(invocation) == [("backup_started", None)]
    assert times(cloud, "CreateBackup")[0] < 40


def test_an_event_is_watched_for_200_s_even_where_nothing_follows_it_up(make_cloud: Make) -> None:
    ids = [f"r-{number:02}" for number in range(60)]
    cloud = make_cloud(
        *map(Instance, ids),
        settings={"BACKUP_FOLLOW_SECONDS": "0"},
        limits={"DescribeBackupTasks": 1.0},
        function=FunctionConfig(timeout=600),
    )
    cloud.clock.advance(60)
    invocation = cloud.invoke(cloud_event("late", {"instance_ids": ids}))
    assert invocation.duration < 240  # 200 s, and what had been watched by then
    assert invocation.error is not None
    assert invocation.error["errorType"] == "BackupPending"


def test_what_throttling_left_is_said_to_be_throttled_and_goes_on(make_cloud: Make) -> None:
    cloud = make_cloud(function=FunctionConfig(timeout=130))
    cloud.faults.plan("DescribeBackupTasks", [Fault("throttle")] * 500)
    report = cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"}).result
    [instance] = report["instances"]
    assert (instance["state"], instance["error"]["kind"]) == ("pending", "throttled")
    assert "ask Alibaba Cloud for a higher quota" in instance["error"]["hint"]
    assert len(cloud.platform.queue._waiting) == 1


def test_a_pause_that_ends_after_the_time_out_is_not_waited_for(make_cloud: Make) -> None:
    cloud = make_cloud(function=FunctionConfig(timeout=600))
    cloud.faults.plan("DescribeBackupTasks", [Fault("throttle", retry_after_ms=3_600_000)])
    assert cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"}).duration < 30


def test_what_may_not_be_asked_is_asked_and_said_once(make_cloud: Make) -> None:
    cloud = make_cloud(policy=ram.allow(LOOKING, ["*"]))
    cloud.clock.advance(60)
    invocation = cloud.invoke(TIMER)
    assert Counter(call.operation for call in cloud.calls)["DescribeInstanceAttribute"] == 1
    assert [event for event, _ in told(invocation)].count("warning") == 1
    assert ("backup_started", None) in told(invocation)


def test_a_backup_that_runs_is_on_record_though_the_first_look_was_refused(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", duration=100))
    cloud.kvstore.create_backup({"InstanceId": "r-1"}, None)
    cloud.faults.plan("DescribeBackupTasks", [Fault("lock", code="Forbidden.RAM")])
    asked = {"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z", "jobs": {"r-1": ["10000"]}}
    invocation = cloud.invoke({**asked, "wait_seconds": 60})
    assert told(invocation) == [("warning", "Forbidden.RAM"), ("backup_started", None)]


def test_a_dry_run_raises_nothing_where_no_shard_can_be_sent(make_cloud: Make) -> None:
    ids = [f"r-{number}" for number in range(6)]
    policy = ram.allow(["kvstore:*"], ["*"])
    cloud = make_cloud(*map(Instance, ids), policy=policy, settings={"BACKUP_SHARD_SIZE": "5"})
    cloud.kvstore.create_backup({"InstanceId": "r-1"}, None)
    cloud.clock.advance(5)  # an older backup runs, so that one instance is pending
    payload = json.dumps({"instance_ids": ids, "dry_run": True})
    invocation = cloud.invoke({**TIMER, "triggerTime": "2026-11-24T02:00:05Z", "payload": payload})
    assert invocation.error is None
    assert invocation.result["counts"] == {"planned": 5, "pending": 1}


def test_a_split_requests_answer_has_all_pending_whatever_its_jobs_say(make_cloud: Make) -> None:
    ids = [f"r-{number}" for number in range(4)]
    cloud = make_cloud(*(Instance(each, duration=600) for each in ids), settings={"BACKUP_SHARD_SIZE": "2"})
    for each in ids:
        cloud.kvstore.create_backup({"InstanceId": each}, None)
    jobs = {each: [str(10000 + number)] for number, each in enumerate(ids)}
    report = cloud.invoke({"instance_ids": ids, "since": "2026-11-24T02:00:00Z", "jobs": jobs}).result
    assert (report["counts"], report["jobs"]) == ({"pending": 4}, {})
    for _ in ids[:2]:
        cloud.platform.run_due()
    recorded = [record["instance_id"] for record in cloud.logs.records if record["event"] == "backup_started"]
    assert sorted(recorded) == ids  # a shard takes no state for recorded


def test_a_backup_whose_record_could_not_be_written_is_not_started_twice(make_cloud: Make) -> None:
    class Full:
        """A stream that fails once, at the record of a start."""

        def __init__(self, out: Any) -> None:
            self.out, self.has_failed = out, False

        def write(self, text: str) -> int:
            if '"backup_started"' in text and not self.has_failed:
                self.has_failed = True
                raise OSError("no space left")
            return int(self.out.write(text))

        def flush(self) -> None:
            self.out.flush()

    def run(event: bytes, context: Any, runtime: Runtime) -> Any:
        return handler.handler(event, context, Runtime(runtime.environ, runtime.clock, Full(runtime.stdout)))

    cloud = make_cloud(Instance("r-1", duration=2), handler=run, behaviour=Behaviour(listing_lag=55))
    cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z", "wait_seconds": 90})
    assert len(times(cloud, "CreateBackup")) == 1


def test_an_event_that_is_twice_in_its_batch_is_one(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", outcomes=("failed",)), settings={"BACKUP_MAX_ATTEMPTS": "1"})
    event = cloud_event("e", {"instance_ids": "r-1"})
    cloud.invoke_async([event, event])
    cloud.platform.drain(50)
    finished = [record for record in cloud.logs.records if record["event"] == "request_finished"]
    assert {(record["instances"], record["failed"]) for record in finished} == {(1, 1)}
    assert [record for record in cloud.logs.records if record["event"] == "backup_adopted"] == []


def test_the_look_that_shows_what_runs_counts_though_finished_ones_may_not_be_listed(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", duration=100))
    cloud.kvstore.create_backup({"InstanceId": "r-1"}, None)
    cloud.faults.plan("DescribeBackups", [Fault("lock", code="Forbidden.RAM")])
    invocation = cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"})
    assert told(invocation) == [("warning", "Forbidden.RAM"), ("backup_adopted", None)]


def test_what_expires_says_its_last_error_and_no_other_state_before(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1"))
    cloud.clock.advance(7 * 3600)
    jobs = {"cn-hangzhou/r-1": ["recorded:pending:BackupJobExists"]}
    invocation = cloud.invoke(follow_up("2026-11-24T09:00:00Z", jobs=jobs))
    assert told(invocation) == [("backup_failed", "FollowUpExpired")]
    [record] = [record for record in invocation.records if record["event"] == "backup_failed"]
    assert "last error BackupJobExists" in record["error_message"]

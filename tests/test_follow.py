"""Follow-ups and shards: the same request, sent again by the function to itself."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

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
            "count": 1,
            "trigger_id": "deploy-42",
        },
        "instance_ids": ["cn-hangzhou/r-1", "cn-hangzhou/r-2"],
        "jobs": {"cn-hangzhou/r-1": ["10000"]},
        "since": "2026-11-24T02:00:00.25Z",
        "max_age_minutes": 1,
        "retention_days": 30,
        "reason": "release 42",
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


def test_an_instance_that_can_be_backed_up_after_all_is_followed(make_cloud) -> None:
    """A permission that was missing at the first delivery is there at the platform's retry."""
    cloud = make_cloud(Instance("r-1"), Instance("r-2"))
    cloud.policy = _denying("r-2")
    cloud.platform.invoke_async(json.dumps(EVENT).encode())
    assert cloud.platform.run_due().error["errorType"] == "BackupFailed"
    cloud.policy = ram.allow(["*"], ["*"])
    cloud.platform.drain()
    final = Counter(record["instance_id"] for record in cloud.logs.records if record.get("event") == "backup_succeeded")
    assert set(final) == {"r-1", "r-2"}


def _denying(instance: str) -> dict[str, Any]:
    allow = ram.allow(["*"], ["*"])
    deny = ram.allow(["kvstore:CreateBackup"], [f"*instance/{instance}"], effect="Deny")
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
    assert "nothing follows up what is not final: BACKUP_FOLLOW_SECONDS is 0" in error["errorMessage"]
    assert queued(cloud) == []


def test_a_dry_run_is_not_followed(make_cloud) -> None:
    cloud = make_cloud()
    cloud.invoke({"instance_ids": "r-1"})
    cloud.platform.queue._waiting.clear()
    request = json.dumps({"instance_ids": "r-1", "dry_run": True})
    timer = {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "audit", "payload": request}
    assert cloud.invoke(timer).result["counts"] == {"running": 1}
    cloud.faults.plan("DescribeBackupTasks", [Fault("reset")] * 8)
    assert "a dry run is not followed" in cloud.invoke(timer).error["errorMessage"]
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
    assert cloud.logs.records[-2]["event"] == "backup_succeeded"


def test_a_late_follow_up_only_looks(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2", duration=1e6), Instance("r-3"))
    for name in ("r-1", "r-2"):
        cloud.invoke({"instance_ids": name, "since": "2026-11-24T02:00:00Z"})
    cloud.clock.advance(7 * 3600)
    follow = {"first": "2026-11-24T02:00:00Z", "due": "2026-11-24T02:01:00Z", "count": 1, "trigger_id": "x"}
    late = {"follow": follow, "instance_ids": "r-1 r-2 r-3", "since": "2026-11-24T02:00:00Z"}
    invocation = cloud.invoke(late)
    assert [(record["event"], record.get("error_code")) for record in invocation.records[-4:-1]][-2:] == [
        ("backup_failed", "FollowUpExpired"),
        ("backup_failed", "FollowUpExpired"),
    ]
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


# Shards


def fleet_of(count: int) -> list[Instance]:
    return [Instance(f"r-{number:05d}", duration=90) for number in range(count)]


def test_a_large_request_is_split_and_each_shard_reports_its_own(make_cloud) -> None:
    fleet = fleet_of(45)
    cloud = make_cloud(*fleet, settings={"BACKUP_SHARD_SIZE": "20"})
    first = cloud.invoke(EVENT | {"data": {"instance_ids": [instance.id for instance in fleet]}})
    assert (first.result["counts"], first.result["ok"], first.result["done"]) == ({"pending": 45}, True, False)
    assert [(shard["instances"], shard["sent"]) for shard in first.result["shards"]] == [
        (20, True),
        (20, True),
        (5, True),
    ]
    assert [record["event"] for record in first.records] == ["report"]
    cloud.invoke(EVENT | {"data": {"instance_ids": [instance.id for instance in fleet]}})  # the event again
    assert len(queued(cloud)) == 3
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
    assert 'tags {"env": "prod"} select no instance in cn-hangzhou' in error["errorMessage"]


@pytest.mark.parametrize(("fault", "error_type"), [("reset", "BackupPending"), (None, "BackupFailed")])
def test_tags_that_cannot_be_looked_up_start_nothing(make_cloud, fault: str | None, error_type: str) -> None:
    policy = ram.allow(["kvstore:CreateBackup"], ["*"]) if fault is None else None
    faults = Faults(1.0, kinds=[fault]) if fault else None
    cloud = make_cloud(policy=policy, faults=faults)
    error = cloud.invoke({"tags": {"env": "prod"}, "instance_ids": "r-1"}).error
    assert error["errorType"] == error_type
    assert "nothing was started, since the tags could not be looked up" in error["errorMessage"]
    assert cloud.kvstore.instance("r-1").backups == []
    last = cloud.logs.records[-1]
    assert (last["event"], last["trigger"], "trigger_id" in last, "hint" in last) == ("report", "manual", True, True)


def test_an_adopted_cloud_native_backup_is_not_lost_with_the_listing(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", kind="cloud-native", duration=100), behaviour=Behaviour(listing_lag=60))
    cloud.faults.plan("CreateBackup", [Fault("reset", after=True)])
    cloud.invoke({"instance_ids": "r-1"})
    assert queued(cloud)[0][2]["jobs"]["cn-hangzhou/r-1"][0].startswith("cluster-backup:")
    cloud.platform.drain()
    assert len(cloud.kvstore.instance("r-1").backups) == 1
    assert cloud.logs.records[-2]["event"] == "backup_succeeded"


def test_the_job_ids_of_an_adopted_cloud_native_backup_are_looked_for(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", kind="cloud-native"), behaviour=Behaviour(cloud_native_tasks=True))
    cloud.faults.plan("CreateBackup", [Fault("reset", after=True)])
    assert cloud.invoke({"instance_ids": "r-1"}).result["instances"][0]["job_ids"] == ["10000"]

"""Every row of the table of states in docs/reference.md, through HTTP, with the real SDK."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from simulator import Behaviour, Cloud, FunctionConfig, Instance, SimulatedClock
from simulator.clock import DEFAULT_START

R1 = Instance("r-1")
CLUSTER = Instance("r-c", kind="classic-cluster", shards=2, shard_lag=20)
NATIVE = Instance("r-n", kind="cloud-native", shards=2)


def state_of(cloud: Cloud, **request: Any) -> dict[str, Any]:
    instance = next(iter(cloud.fleet))
    return cloud.invoke({"instance_ids": instance.id, **request}).result["instances"][0]


def brief(state: dict[str, Any]) -> tuple:
    error = state["error"] or {}
    return (state["state"], state["job_ids"], state["adopted"], state["attempts"], error.get("code"), error.get("kind"))


@pytest.mark.parametrize("instance", [R1, Instance("r-t", type="Tair"), Instance("r-k", kind="cluster", shards=2)])
def test_nothing_there_starts_a_backup(make_cloud, instance: Instance) -> None:
    cloud: Cloud = make_cloud(instance)
    assert brief(state_of(cloud)) == ("running", ["10000"], False, 1, None, None)


@pytest.mark.parametrize("style", ["text", "quoted"])
def test_a_cluster_answers_a_job_id_for_each_shard(make_cloud, style: str) -> None:
    cloud: Cloud = make_cloud(Instance("r-c", kind="classic-cluster", shards=3, job_id_style=style))
    assert state_of(cloud)["job_ids"] == ["10000", "10001", "10002"]


def test_a_job_id_may_be_a_number(make_cloud) -> None:
    assert state_of(make_cloud(Instance("r-1", job_id_style="int")))["job_ids"] == ["10000"]


@pytest.mark.parametrize("instance", [R1, CLUSTER, NATIVE])
def test_a_running_backup_is_adopted_then_its_success(make_cloud, instance: Instance) -> None:
    cloud: Cloud = make_cloud(instance)
    since = "2026-11-24T02:00:00.000Z"
    first = state_of(cloud, since=since)
    ids = first["job_ids"] if instance is not NATIVE else []  # its listing has none
    cloud.clock.advance(10)
    assert brief(state_of(cloud, since=since)) == ("running", ids, True, 1, None, None)
    cloud.clock.advance(60)
    if instance is CLUSTER:  # one of two shards
        assert brief(state_of(cloud, since=since)) == ("running", ids, True, 1, None, None)
    cloud.clock.advance(20)
    assert brief(state_of(cloud, since=since)) == ("succeeded", ids, True, 1, None, None)
    assert len(cloud.kvstore.instance(instance.id).backups) == 1


def test_since_with_milliseconds_accepts_the_second_that_the_api_shows(make_cloud) -> None:
    cloud: Cloud = make_cloud(clock=SimulatedClock(DEFAULT_START + 0.7, grace=0))
    since = "2026-11-24T02:00:00.500Z"
    assert [state_of(cloud, since=since)["adopted"] for _ in range(3)] == [False, True, True]


def test_a_backup_that_began_before_does_not_count(make_cloud) -> None:
    cloud: Cloud = make_cloud()
    now = cloud.clock.time()
    cloud.kvstore.instance("r-1").add_backup(now - 100, now - 40)
    assert brief(state_of(cloud)) == ("running", ["10001"], False, 1, None, None)


def test_a_backup_within_the_maximal_age_counts(make_cloud) -> None:
    cloud: Cloud = make_cloud()
    now = cloud.clock.time()
    cloud.kvstore.instance("r-1").add_backup(now - 100, now - 40)
    assert brief(state_of(cloud, max_age_minutes=2)) == ("succeeded", ["10000"], True, 0, None, None)


def test_an_older_backup_that_runs_leaves_it_pending(make_cloud) -> None:
    cloud: Cloud = make_cloud()
    now = cloud.clock.time()
    cloud.kvstore.instance("r-1").add_backup(now - 100, now + 30)
    assert brief(state_of(cloud)) == ("pending", [], False, 0, "BackupJobExists", "busy")


def test_a_failed_backup_is_followed_by_another_until_there_are_enough(make_cloud) -> None:
    cloud: Cloud = make_cloud(Instance("r-1", outcomes=("failed",)), settings={"BACKUP_FOLLOW_SECONDS": "0"})
    since = "2026-11-24T02:00:00Z"
    states = []
    for _ in range(3):
        states.append(brief(state_of(cloud, since=since)))
        cloud.clock.advance(120)
    assert states == [
        ("running", ["10000"], False, 1, None, None),
        ("running", ["10001"], False, 2, None, None),
        ("failed", ["10000", "10001"], False, 2, "BackupJobFailed", "permanent"),
    ]


def test_the_maximum_of_attempts_is_a_setting(make_cloud) -> None:
    cloud: Cloud = make_cloud(Instance("r-1", outcomes=("failed",)), settings={"BACKUP_MAX_ATTEMPTS": "1"})
    cloud.invoke_async({"instance_ids": "r-1"})
    cloud.platform.drain()
    final = [record["job_ids"] for record in cloud.logs.records if record.get("event") == "backup_failed"]
    assert [len(cloud.kvstore.instance("r-1").backups), set(final)] == [1, {"10000"}]


def test_a_cluster_has_succeeded_only_when_every_shard_has(make_cloud) -> None:
    cloud: Cloud = make_cloud(Instance("r-c", kind="classic-cluster", shards=2, outcomes=("shard-failed", "success")))
    cloud.invoke_async({"instance_ids": "r-c"})
    cloud.platform.drain()
    final = [record for record in cloud.logs.records if record["event"] == "backup_succeeded"]
    assert [(record["job_ids"], record["attempts"]) for record in final] == [("10002,10003", 2)]


@pytest.mark.parametrize("code", ["IncorrectDBInstanceState", "OperationDenied.DBInstanceStatus"])
@pytest.mark.parametrize("status", ["Creating", "Changing", "Unavailable"])
def test_a_wrong_state_stays_pending(make_cloud, status: str, code: str) -> None:
    cloud: Cloud = make_cloud(Instance("r-1", status=status), behaviour=Behaviour(wrong_state_code=code))
    assert brief(state_of(cloud)) == ("pending", [], False, 0, code, "busy")


def test_an_unknown_instance_fails_and_its_hint_names_the_region_that_was_asked(make_cloud) -> None:
    cloud: Cloud = make_cloud(regional=True)
    state = cloud.invoke({"instance_ids": "cn-beijing/r-1"}).result["instances"][0]
    assert brief(state) == ("failed", [], False, 0, "InvalidInstanceId.NotFound", "permanent")
    assert state["error"]["hint"] == (
        "no instance in region cn-beijing has this ID; check the ID, or name another region as REGION/r-1"
    )


def test_a_dry_run_starts_nothing_and_plans_only_what_it_would_start(make_cloud) -> None:
    cloud: Cloud = make_cloud(R1, Instance("r-2"), Instance("r-3"))
    now = cloud.clock.time()
    cloud.kvstore.instance("r-1").add_backup(now - 100, now - 40)
    cloud.kvstore.instance("r-2").add_backup(now - 10, now + 40)
    report = cloud.invoke({"instance_ids": "r-1 r-2 r-3", "dry_run": True, "max_age_minutes": 5}).result
    assert [state["state"] for state in report["instances"]] == ["succeeded", "running", "planned"]
    assert Counter(call.operation for call in cloud.calls)["CreateBackup"] == 0
    assert len(cloud.platform.queue) == 0


def test_several_regions_are_one_request(make_cloud) -> None:
    cloud: Cloud = make_cloud(R1, Instance("r-2", region="cn-beijing"), regional=True)
    arn = "acs:kvstore:cn-beijing:1234567890123456:instance/r-2"
    report = cloud.invoke({"instance_ids": ["r-1", arn], "region": "cn-hangzhou"}).result
    assert [(state["region"], state["state"]) for state in report["instances"]] == [
        ("cn-hangzhou", "running"),
        ("cn-beijing", "running"),
    ]


def test_the_retention_goes_along(make_cloud) -> None:
    cloud: Cloud = make_cloud(R1, Instance("r-2"), settings={"BACKUP_RETENTION_DAYS": "9"})
    cloud.invoke({"instance_ids": "r-1", "retention_days": -1})
    cloud.invoke({"instance_ids": "r-2"})
    assert [cloud.kvstore.instance(name).backups[0].retention_days for name in ("r-1", "r-2")] == [-1, 9]


def test_waiting_stays_until_all_are_final(make_cloud) -> None:
    cloud: Cloud = make_cloud(R1, CLUSTER, NATIVE, Instance("r-x", status="Creating", normal_after=30))
    invocation = cloud.invoke({"instance_ids": "r-1 r-c r-n r-x", "wait_seconds": 200})
    assert invocation.result["counts"] == {"succeeded": 4}
    # r-x is Normal after 30 s; then it is watched, and its backup takes a minute.
    assert 30 + 62 + 60 <= invocation.duration <= 200
    assert len(cloud.platform.queue) == 0


def test_waiting_ends_when_its_time_is_out(make_cloud) -> None:
    cloud: Cloud = make_cloud(R1)
    invocation = cloud.invoke({"instance_ids": "r-1", "wait_seconds": 20})
    assert (invocation.result["counts"], round(invocation.duration)) == ({"running": 1}, 20)


def test_waiting_starts_what_failed_again(make_cloud) -> None:
    cloud: Cloud = make_cloud(Instance("r-1", outcomes=("failed", "success")))
    invocation = cloud.invoke({"instance_ids": "r-1", "wait_seconds": 280})
    assert brief(invocation.result["instances"][0]) == ("succeeded", ["10001"], False, 2, None, None)


def test_a_known_job_counts_as_running_while_a_listing_has_lost_it(make_cloud) -> None:
    cloud: Cloud = make_cloud(behaviour=Behaviour(listing_lag=60))
    request = {"since": "2026-11-24T02:00:00Z"}
    ids = state_of(cloud, **request)["job_ids"]
    cloud.clock.advance(90)  # ended 30 s ago
    jobs = {"cn-hangzhou/r-1": ids}
    assert brief(state_of(cloud, jobs=jobs, **request)) == ("running", ids, False, 1, None, None)
    cloud.clock.advance(40)
    assert brief(state_of(cloud, jobs=jobs, **request)) == ("succeeded", ids, False, 1, None, None)


def test_jobs_of_another_request_do_not_make_up_for_a_backup(make_cloud) -> None:
    cloud: Cloud = make_cloud()
    now = cloud.clock.time()
    old = cloud.kvstore.instance("r-1").add_backup(now - 3700, now - 3600, mode="Manual")
    assert state_of(cloud, jobs={"cn-hangzhou/r-1": list(old.job_ids)})["job_ids"] == ["10001"]


def test_a_since_ahead_is_waited_for(make_cloud) -> None:
    cloud: Cloud = make_cloud()
    state_of(cloud, since="2026-11-24T02:00:20.500Z")
    assert cloud.kvstore.instance("r-1").backups[0].start == pytest.approx(DEFAULT_START + 20.5, abs=0.1)


def test_a_since_ahead_of_all_the_time_there_is_leaves_all_pending(make_cloud) -> None:
    cloud: Cloud = make_cloud(function=FunctionConfig(timeout=10))
    assert brief(state_of(cloud, since="2026-11-24T02:00:20Z")) == ("pending", [], False, 0, "OutOfTime", "transient")


def test_the_happy_path_costs_three_calls_an_instance(make_cloud) -> None:
    fleet = [Instance(f"r-{number}") for number in range(60)] + [
        Instance(f"r-n{number}", kind="cloud-native") for number in range(4)
    ]
    cloud: Cloud = make_cloud(*fleet)
    cloud.invoke({"instance_ids": [instance.id for instance in fleet]})
    assert Counter(call.operation for call in cloud.calls) == {
        "DescribeInstances": 3,
        "DescribeBackupTasks": 60,
        "DescribeBackups": 60,
        "DescribeClusterBackupList": 4,
        "CreateBackup": 64,
        "InvokeFunction": 1,
    }


def test_tasks_are_asked_for_before_sets(make_cloud) -> None:
    cloud: Cloud = make_cloud()
    state_of(cloud)
    assert [call.operation for call in cloud.calls][1:4] == ["DescribeBackupTasks", "DescribeBackups", "CreateBackup"]


def test_an_instance_that_the_bulk_leaves_out_is_asked_itself(make_cloud) -> None:
    cloud: Cloud = make_cloud(Instance("r-n", kind="cloud-native", type="Tair", denied=False), R1)
    cloud.invoke({"instance_ids": "r-n r-1 r-unknown"})
    asked = Counter((call.operation, call.instance) for call in cloud.calls)
    assert asked["DescribeInstances", "*"] == 2  # the second time for Tair
    assert asked["DescribeInstanceAttribute", "r-unknown"] == 1
    assert asked["DescribeClusterBackupList", "r-n"] == 1


def test_many_sets_are_read_page_by_page(make_cloud) -> None:
    cloud: Cloud = make_cloud()
    now = cloud.clock.time()
    for number in range(310):
        cloud.kvstore.instance("r-1").add_backup(now - 10_000 + number, now - 9_000 + number, status="failed")
    ok = cloud.kvstore.instance("r-1").add_backup(now - 10_001, now - 9_500)  # on the last page
    state = state_of(cloud, max_age_minutes=600)
    assert (state["state"], tuple(state["job_ids"])) == ("succeeded", ok.job_ids)


def test_a_repeated_event_gets_one_backup(make_cloud) -> None:
    cloud: Cloud = make_cloud(R1, CLUSTER, NATIVE)
    event = {
        "triggerTime": "2026-11-24T02:00:00Z",
        "triggerName": "t",
        "payload": json.dumps({"instance_ids": "r-1 r-c r-n"}),
    }
    for delay in (0, 0, 5, 100, 4000):
        cloud.clock.advance(delay)
        cloud.invoke(event)
        cloud.platform.drain()
    assert [len(state.backups) for state in cloud.kvstore.instances] == [1, 1, 1]

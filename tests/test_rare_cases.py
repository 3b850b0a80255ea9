"""The rare cases: what a repeat, a lost answer, a lagging list or a clock that differs must not break. End to end."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from simulator import Behaviour, Cloud, Fault, FunctionConfig, Instance, ram
from simulator.clock import DEFAULT_START

Make = Callable[..., Cloud]
TIMER = {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "nightly", "payload": '{"instance_ids": "r-1"}'}
ASKED = {"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"}
HANG_FOLLOW_UP = [Fault("reset")] * 99


def own(cloud: Cloud, instance: str = "r-1") -> list[tuple[str, ...]]:
    return [backup.job_ids for backup in cloud.kvstore.instance(instance).backups if backup.by_api]


def good(cloud: Cloud, instance: str = "r-1") -> int:
    return sum(backup.succeeded and backup.by_api for backup in cloud.kvstore.instance(instance).backups)


def looks(cloud: Cloud, operation: str = "DescribeBackupTasks") -> list[float]:
    """When the calls of an operation were made, in seconds after the event."""
    return [round(call.time - DEFAULT_START, 1) for call in cloud.calls if call.operation == operation]


def state_of(cloud: Cloud, event: Any) -> dict[str, Any]:
    return cloud.invoke(event).result["instances"][0]


def events(cloud: Cloud, instance: str = "r-1") -> list[str]:
    return [record["event"] for record in cloud.logs.records if record.get("instance_id") == instance]


def timer(ids: str, second: int = 0) -> dict[str, str]:
    payload = json.dumps({"instance_ids": ids})
    return {"triggerTime": f"2026-11-24T02:00:{second:02}Z", "triggerName": "nightly", "payload": payload}


def queued(cloud: Cloud) -> list[tuple[float, dict[str, Any]]]:
    now = cloud.clock.time()
    return [(round(each.due - now), json.loads(each.event)) for each in sorted(cloud.platform.queue._waiting)]


# A backup is started only when nothing can be hidden


def test_a_first_delivery_starts_at_its_first_look(make_cloud: Make) -> None:
    cloud = make_cloud()
    cloud.invoke(TIMER)
    assert [call.operation for call in cloud.calls][:4] == [
        "DescribeInstances",
        "DescribeBackupTasks",
        "DescribeBackups",
        "CreateBackup",
    ]


def test_a_repeat_in_the_gap_of_a_list_watches_and_adopts(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", duration=20), behaviour=Behaviour(listing_lag=60), latency=0.05)
    cloud.invoke(TIMER)
    cloud.clock.advance(25)  # it has ended, and is listed in 55 s
    cloud.platform.queue._waiting.clear()
    cloud.invoke(TIMER)
    assert own(cloud) == [("10000",)]
    watch = looks(cloud)[1:]
    assert watch[-1] - watch[0] >= 62
    assert max(later - earlier for earlier, later in itertools.pairwise(watch)) <= 12


def test_a_late_delivery_starts_at_the_end_of_its_watch(make_cloud: Make) -> None:
    cloud = make_cloud(latency=0.05)
    cloud.clock.advance(100)
    cloud.invoke(TIMER)
    created, tasks = looks(cloud, "CreateBackup"), looks(cloud)
    assert len(created) == 1
    assert created[0] - tasks[0] >= 62
    assert created[0] - tasks[-1] <= 12
    assert looks(cloud, "DescribeBackups") == [tasks[0] + 0.1, tasks[-1] + 0.1]  # between them the tasks suffice


def test_no_watch_ends_before_prompt_invocations_may_start_no_more(make_cloud: Make) -> None:
    fleet = [Instance(f"r-{number}") for number in range(120)]  # W is 120 s
    cloud = make_cloud(*fleet, function=FunctionConfig(timeout=600))
    cloud.clock.advance(20)
    cloud.invoke(timer(" ".join(each.id for each in fleet)))
    assert min(looks(cloud, "CreateBackup")) >= 120


def test_a_second_attempt_watches(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", duration=20, outcomes=("failed", "success")), latency=0.05)
    cloud.invoke_async(TIMER)
    cloud.platform.drain(50)
    first, second = looks(cloud, "CreateBackup")
    assert second - first >= 62
    assert good(cloud) == 1


@pytest.mark.parametrize("kind", ["reset", "unavailable", "5xx", "truncated", "200-error", "200-object"])
def test_after_an_answer_of_unknown_outcome_it_looks_and_then_watches(make_cloud: Make, kind: str) -> None:
    cloud = make_cloud(latency=0.05)
    cloud.faults.plan("CreateBackup", [Fault(kind)])
    cloud.invoke(TIMER)
    first, second = looks(cloud, "CreateBackup")
    assert second - first >= 62
    assert own(cloud) == [("10000",)]


def test_a_lost_create_backup_is_not_forgotten_between_looks(make_cloud: Make) -> None:
    """10 s without an answer, a backup of 16 s that is listed a minute after its end, and a caller who waits."""
    cloud = make_cloud(Instance("r-1", duration=16), behaviour=Behaviour(listing_lag=60), latency=0.05)
    cloud.faults.plan("CreateBackup", [Fault("hang", after=True)])
    cloud.faults.plan("DescribeBackupTasks", [None, *[Fault("reset")] * 2])
    report = cloud.invoke({**ASKED, "wait_seconds": 200}).result
    assert (report["counts"], own(cloud)) == ({"succeeded": 1}, [("10000",)])


def test_a_manual_request_leaves_its_watch_to_a_follow_up(make_cloud: Make) -> None:
    cloud = make_cloud(latency=0.05)
    cloud.clock.advance(33)
    invocation = cloud.invoke(ASKED)
    error = invocation.result["instances"][0]["error"]
    assert (error["code"], error["kind"], "until" in error["message"]) == ("Watching", "unknown", True)
    assert (invocation.records[0]["event"], invocation.records[0]["level"]) == ("backup_pending", "INFO")
    assert invocation.duration < 2
    [(delay, payload)] = queued(cloud)
    assert payload["follow"]["due"] == "2026-11-24T02:00:40Z"  # the next multiple of 10 s
    assert delay == 7
    cloud.platform.drain(50)
    assert own(cloud) == [("10000",)]


def test_a_manual_request_watches_while_it_waits(make_cloud: Make) -> None:
    cloud = make_cloud(latency=0.05)
    cloud.clock.advance(33)
    assert cloud.invoke({**ASKED, "wait_seconds": 75}).result["counts"] == {"running": 1}


@pytest.mark.parametrize(
    ("settings", "policy"),
    [({"BACKUP_FOLLOW_SECONDS": "0"}, None), ({}, ram.allow(["kvstore:*"], ["*"]))],
)
def test_where_nothing_will_follow_up_the_invocation_watches(
    make_cloud: Make, settings: dict[str, str], policy: Any
) -> None:
    cloud = make_cloud(settings=settings, policy=policy, latency=0.05)
    cloud.clock.advance(33)
    report = cloud.invoke(ASKED).result
    assert report["counts"] == {"running": 1}
    assert looks(cloud, "CreateBackup")[0] >= 33 + 62


def test_eventbridge_is_watched_for_200_s_at_most(make_cloud: Make) -> None:
    cloud = make_cloud(limits={"CreateBackup": 0.001}, limit_hint=False, function=FunctionConfig(timeout=600))
    cloud.clock.advance(40)
    event = {"id": "e", "source": "s", "type": "t", "specversion": "1.0", "time": "2026-11-24T02:00:00Z"}
    cloud.gateway._limits.check("CreateBackup")  # the one that there is
    assert cloud.invoke({**event, "data": ASKED}).duration <= 215


def test_a_short_time_out_starts_unwatched_and_says_so(make_cloud: Make) -> None:
    cloud = make_cloud(function=FunctionConfig(timeout=60))
    cloud.clock.advance(100)
    cloud.invoke(TIMER)
    assert events(cloud) == ["warning", "backup_started"]
    assert (
        "without a watch" in next(record for record in cloud.logs.records if record.get("instance_id"))["error_message"]
    )


def test_a_short_time_out_waits_75_s_after_an_unknown_outcome(make_cloud: Make) -> None:
    cloud = make_cloud(function=FunctionConfig(timeout=60))
    cloud.faults.plan("CreateBackup", [Fault("reset")])
    cloud.invoke_async(TIMER)
    cloud.platform.drain(50)
    first, second = looks(cloud, "CreateBackup")
    assert second - first >= 75
    assert len(cloud.platform.invocations) <= 4


def test_an_instance_that_got_no_watch_for_15_minutes_starts_unwatched(make_cloud: Make) -> None:
    cloud = make_cloud(latency=0.05)
    follow = {"first": "2026-11-24T02:00:00Z", "due": "2026-11-24T02:20:00Z", "trigger": "timer", "trigger_id": "t"}
    payload = {"follow": follow, "instance_ids": "cn-hangzhou/r-1", "since": "2026-11-24T02:00:00Z"}
    cloud.clock.advance(1200)
    cloud.invoke({**payload, "jobs": {"cn-hangzhou/r-1": ["starved:1", "recorded:pending:OutOfTime"]}})
    assert events(cloud) == ["warning", "backup_started"]
    other = make_cloud(latency=0.05)
    other.clock.advance(1200)
    other.invoke(payload)  # where that is not known, it is watched
    assert looks(other, "CreateBackup")[0] >= 1262


def test_the_mark_of_what_got_no_watch_travels(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2", status="Changing"), latency=0.05)
    cloud.clock.advance(33)
    cloud.invoke({**ASKED, "instance_ids": "r-1 r-2"})
    [(_, payload)] = queued(cloud)
    assert {key: "starved:1" in texts for key, texts in payload["jobs"].items()} == {
        "cn-hangzhou/r-1": True,
        "cn-hangzhou/r-2": False,  # in a wrong state
    }


def test_a_shard_that_is_sent_again_begins_to_count_as_the_first_one_does(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1"), function=FunctionConfig(timeout=130))
    cloud.clock.advance(120)
    cloud.faults.plan("DescribeBackupTasks", [Fault("throttle")] * 500)
    times = {"first": "2026-11-24T02:02:00Z", "due": "2026-11-24T02:02:00Z"}
    follow = {**times, "trigger": "timer", "trigger_id": "t", "shard": "1/2", "total": 400}
    cloud.invoke({"follow": follow, "instance_ids": "cn-hangzhou/r-1", "since": "2026-11-24T02:00:00Z"})
    [(_, payload)] = queued(cloud)
    assert "starved:1" in payload["jobs"]["cn-hangzhou/r-1"]


@pytest.mark.parametrize("status", ["Creating", "Changing", "Transforming", "Released", "Inactive"])
def test_a_status_saves_the_watch(make_cloud: Make, status: str) -> None:
    cloud = make_cloud(Instance("r-1", status=status))
    cloud.clock.advance(100)
    invocation = cloud.invoke(TIMER)
    assert invocation.duration < 2
    assert invocation.result["instances"][0]["error"]["code"] == "IncorrectDBInstanceState"
    assert looks(cloud, "CreateBackup") == []


def test_at_a_clear_moment_create_backup_is_tried_whatever_the_status(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", status="Changing"))
    cloud.invoke(TIMER)
    assert len(looks(cloud, "CreateBackup")) == 1


def test_an_older_task_that_stays_listed_is_no_reason_to_wait_for_ever(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", task_linger=1e6), latency=0.05)
    now = cloud.clock.time()
    old = cloud.kvstore.instance("r-1").add_backup(now - 1000, now - 900)
    cloud.kvstore.instance("r-1").delete_sets(old)  # its end is nowhere
    cloud.invoke_async(TIMER)
    cloud.platform.drain(50)
    assert len(own(cloud)) == 1


def test_an_older_task_with_an_entry_has_ended(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", task_linger=1e6))
    now = cloud.clock.time()
    cloud.kvstore.instance("r-1").add_backup(now - 10_000, now - 9000)
    assert state_of(cloud, TIMER)["state"] == "running"


# What is known of the request's own backups


def test_a_colleagues_backup_of_a_cloud_native_cluster_is_not_taken_for_the_own_one(make_cloud: Make) -> None:
    cloud = make_cloud(
        Instance("r-1", kind="cloud-native", outcomes=("failed",)), settings={"BACKUP_MAX_ATTEMPTS": "1"}
    )
    now = cloud.clock.time()
    cloud.kvstore.instance("r-1").add_backup(now - 3, now - 0.5, mode="Manual")
    cloud.invoke_async(TIMER)
    cloud.platform.drain(50)
    assert events(cloud)[-1] == "backup_failed"


def test_an_adopted_cluster_has_succeeded_only_with_all_its_shards(make_cloud: Make) -> None:
    """Adopted when one of two shards was visible; the other failed, and its ID was never recorded."""
    cluster = Instance("r-1", kind="classic-cluster", shards=2, shard_lag=200, outcomes=("shard-failed",))
    cloud = make_cloud(cluster, behaviour=Behaviour(listing_lag=60), settings={"BACKUP_MAX_ATTEMPTS": "1"})
    now = cloud.clock.time()
    backup = cloud.kvstore.instance("r-1").add_backup(now + 0.01, now + 100, "shard-failed", mode="Manual")
    cloud.clock.advance(1)
    genuine = cloud.kvstore.operations["DescribeBackupTasks"]

    def first_shard_alone(parameters: Any, region: Any) -> Any:
        answer = genuine(parameters, region)
        return {**answer, "BackupJobs": [job for job in answer["BackupJobs"] if job["BackupJobID"] == 10000]}

    cloud.kvstore.operations["DescribeBackupTasks"] = first_shard_alone
    assert state_of(cloud, TIMER)["job_ids"] == ["10000"]
    cloud.clock.advance(170)  # the first shard is listed, the other runs and is not
    assert state_of(cloud, {**ASKED, "jobs": {"cn-hangzhou/r-1": ["10000", "by:other"]}})["state"] == "running"
    cloud.platform.drain(50)
    assert events(cloud)[-1] == "backup_failed"
    assert not backup.succeeded


def test_attempts_are_kept_with_how_they_ended(make_cloud: Make) -> None:
    """The failed set is deleted from the list; the next backup succeeds."""
    cloud = make_cloud(Instance("r-1", duration=20, outcomes=("failed", "success")))
    cloud.invoke_async(TIMER)
    cloud.platform.run_due()
    cloud.platform.run_due()
    [failed, _] = cloud.kvstore.instance("r-1").backups
    cloud.kvstore.instance("r-1").delete_sets(failed)
    cloud.platform.drain(50)
    assert events(cloud)[-1] == "backup_succeeded"
    finished = cloud.logs.records[-2]
    assert (finished["event"], finished["succeeded"], finished["attempts"]) == ("request_finished", 1, 2)


def test_a_job_that_is_nowhere_for_10_minutes_has_failed(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", outcomes=("vanished",)), settings={"BACKUP_MAX_ATTEMPTS": "1"})
    cloud.invoke_async(TIMER)
    cloud.platform.drain(100)
    final = next(record for record in cloud.logs.records if record["event"] == "backup_failed")
    assert (final["error_code"], final["job_ids"]) == ("BackupVanished", "10000")
    after = datetime.fromisoformat(final["time"].replace("Z", "+00:00")).timestamp() - DEFAULT_START
    assert 60 + 600 <= after <= 60 + 600 + 130


@pytest.mark.parametrize("kind", ["standard", "classic-cluster", "cloud-native"])
def test_another_is_started_after_a_job_that_is_nowhere(make_cloud: Make, kind: str) -> None:
    cloud = make_cloud(Instance("r-1", kind=kind, outcomes=("vanished", "success")))
    cloud.invoke_async(TIMER)
    cloud.platform.drain(100)
    codes = [record["error_code"] for record in cloud.logs.records if record["event"] == "warning"]
    assert codes == ["BackupVanished"]
    _, later = own(cloud)
    [final] = [record for record in cloud.logs.records if record["event"] == "backup_succeeded"]
    assert (final["job_ids"], final["attempts"]) == (",".join(later), 2)
    [finished] = [record for record in cloud.logs.records if record["event"] == "request_finished"]
    assert (finished["succeeded"], finished["attempts"]) == (1, 2)


def test_with_nobody_to_follow_a_known_job_that_failed_is_not_running(make_cloud: Make) -> None:
    cloud = make_cloud(
        Instance("r-1", duration=20, outcomes=("failed", "success")), settings={"BACKUP_FOLLOW_SECONDS": "0"}
    )
    jobs = cloud.invoke(ASKED).result["jobs"]
    cloud.clock.advance(60)
    report = cloud.invoke({**ASKED, "jobs": jobs, "wait_seconds": 80}).result
    assert report["instances"][0]["job_ids"] == ["10001"]
    assert good(cloud) + 1 == len(own(cloud)) == 2


def test_a_repeat_under_an_api_clock_that_is_behind_finds_the_own_backup(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", duration=600), api_clock_offset=-2.0, latency=0.05)
    cloud.invoke(TIMER)
    cloud.clock.advance(30)
    report = cloud.invoke(TIMER)
    assert (own(cloud), report.result["counts"]) == ([("10000",)], {"running": 1})


@pytest.mark.parametrize("offset", [2.0, -2.0])
def test_an_older_backup_is_not_accepted_by_a_clock_that_differs(make_cloud: Make, offset: float) -> None:
    cloud = make_cloud(api_clock_offset=offset, latency=0.05)
    now = cloud.clock.time()
    cloud.kvstore.instance("r-1").add_backup(now - 1.5, now + 0.01, mode="Manual")
    cloud.clock.advance(0.5)
    cloud.invoke_async(TIMER)
    cloud.platform.drain(50)
    assert len(own(cloud)) == 1


# Follow-ups and shards


def test_an_event_that_is_sent_again_after_its_follow_ups_died_is_followed(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", duration=20, outcomes=("failed", "success")))
    cloud.invoke(TIMER)
    cloud.platform.plan_kills([1] * 4)  # a bad deployment: the follow-up is killed at all its deliveries
    cloud.platform.drain(50)
    assert len(own(cloud)) == 1
    cloud.clock.advance(600)
    cloud.invoke_async(TIMER)
    cloud.platform.drain(50)
    assert (good(cloud), events(cloud)[-1]) == (1, "backup_succeeded")


def test_shards_that_are_sent_again_do_what_is_left(make_cloud: Make) -> None:
    fleet = [Instance(f"r-{number}", duration=20) for number in range(3)]
    allow = ram.allow(["*"], ["*"])["Statement"]
    deny = ram.allow(["kvstore:CreateBackup"], ["*instance/r-2"], effect="Deny")["Statement"]
    cloud = make_cloud(*fleet, settings={"BACKUP_SHARD_SIZE": "2"}, policy={"Version": "1", "Statement": allow + deny})
    event = timer("r-0 r-1 r-2")
    first = cloud.invoke(event).result
    assert [shard["sent"] for shard in first["shards"]] == ["new", "new"]
    cloud.platform.drain(50)
    cloud.policy = {"Version": "1", "Statement": allow}
    again = cloud.invoke(event).result
    assert [shard["sent"] for shard in again["shards"]] == ["repeat", "repeat"]
    cloud.platform.drain(50)
    assert [good(cloud, each.id) for each in fleet] == [1, 1, 1]


def test_a_shard_that_could_not_be_sent_is_not_said_to_be(make_cloud: Make) -> None:
    cloud = make_cloud(*[Instance(f"r-{number}") for number in range(3)], settings={"BACKUP_SHARD_SIZE": "2"})
    cloud.faults.plan("InvokeFunction", [None, *[Fault("reset")] * 6])
    report = cloud.invoke({"instance_ids": "r-0 r-1 r-2"}).result
    assert [shard["sent"] for shard in report["shards"]] == ["new", "failed"]
    assert [item["error"] and item["error"]["code"] for item in report["instances"]] == [None, None, "NoAnswer"]


def test_chains_do_not_multiply(make_cloud: Make) -> None:
    """26 instances, some of them refused, an event delivered four times, and failures that raise."""
    fleet = [Instance(f"r-{number:02}", duration=200, denied=number % 5 == 0) for number in range(26)]
    cloud = make_cloud(*fleet)
    event = timer(" ".join(each.id for each in fleet))
    for delay in (0, 5, 30, 90):
        cloud.invoke_async(event, delay=delay)
    cloud.platform.drain(200)
    assert len(cloud.platform.invocations) <= 4 * 4 + 15


def test_a_failure_is_raised_when_it_is_over(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", denied=True), Instance("r-2", duration=100))
    first = cloud.invoke(timer("r-1 r-2"))
    assert (first.error, first.result["ok"]) == (None, False)
    assert [record["level"] for record in first.records if record["event"] == "backup_failed"] == ["ERROR"]
    cloud.platform.drain(50)
    raised = [each.error["errorType"] for each in cloud.platform.invocations if each.error]
    assert raised == ["BackupFailed"] * 4  # the last follow-up, and its three retries
    last = cloud.platform.invocations[-1]
    assert "1 failed earlier: cn-hangzhou/r-1" in last.error["errorMessage"]


def test_one_record_sums_an_event_up(make_cloud: Make) -> None:
    fleet = [
        Instance("r-1", denied=True),
        Instance("r-2", duration=20),
        Instance("r-3", duration=100, outcomes=("failed", "success")),
    ]
    cloud = make_cloud(*fleet)
    cloud.invoke(timer("r-1 r-2 r-3"))
    cloud.platform.drain(50)
    finished = next(record for record in cloud.logs.records if record["event"] == "request_finished")
    names = ("level", "trigger", "trigger_id", "instances", "succeeded", "failed", "attempts", "failed_ids")
    assert {name: finished[name] for name in names} == {
        "level": "ERROR",
        "trigger": "follow",
        "trigger_id": "nightly@2026-11-24T02:00:00Z",
        "instances": 3,
        "succeeded": 2,
        "failed": 1,
        "attempts": 3,
        "failed_ids": "cn-hangzhou/r-1",
    }
    assert finished["first_started"] == "2026-11-24T02:00:00Z"
    assert finished["duration_seconds"] >= 200


def test_an_event_whose_instances_belong_to_another_one_is_summed_up_too(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2"), settings={"BACKUP_SHARD_SIZE": "1"})
    event = {"source": "s", "type": "t", "specversion": "1.0", "data": {"instance_ids": "r-1 r-2"}}
    moments = ("2026-11-24T01:59:00Z", "2026-11-24T02:00:00Z")
    cloud.invoke([{**event, "id": f"e{number}", "time": moment} for number, moment in enumerate(moments)])
    cloud.platform.drain(50)
    finished = [record for record in cloud.logs.records if record["event"] == "request_finished"]
    assert sorted((record["trigger_id"], record["instances"]) for record in finished) == [
        ("e0", 0),
        ("e1", 1),
        ("e1", 1),
    ]


# Answers that say nothing, and calls that only help


@pytest.mark.parametrize("kind", ["200-object", "200-list", "200-text", "200-request-id", "200-error"])
@pytest.mark.parametrize("operation", ["DescribeBackupTasks", "DescribeBackups", "DescribeClusterBackupList"])
def test_what_is_no_list_is_not_read_as_none(make_cloud: Make, operation: str, kind: str) -> None:
    native = operation == "DescribeClusterBackupList"
    cloud = make_cloud(Instance("r-1", kind="cloud-native" if native else "standard", duration=600))
    cloud.kvstore.instance("r-1").add_backup(DEFAULT_START + 0.001, DEFAULT_START + 500, mode="Manual")
    cloud.clock.advance(1)
    cloud.faults.plan(operation, [Fault(kind)])
    assert (state_of(cloud, TIMER)["adopted"], looks(cloud, "CreateBackup")) == (True, [])


def test_tags_of_which_a_page_stays_empty_are_backed_up_and_not_ok(make_cloud: Make) -> None:
    fleet = [Instance(f"r-{number:03}", tags={"app": "shop"}, duration=20) for number in range(60)]
    cloud = make_cloud(*fleet)
    genuine = cloud.kvstore.operations["DescribeInstances"]

    def first_page_alone(parameters: Any, region: Any) -> Any:
        answer = genuine(parameters, region)
        return {**answer, "Instances": {"KVStoreInstance": []}} if parameters.get("PageNumber") == "2" else answer

    cloud.kvstore.operations["DescribeInstances"] = first_page_alone
    event = {**TIMER, "payload": json.dumps({"tags": {"app": "shop"}})}
    first = cloud.invoke(event)
    assert (first.result["ok"], first.result["error"]["code"]) == (False, "IncompleteListing")
    cloud.platform.drain(100)
    assert sum(bool(own(cloud, each.id)) for each in fleet) == 50
    finished = next(record for record in cloud.logs.records if record["event"] == "request_finished")
    assert (finished["level"], finished["succeeded"]) == ("ERROR", 50)
    assert {each.error["errorType"] for each in cloud.platform.invocations if each.error} == {"BackupFailed"}


def test_tags_select_from_every_page(make_cloud: Make) -> None:
    fleet = [Instance(f"r-{number:03}", tags={"app": "shop"}) for number in range(120)]
    report = make_cloud(*fleet).invoke({"tags": {"app": "shop"}}).result
    assert report["counts"] == {"running": 120}


def test_tags_of_which_one_list_is_refused_are_backed_up_with_a_warning(make_cloud: Make) -> None:
    fleet = [Instance(f"r-{number}", tags={"app": "shop"}) for number in range(3)]
    cloud = make_cloud(*fleet, behaviour=Behaviour(refused_types=("Tair",)))
    invocation = cloud.invoke({"tags": {"app": "shop"}})
    assert (invocation.result["counts"], invocation.result["ok"]) == ({"running": 3}, True)
    assert [record["event"] for record in invocation.records].count("warning") == 1


def test_without_describe_instances_each_instance_is_asked_by_itself(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-n", kind="cloud-native"))
    cloud.faults.plan("DescribeInstances", [Fault("reset")] * 9)
    invocation = cloud.invoke(timer("r-1 r-n"))
    assert invocation.result["counts"] == {"running": 2}
    assert invocation.duration < 2
    assert [record["event"] for record in invocation.records].count("warning") == 1


def test_without_any_word_of_what_an_instance_is_it_is_backed_up(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-n", kind="cloud-native"))
    for operation in ("DescribeInstances", "DescribeInstanceAttribute"):
        cloud.faults.plan(operation, [Fault("reset")] * 9)
    assert cloud.invoke(timer("r-1 r-n")).result["counts"] == {"running": 2}


# What runs goes on


def test_a_refused_look_does_not_end_what_runs(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", duration=100))
    cloud.invoke(TIMER)
    allowed = cloud.policy
    cloud.policy = ram.allow(["fc:*"], ["*"])
    follow_up = cloud.platform.run_due()
    state = follow_up.result["instances"][0]
    assert (state["state"], state["error"]["code"]) == ("running", "Forbidden.RAM")
    assert [record["event"] for record in follow_up.records if record.get("instance_id")] == ["warning"]
    cloud.policy = allowed
    cloud.platform.drain(50)
    assert events(cloud)[-1] == "backup_succeeded"


def test_credentials_that_end_while_it_waits_hand_over(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", duration=100), Instance("r-2", status="Changing", normal_after=60))
    genuine = cloud.kvstore.operations["DescribeBackupTasks"]
    ended = DEFAULT_START + 4

    def until_they_end(parameters: Any, region: Any) -> Any:
        from simulator.errors import ApiError

        if ended <= cloud.clock.time() < DEFAULT_START + 50:
            raise ApiError(403, "InvalidSecurityToken.Expired", "The security token has expired.")
        return genuine(parameters, region)

    cloud.kvstore.operations["DescribeBackupTasks"] = until_they_end
    report = cloud.invoke({**ASKED, "instance_ids": "r-1 r-2", "wait_seconds": 40}).result
    assert report["counts"] == {"pending": 1, "running": 1}
    assert "backup_failed" not in events(cloud) + events(cloud, "r-2")
    cloud.platform.drain(50)
    assert (events(cloud)[-1], events(cloud, "r-2")[-1]) == ("backup_succeeded", "backup_succeeded")


# A dry run


def dry(cloud: Cloud, seconds: float = 0) -> dict[str, Any]:
    cloud.clock.advance(seconds)
    return state_of(cloud, {**ASKED, "dry_run": True})


def test_a_dry_run_says_what_a_prompt_run_would_do(make_cloud: Make) -> None:
    assert dry(make_cloud())["state"] == "planned"
    assert dry(make_cloud(), seconds=100)["state"] == "planned"
    being_created = dry(make_cloud(Instance("r-1", status="Creating")))
    assert (being_created["state"], being_created["error"]["code"]) == ("pending", "IncorrectDBInstanceState")
    busy = make_cloud()
    busy.kvstore.instance("r-1").add_backup(DEFAULT_START - 100, DEFAULT_START + 100)
    state = dry(busy)
    assert (state["state"], state["error"]["code"]) == ("pending", "BackupJobExists")


def test_a_dry_run_looks_once_is_not_followed_and_raises_for_nothing_pending(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", status="Creating"))
    event = {**TIMER, "payload": json.dumps({"instance_ids": "r-1", "dry_run": True, "wait_seconds": 100})}
    invocation = cloud.invoke(event)
    assert (invocation.error, invocation.duration < 2, queued(cloud)) == (None, True, [])
    assert [record["event"] for record in invocation.records] == ["backup_pending", "report"]


def test_the_simulators_start_is_the_events_time() -> None:
    moment = datetime.fromtimestamp(DEFAULT_START, timezone.utc)
    assert moment.isoformat() == "2026-11-24T02:00:00+00:00"

"""The promises about starts, follow-ups and ends, beyond the rare cases. End to end, time is moved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from simulator import Behaviour, Cloud, ExactClock, Fault, Faults, FunctionConfig, Instance, ram
from simulator.clock import DEFAULT_START

Make = Callable[..., Cloud]
ASKED = {"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"}


def timer(ids: str = "r-1") -> dict[str, str]:
    payload = json.dumps({"instance_ids": ids})
    return {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "nightly", "payload": payload}


def own(cloud: Cloud, instance: str = "r-1") -> list[bool]:
    """Whether each backup that the function has started succeeded."""
    return [backup.succeeded for backup in cloud.kvstore.instance(instance).backups if backup.by_api]


def times(cloud: Cloud, operation: str, instance: str = "r-1") -> list[float]:
    """When an operation was called, in seconds after the event."""
    calls = [call for call in cloud.calls if (call.operation, call.instance) == (operation, instance)]
    return sorted(round(call.time - DEFAULT_START, 2) for call in calls)


def watched(cloud: Cloud, sent: float, instance: str = "r-1") -> tuple[float, float]:
    """How long looks at most 12 s apart had gone on before a CreateBackup, and how long before it the last one was."""
    looks = [moment for moment in times(cloud, "DescribeBackupTasks", instance) if moment <= sent]
    begun = looks[-1]
    for moment in reversed(looks):
        if begun - moment > 12:
            break
        begun = moment
    return looks[-1] - begun, sent - looks[-1]


def events(cloud: Cloud, instance: str = "r-1") -> list[str]:
    """What was recorded of an instance: the error's code where there is one, else the event."""
    records = [record for record in cloud.logs.records if record.get("instance_id") == instance]
    return [record.get("error_code") or record["event"] for record in records]


def final(cloud: Cloud, instance: str = "r-1") -> str:
    """The last record's event of an instance."""
    return [record["event"] for record in cloud.logs.records if record.get("instance_id") == instance][-1]


def finished(cloud: Cloud) -> list[dict[str, Any]]:
    return [record for record in cloud.logs.records if record["event"] == "request_finished"]


def settled(cloud: Cloud, event: Any, *delays: float) -> Cloud:
    """Deliver an event as the platform does, after each of these delays, and follow it to its end."""
    for delay in delays or (0.0,):
        cloud.invoke_async(event, delay=delay, punctual=True)
    cloud.platform.drain(400)
    return cloud


# A backup is started only when nothing can be hidden


def http(body: dict[str, Any]) -> dict[str, Any]:
    about = {"requestId": "h-1", "timeEpoch": str(int(DEFAULT_START * 1000)), "http": {"method": "POST"}}
    return {"requestContext": about, "body": json.dumps(body)}


FIRST_DELIVERIES = {
    "timer": timer(),
    "cloud event": {
        "id": "e",
        "source": "s",
        "type": "t",
        "specversion": "1.0",
        "time": "2026-11-24T02:00:00Z",
        "data": {"instance_ids": "r-1"},
    },
    "http": http({"instance_ids": "r-1"}),
    "manual": ASKED,
}


@pytest.mark.parametrize("trigger", FIRST_DELIVERIES)
@pytest.mark.parametrize(("late", "starts_after"), [(0, 0), (11, 11), (13, 75)])
def test_what_arrives_within_12_s_starts_at_its_first_look_and_what_does_not_watches(
    make_cloud: Make, trigger: str, late: float, starts_after: float
) -> None:
    cloud = make_cloud(latency=0.05)
    settled(cloud, FIRST_DELIVERIES[trigger], late)
    [sent] = times(cloud, "CreateBackup")
    assert starts_after <= sent < starts_after + 20
    assert own(cloud) == [True]


def test_a_repeat_in_the_gap_of_a_list_does_not_find_it_empty(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", duration=16), behaviour=Behaviour(listing_lag=60), clock=ExactClock())
    settled(cloud, timer(), 0, 20)
    assert own(cloud) == [True]


def test_a_follow_up_watches_before_it_starts(make_cloud: Make) -> None:
    cloud = make_cloud(latency=0.05)
    cloud.kvstore.instance("r-1").add_backup(DEFAULT_START - 60, DEFAULT_START + 100)
    settled(cloud, timer())
    [sent] = times(cloud, "CreateBackup")
    length, after = watched(cloud, sent)
    assert length >= 62
    assert after <= 12
    assert sent >= 120 + 62  # the follow-up's first look
    assert events(cloud) == ["BackupJobExists", "Watching", "backup_started", "backup_succeeded"]


def test_a_follow_up_does_not_start_while_another_deliverys_backup_is_in_the_gap(make_cloud: Make) -> None:
    """An older backup ran until 169 s; a follow-up starts one of 20 s; that of another delivery sees nothing."""
    cloud = make_cloud(
        Instance("r-1", duration=20),
        behaviour=Behaviour(listing_lag=60),
        function=FunctionConfig(async_task=False),  # so that both deliveries have follow-ups
        clock=ExactClock(),
    )
    cloud.kvstore.instance("r-1").add_backup(DEFAULT_START - 60, DEFAULT_START + 169)
    settled(cloud, timer(), 0, 32, 95)
    assert own(cloud) == [True]


@pytest.mark.parametrize(("until", "length"), [(40, 0), (80, 62)])
def test_a_prompt_invocation_starts_at_a_look_until_60_s_after_the_event(
    make_cloud: Make, until: float, length: float
) -> None:
    cloud = make_cloud(latency=0.05)
    cloud.kvstore.instance("r-1").add_backup(DEFAULT_START - 60, DEFAULT_START + until)
    cloud.invoke({**ASKED, "wait_seconds": 250})
    [sent] = times(cloud, "CreateBackup")
    assert until <= sent
    assert watched(cloud, sent)[0] >= length
    assert (sent < 60.5) == (length == 0)


def test_a_shard_within_12_s_of_being_sent_by_a_prompt_invocation_starts_at_its_first_look(make_cloud: Make) -> None:
    cloud = make_cloud(*[Instance(f"r-{number}") for number in range(3)], settings={"BACKUP_SHARD_SIZE": "2"})
    cloud.clock.advance(11)
    cloud.invoke(timer("r-0 r-1 r-2"))
    cloud.clock.advance(11)
    cloud.platform.drain(100)
    assert [times(cloud, "CreateBackup", f"r-{number}") for number in range(3)] == [[22]] * 3


@pytest.mark.parametrize(("sent", "delivered"), [(30, 30), (5, 20)])
def test_a_shard_of_a_late_invocation_or_that_is_late_itself_watches(
    make_cloud: Make, sent: float, delivered: float
) -> None:
    cloud = make_cloud(*[Instance(f"r-{number}") for number in range(3)], settings={"BACKUP_SHARD_SIZE": "2"})
    cloud.clock.advance(sent)
    cloud.invoke(timer("r-0 r-1 r-2"))
    cloud.clock.advance(delivered - sent)
    cloud.platform.drain(100)
    assert [times(cloud, "CreateBackup", f"r-{number}")[0] >= delivered + 62 for number in range(3)] == [True] * 3
    assert [own(cloud, f"r-{number}") for number in range(3)] == [[True]] * 3


def test_while_one_is_watched_nothing_else_is_looked_at(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", duration=600), Instance("r-2"))
    cloud.invoke(ASKED)
    cloud.clock.advance(100)
    calls = cloud.calls_of(cloud.invoke(timer("r-1 r-2")))
    looks = Counter(call.instance for call in calls if call.operation == "DescribeBackupTasks")
    assert looks["r-1"] == 1
    assert looks["r-2"] >= 8


def test_a_follow_up_that_comes_early_watches_meanwhile(make_cloud: Make) -> None:
    cloud = make_cloud(faults=Faults(early_rate=1.0), latency=0.05)
    cloud.clock.advance(33)
    cloud.invoke(ASKED)  # its follow-up is due at 40 s
    cloud.platform.drain(50)
    [sent] = times(cloud, "CreateBackup")
    assert 33 + 62 <= sent < 40 + 62
    assert own(cloud) == [True]


@pytest.mark.parametrize(("trigger", "lasts"), [("cloud event", (150, 200)), ("timer", (400, 585))])
def test_an_invocation_of_eventbridge_watches_for_200_s_at_most(
    make_cloud: Make, trigger: str, lasts: tuple[float, float]
) -> None:
    """Each CreateBackup is lost, after which it is watched again."""
    cloud = make_cloud(function=FunctionConfig(timeout=600))
    cloud.faults.plan("CreateBackup", [Fault("reset")] * 6)
    cloud.clock.advance(20)
    cloud.invoke_async(FIRST_DELIVERIES[trigger])
    assert lasts[0] <= cloud.platform.run_due().duration <= lasts[1]
    cloud.platform.drain(50)
    assert (own(cloud), final(cloud)) == ([True], "backup_succeeded")


@pytest.mark.parametrize("kill_after", [6, 12, 20, 28, 34])
def test_a_watch_that_is_killed_is_watched_again(make_cloud: Make, kill_after: int) -> None:
    cloud = make_cloud(behaviour=Behaviour(listing_lag=60), latency=0.05)
    cloud.platform.plan_kills([kill_after])
    settled(cloud, timer(), 100)
    assert cloud.platform.invocations[0].killed
    assert (own(cloud), final(cloud)) == ([True], "backup_succeeded")


def test_an_instance_starved_of_calls_starts_unwatched_after_15_minutes_and_says_so(make_cloud: Make) -> None:
    """Every 25 s one look is let through, and a watch's are at most 12 s apart."""
    cloud = make_cloud(limits={"DescribeBackupTasks": 0.04}, latency=0.05)
    cloud.clock.advance(20)
    cloud.gateway._limits.check("kvstore:DescribeBackupTasks")
    settled(cloud, timer())
    [sent] = times(cloud, "CreateBackup")
    assert 15 * 60 <= sent - 20 <= 20 * 60
    warnings = [record for record in cloud.logs.records if "without a watch" in record.get("error_message", "")]
    assert [(record["event"], record["level"], record["instance_id"]) for record in warnings] == [
        ("warning", "WARNING", "r-1")
    ]
    assert (own(cloud), final(cloud)) == ([True], "backup_succeeded")


@pytest.mark.parametrize("offset", [-2.0, 2.0])
@pytest.mark.parametrize("kind", ["standard", "classic-cluster", "cluster", "cloud-native"])
def test_a_clock_of_the_api_that_differs_changes_nothing(make_cloud: Make, kind: str, offset: float) -> None:
    instance = Instance("r-1", kind=kind, shards=1 if kind == "standard" else 2, duration=40)
    cloud = make_cloud(instance, behaviour=Behaviour(listing_lag=60), api_clock_offset=offset, clock=ExactClock())
    settled(cloud, timer(), 0, 20, 100)
    assert (own(cloud), final(cloud)) == ([True], "backup_succeeded")


# What a request remembers


@pytest.mark.parametrize("shards", [1, 3, 8])
def test_an_older_backup_of_any_number_of_shards_does_not_stop_the_follow_ups(make_cloud: Make, shards: int) -> None:
    cloud = make_cloud(Instance("r-1", kind="classic-cluster" if shards > 1 else "standard", shards=shards))
    cloud.kvstore.instance("r-1").add_backup(DEFAULT_START - 60, DEFAULT_START + 100)
    settled(cloud, timer())
    assert {each.error and each.error["errorType"] for each in cloud.platform.invocations} == {None}
    assert own(cloud) == [True]


@pytest.mark.parametrize("code", ["Odd Code/Of A Gateway", "A.Very." + "Long" * 20])
def test_an_error_code_of_any_kind_does_not_stop_the_follow_ups(make_cloud: Make, code: str) -> None:
    cloud = make_cloud()
    cloud.faults.plan("DescribeBackupTasks", [Fault("5xx", code=code)] * 6)
    settled(cloud, timer())
    assert {each.error and each.error["errorType"] for each in cloud.platform.invocations} == {None}
    assert own(cloud) == [True]


def test_a_job_that_has_vanished_is_a_failed_attempt_after_which_another_is_started(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", outcomes=("vanished", "success")))
    settled(cloud, timer())
    assert events(cloud) == ["backup_started", "BackupVanished", "Watching", "backup_started", "backup_succeeded"]
    first, second = times(cloud, "CreateBackup")
    assert second - first >= 60 + 600 + 62
    assert [(each["succeeded"], each["failed"], each["attempts"]) for each in finished(cloud)] == [(1, 0, 2)]


def test_a_running_cluster_is_reported_with_every_job_id(make_cloud: Make) -> None:
    """Its first shard's end is listed, the second one's not yet."""
    cluster = Instance("r-1", kind="classic-cluster", shards=2, shard_lag=50)
    cloud = make_cloud(cluster, behaviour=Behaviour(listing_lag=30))
    first = cloud.invoke(ASKED).result
    assert first["instances"][0]["job_ids"] == ["10000", "10001"]
    cloud.clock.advance(120)  # they have ended at 60 and at 110 s
    state = cloud.invoke({**ASKED, "jobs": first["jobs"]}).result["instances"][0]
    assert (state["state"], state["job_ids"]) == ("running", ["10000", "10001"])


# Follow-ups


def test_there_is_one_follow_up_a_step_however_often_the_event_and_they_are_delivered(make_cloud: Make) -> None:
    fleet = [Instance(f"r-{number}", duration=290, denied=number == 0) for number in range(6)]
    cloud = make_cloud(*fleet, faults=Faults(repeat_rate=1.0), clock=ExactClock())
    settled(cloud, timer(" ".join(each.id for each in fleet)), 0, 4, 31, 95)
    due = Counter(json.loads(each.event)["follow"]["due"] for each in cloud.platform.invocations if each.task_id)
    # Each arrives three times, and the last one raises and is retried three times.
    assert due == {f"2026-11-24T02:0{minute}:00Z": 3 if minute < 5 else 4 for minute in range(1, 6)}
    assert len(cloud.platform.invocations) == 4 * 3 + 4 * 3 + 4
    assert [own(cloud, each.id) for each in fleet] == [[]] + [[True]] * 5


def test_deliveries_that_saw_something_else_fail_have_the_same_follow_ups(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-0", denied=True, denied_until=10), Instance("r-1", duration=290))
    assert cloud.invoke(timer("r-0 r-1")).result["counts"] == {"failed": 1, "running": 1}
    cloud.kvstore.instance("r-0").add_backup(DEFAULT_START + 5, DEFAULT_START + 15, mode="Manual")
    cloud.clock.advance(20)
    assert cloud.invoke(timer("r-0 r-1")).result["counts"] == {"running": 1, "succeeded": 1}
    assert [call.status for call in cloud.calls if call.operation == "InvokeFunction"] == [202, 409]


def test_an_event_that_is_sent_again_after_its_follow_ups_have_given_up_gets_new_ones(make_cloud: Make) -> None:
    settings = {"BACKUP_FOLLOW_HOURS": "1", "BACKUP_FOLLOW_SECONDS": "600"}
    cloud = make_cloud(Instance("r-1", duration=2 * 3600), settings=settings)
    settled(cloud, timer())
    assert events(cloud)[:2] == ["backup_started", "FollowUpExpired"]
    before = len(cloud.platform.invocations)
    again = cloud.invoke(timer())
    assert (again.error, again.result["counts"]) == (None, {"running": 1})
    cloud.platform.drain(50)
    assert len(cloud.platform.invocations) > before + 2
    assert (own(cloud), final(cloud)) == ([True], "backup_succeeded")


def test_a_follow_up_that_dies_is_made_up_for_by_the_event_sent_again(make_cloud: Make) -> None:
    """The repeat's backup fails later on, and somebody starts another."""
    cloud = make_cloud(Instance("r-1", status="Changing", outcomes=("failed", "success")))
    cloud.invoke(timer())
    cloud.platform.plan_kills([1] * 4)  # a bad deployment: at all its deliveries
    cloud.platform.drain(50)
    assert [letter.attempt for letter in cloud.platform.queue.dead_letters] == [3]
    cloud.kvstore.instance("r-1").status = "Normal"
    cloud.clock.advance(600)
    settled(cloud, timer())
    assert (own(cloud), final(cloud)) == ([False, True], "backup_succeeded")


def test_a_look_that_is_refused_until_the_end_of_the_follow_ups_is_a_failure_then(make_cloud: Make) -> None:
    settings = {"BACKUP_FOLLOW_HOURS": "1", "BACKUP_FOLLOW_SECONDS": "1200"}
    cloud = make_cloud(Instance("r-1", duration=100), settings=settings)
    cloud.invoke(timer())
    cloud.policy = ram.allow(["fc:*"], ["*"])
    cloud.platform.drain(50)
    records = [record for record in cloud.logs.records if record.get("instance_id") == "r-1"]
    assert [(record["event"], record.get("error_code")) for record in records[:3]] == [
        ("backup_started", None),
        ("warning", "Forbidden.RAM"),
        ("backup_failed", "FollowUpExpired"),
    ]
    assert [each.error and each.error["errorType"] for each in cloud.platform.invocations] == [
        *[None] * 3,
        *["BackupFailed"] * 4,
    ]


def test_credentials_that_end_during_a_watch_lose_nothing(make_cloud: Make) -> None:
    cloud = make_cloud(latency=0.05)
    cloud.platform.plan_lifetimes([20.0])
    settled(cloud, timer(), 100)
    assert (own(cloud), final(cloud)) == ([True], "backup_succeeded")
    assert "backup_failed" not in {record["event"] for record in cloud.logs.records}


def test_describe_instances_may_be_down_for_good(make_cloud: Make) -> None:
    faults = Faults(1.0, kinds=["reset"], operations=["DescribeInstances"])
    native, cluster = Instance("r-n", kind="cloud-native"), Instance("r-c", kind="classic-cluster", shards=2)
    cloud = settled(make_cloud(Instance("r-1"), native, cluster, faults=faults), timer("r-1 r-n r-c"))
    assert [own(cloud, name) for name in ("r-1", "r-n", "r-c")] == [[True]] * 3
    assert [final(cloud, name) for name in ("r-1", "r-n", "r-c")] == ["backup_succeeded"] * 3
    assert max(times(cloud, "CreateBackup", name)[0] for name in ("r-1", "r-n", "r-c")) < 12


@pytest.mark.parametrize("seconds", [95, 105])
def test_where_nothing_tells_what_an_instance_is_one_shard_is_not_taken_for_all(
    make_cloud: Make, seconds: float
) -> None:
    """One shard's success is listed at 90 s, the other one's failure at 110 s; a repeat knows of neither's ID."""
    untold = ("DescribeInstances", "DescribeInstanceAttribute")
    policy = ram.allow([*(f"kvstore:{name}" for name in ram.OPERATIONS if name not in untold), "fc:*"], ["*"])
    cluster = Instance("r-1", kind="classic-cluster", shards=2, shard_lag=20, outcomes=("shard-failed",))
    cloud = make_cloud(cluster, policy=policy, behaviour=Behaviour(listing_lag=30))
    cloud.invoke(timer())
    cloud.platform.queue._waiting.clear()
    cloud.clock.advance(seconds)
    assert cloud.invoke(timer()).result["counts"] == {"running": 1}


@pytest.mark.parametrize("settings", [{}, {"BACKUP_FOLLOW_SECONDS": "0"}])
def test_where_no_shard_can_be_sent_the_invocation_backs_up_what_it_can(
    make_cloud: Make, settings: dict[str, str]
) -> None:
    fleet = [Instance(f"r-{number}", duration=20) for number in range(5)]
    cloud = make_cloud(*fleet, settings={"BACKUP_SHARD_SIZE": "2", **settings}, policy=ram.allow(["kvstore:*"], ["*"]))
    error = cloud.invoke(timer(" ".join(each.id for each in fleet))).error
    assert error["errorType"] == "BackupPending"
    assert "fc:InvokeFunction on " in error["errorMessage"]
    assert [own(cloud, each.id) for each in fleet] == [[True]] * 5


# Failure is raised when it is over, and one record sums all up


def test_with_nothing_to_follow_a_failure_is_raised_at_once(make_cloud: Make) -> None:
    fleet = (Instance("r-1", denied=True), Instance("r-2"))
    cloud = make_cloud(*fleet, settings={"BACKUP_FOLLOW_SECONDS": "0"})
    error = cloud.invoke(timer("r-1 r-2")).error
    assert error["errorType"] == "BackupFailed"
    assert error["errorMessage"].startswith("1 running, 1 failed of 2 instances")


def test_a_request_that_is_over_at_once_is_summed_up_at_once(make_cloud: Make) -> None:
    cloud = make_cloud(Instance("r-1", denied=True))
    invocation = cloud.invoke(timer())
    assert invocation.error["errorType"] == "BackupFailed"
    assert [
        {name: record.get(name) for name in ("level", "trigger", "instances", "succeeded", "failed", "failed_ids")}
        for record in invocation.records
        if record["event"] == "request_finished"
    ] == [
        {
            "level": "ERROR",
            "trigger": "timer",
            "instances": 1,
            "succeeded": 0,
            "failed": 1,
            "failed_ids": "cn-hangzhou/r-1",
        }
    ]


def test_each_shard_is_summed_up(make_cloud: Make) -> None:
    fleet = [Instance(f"r-{number}", duration=20 + 100 * number) for number in range(3)]
    cloud = settled(make_cloud(*fleet, settings={"BACKUP_SHARD_SIZE": "2"}), timer("r-0 r-1 r-2"))
    assert [
        {name: record.get(name) for name in ("shard", "instances", "succeeded", "failed", "attempts", "trigger_id")}
        for record in sorted(finished(cloud), key=lambda record: record["shard"])
    ] == [
        {
            "shard": shard,
            "instances": count,
            "succeeded": count,
            "failed": 0,
            "attempts": count,
            "trigger_id": "nightly@2026-11-24T02:00:00Z",
        }
        for shard, count in (("1/2", 2), ("2/2", 1))
    ]


def test_follow_ups_count_what_ended_in_each_earlier_invocation(make_cloud: Make) -> None:
    fleet = [
        Instance("r-1", duration=20),
        Instance("r-2", duration=90),
        Instance("r-3", duration=150),
        Instance("r-4", duration=20, outcomes=("failed",)),
        Instance("r-5", denied=True),
    ]
    cloud = settled(make_cloud(*fleet), timer("r-1 r-2 r-3 r-4 r-5"))
    names = ("level", "instances", "succeeded", "failed", "attempts", "failed_ids", "first_started")
    assert {name: finished(cloud)[0].get(name) for name in names} == {
        "level": "ERROR",
        "instances": 5,
        "succeeded": 3,
        "failed": 2,
        "attempts": 5,
        "failed_ids": "cn-hangzhou/r-5,cn-hangzhou/r-4",
        "first_started": "2026-11-24T02:00:00Z",
    }
    raised = [each.error and each.error["errorType"] for each in cloud.platform.invocations]
    assert raised == [None] * (len(raised) - 4) + ["BackupFailed"] * 4  # the last one, and its retries

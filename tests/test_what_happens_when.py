"""One test for each row of the table in docs/failure-modes.md, of the same name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from simulator import Behaviour, Cloud, Fault, Faults, FunctionConfig, Instance, SimulatedClock, ram

R1 = Instance("r-1")
TIMER = {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "nightly", "payload": '{"instance_ids": "r-1"}'}
LOST = ("reset", "hang", "page502", "truncated", "5xx", "unavailable", "internal", "lock", "busy")


def backups(cloud: Cloud, instance: str = "r-1") -> list[tuple[str, ...]]:
    return [backup.job_ids for backup in cloud.kvstore.instance(instance).backups if backup.mode == "Manual"]


def events(cloud: Cloud, instance: str = "r-1") -> list[str]:
    return [record["event"] for record in cloud.logs.records if record.get("instance_id") == instance]


def codes(cloud: Cloud, recorded: list[str]) -> list[str]:
    """What was recorded of r-1, with the error's code where there is one."""
    named = [record.get("error_code") for record in cloud.logs.records if record.get("instance_id") == "r-1"]
    return [code or event for code, event in zip(named, recorded, strict=True)]


def finished(cloud: Cloud, event: Any = TIMER) -> list[str]:
    """Deliver an event as the platform does, follow it to its end, and return what was recorded of r-1."""
    cloud.invoke_async(event)
    cloud.platform.drain(200)
    assert not any(invocation.timed_out for invocation in cloud.platform.invocations)
    return events(cloud)


def test_the_event_arrives_again(make_cloud) -> None:
    cloud = make_cloud()
    for _ in range(3):
        cloud.invoke_async(TIMER)
    assert set(finished(cloud)) == {"backup_started", "backup_adopted", "backup_succeeded"}
    assert backups(cloud) == [("10000",)]


@pytest.mark.parametrize("kind", LOST)
def test_the_answer_of_createbackup_is_lost(make_cloud, kind: str) -> None:
    faults = Faults()
    faults.plan("CreateBackup", [Fault(kind, after=True)])
    cloud = make_cloud(faults=faults)
    assert finished(cloud) == ["backup_adopted", "backup_succeeded"]
    assert backups(cloud) == [("10000",)]


@pytest.mark.parametrize("kind", LOST)
def test_createbackup_does_not_arrive(make_cloud, kind: str) -> None:
    faults = Faults()
    faults.plan("CreateBackup", [Fault(kind)])
    cloud = make_cloud(faults=faults)
    assert finished(cloud) == ["backup_pending", "backup_started", "backup_succeeded"]
    assert backups(cloud) == [("10000",)]
    pending = next(record for record in cloud.logs.records if record.get("event") == "backup_pending")
    assert (pending["level"], pending["error_code"], pending["error_kind"]) == ("INFO", "Watching", "unknown")
    lost, sent = [call.time for call in cloud.calls if call.operation == "CreateBackup"]
    assert sent - lost >= 62


@pytest.mark.parametrize(
    "fault", [Fault("throttle"), Fault("throttle-hint", retry_after_ms=7000), Fault("throttle-503")]
)
@pytest.mark.parametrize("operation", ["DescribeInstances", "DescribeBackupTasks", "DescribeBackups", "CreateBackup"])
def test_the_api_throttles(make_cloud, operation: str, fault: Fault) -> None:
    faults = Faults()
    faults.plan(operation, [fault])
    cloud = make_cloud(faults=faults)
    invocation = cloud.invoke(TIMER)
    assert invocation.result["counts"] == {"running": 1}
    assert backups(cloud) == [("10000",)]
    assert (invocation.duration >= 7.0) == (fault.retry_after_ms is not None)


def check_a_hint(make_cloud, operation: str) -> None:
    faults = Faults()
    faults.plan(operation, [Fault("throttle-hint", code="ServiceUnavailable", retry_after_ms=9000)])
    invocation = make_cloud(faults=faults).invoke(TIMER)
    assert invocation.result["counts"] == {"running": 1}
    assert invocation.duration >= 9


def test_the_api_is_busy_for_a_while(make_cloud) -> None:
    for kind, times, operation in (
        ("throttle", 10, "DescribeBackupTasks"),
        ("throttle", 10, "CreateBackup"),
        ("unavailable", 5, "DescribeBackupTasks"),
    ):
        faults = Faults()
        faults.plan(operation, [Fault(kind)] * times)
        assert make_cloud(faults=faults).invoke(TIMER).result["counts"] == {"running": 1}
    cloud = make_cloud()
    cloud.faults.plan("CreateBackup", [Fault("unavailable")] * 3)  # each may have begun one all the same
    assert finished(cloud) == ["backup_pending", "backup_started", "backup_succeeded"]
    assert backups(cloud) == [("10000",)]
    check_a_hint(make_cloud, "DescribeBackups")
    check_a_hint(make_cloud, "CreateBackup")


def test_the_api_throttles_a_fleet(make_cloud) -> None:
    """One throttled call slows all workers, and nothing is lost: 5 of each operation a second for 30 instances."""
    fleet = [Instance(f"r-{number}") for number in range(30)]
    cloud = make_cloud(
        *fleet, clock=SimulatedClock(), limits={"*": 5.0}, limit_hint=False, settings={"BACKUP_CONCURRENCY": "8"}
    )
    invocation = cloud.invoke({"instance_ids": [instance.id for instance in fleet]})
    refused = [call for call in cloud.calls if call.code == "Throttling.User"]
    cloud.platform.drain()
    assert [len(backups(cloud, instance.id)) for instance in fleet] == [1] * 30
    assert {event for instance in fleet for event in events(cloud, instance.id)[-1:]} == {"backup_succeeded"}
    assert 5 < invocation.duration < 60
    assert len(refused) < 60  # 8 workers that hammered would be refused hundreds of times


def test_the_api_is_down(make_cloud) -> None:
    faults = Faults(1.0, kinds=["reset"], operations=["DescribeInstances", "DescribeBackupTasks"])
    cloud = make_cloud(faults=faults)
    first = cloud.invoke(TIMER)
    assert first.result["instances"][0]["error"]["kind"] == "unknown"
    assert first.duration < 60
    faults.rate = 0.0
    cloud.platform.drain()
    assert events(cloud) == ["backup_pending", "backup_pending", "backup_started", "backup_succeeded"]


@pytest.mark.parametrize("kill_after", range(1, 16))
def test_the_function_is_killed(make_cloud, kill_after: int) -> None:
    cloud = make_cloud()
    cloud.platform.plan_kills([kill_after])
    assert finished(cloud)[-1] == "backup_succeeded"
    assert len(backups(cloud)) == 1
    assert any("10000" in record.get("job_ids", "") for record in cloud.logs.records)


@pytest.mark.parametrize("timeout", [3, "10", 60])
def test_the_time_runs_out(make_cloud, timeout: float | str) -> None:
    fleet = [Instance(f"r-{number}") for number in range(100)]
    function = FunctionConfig(timeout=timeout)
    cloud = make_cloud(*fleet, latency=0.3, function=function, settings={"BACKUP_FOLLOW_HOURS": "168"})
    first = cloud.invoke({"instance_ids": [instance.id for instance in fleet]})
    assert not first.timed_out
    pending = [state["error"]["code"] for state in first.result["instances"] if state["state"] == "pending"]
    assert set(pending) == {"OutOfTime"}
    assert [record["event"] for record in first.records].count("backup_pending") == len(pending)
    cloud.platform.drain()
    assert not any(invocation.timed_out for invocation in cloud.platform.invocations)
    assert [len(backups(cloud, instance.id)) for instance in fleet] == [1] * 100


def test_an_older_backup_runs(make_cloud) -> None:
    cloud = make_cloud()
    now = cloud.clock.time()
    cloud.kvstore.instance("r-1").add_backup(now - 100, now + 100)
    assert codes(cloud, finished(cloud)) == ["BackupJobExists", "Watching", "backup_started", "backup_succeeded"]
    assert len(backups(cloud)) == 1


def test_the_instance_is_being_changed(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", status="Changing", normal_after=150))
    assert codes(cloud, finished(cloud)) == [
        "IncorrectDBInstanceState",
        "Watching",
        "backup_started",
        "backup_succeeded",
    ]
    assert len(backups(cloud)) == 1


def test_a_backup_fails(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", outcomes=("failed", "success")))
    assert codes(cloud, finished(cloud)) == [
        "backup_started",
        "BackupJobFailed",
        "Watching",
        "backup_started",
        "backup_succeeded",
    ]
    warnings = [record for record in cloud.logs.records if record["event"] == "warning"]
    assert [(record["job_ids"], record["attempts"]) for record in warnings] == [("10000", 1)]
    cloud = make_cloud(Instance("r-1", outcomes=("failed",)))
    assert finished(cloud)[:5] == ["backup_started", "warning", "backup_pending", "backup_started", "backup_failed"]
    final = [record for record in cloud.logs.records if record["event"] == "backup_failed"]
    assert {(record["error_code"], record["job_ids"], record["attempts"]) for record in final} == {
        ("BackupJobFailed", "10000,10001", 2)
    }
    assert len(backups(cloud)) == 2
    assert cloud.platform.queue.dead_letters  # what the onFailure destination is told


def test_the_instance_does_not_exist(make_cloud) -> None:
    cloud = make_cloud()
    first = cloud.invoke({**TIMER, "payload": "r-gone, r-1"})
    assert (first.error, first.result["counts"], first.result["ok"]) == (None, {"failed": 1, "running": 1}, False)
    [failed] = [record for record in first.records if record["event"] == "backup_failed"]
    assert (failed["level"], failed["instance_id"], failed["error_code"], failed["hint"]) == (
        "ERROR",
        "r-gone",
        "InvalidInstanceId.NotFound",
        "no instance in region cn-hangzhou has this ID; check the ID, or name another region as REGION/r-gone",
    )
    cloud.platform.drain()
    error = cloud.platform.invocations[-1].error  # when it is over
    assert error["errorType"] == "BackupFailed"
    assert error["errorMessage"] == (
        "1 failed earlier: cn-hangzhou/r-gone; in this invocation 1 succeeded of 1 instances "
        "(trigger nightly@2026-11-24T02:00:00Z)"
    )
    alone = cloud.invoke({**TIMER, "payload": "r-gone"}).error
    assert (alone["errorType"], alone["errorMessage"].splitlines()[0]) == (
        "BackupFailed",
        "1 failed of 1 instances (trigger nightly@2026-11-24T02:00:00Z):",
    )
    assert backups(cloud) == [("10000",)]


@pytest.mark.parametrize("code", ["Forbidden.RAM", "NoPermission"])
@pytest.mark.parametrize("operation", ["CreateBackup", "DescribeBackups", "DescribeBackupTasks"])
def test_the_role_may_not(make_cloud, operation: str, code: str) -> None:
    resource = "acs:kvstore:cn-hangzhou:1234567890123456:instance/r-1"
    others = [f"kvstore:{name}" for name in ram.OPERATIONS if name != operation]
    policy = ram.allow([*others, "fc:*"], ["*"])
    cloud = make_cloud(policy=policy, denial_code=code)
    state = cloud.invoke({"instance_ids": "r-1"}).result["instances"][0]
    assert state["error"] == {
        "code": code,
        "message": f"RAM does not allow kvstore:{operation} on {resource}",
        "kind": "permanent",
        "request_id": state["error"]["request_id"],
        "hint": f"grant kvstore:{operation} on {resource} to the function's role",
    }


def test_the_role_may_not_list_instances(make_cloud) -> None:
    policy = ram.allow([f"kvstore:{name}" for name in ram.OPERATIONS if name != "DescribeInstances"] + ["fc:*"], ["*"])
    cloud = make_cloud(policy=policy)
    invocation = cloud.invoke({"instance_ids": "r-1"})
    assert invocation.result["counts"] == {"running": 1}
    warning = next(record for record in invocation.records if record["event"] == "warning")
    assert warning["hint"] == (
        "grant kvstore:DescribeInstances on acs:kvstore:cn-hangzhou:1234567890123456:instance/* to the function's role"
    )


@pytest.mark.parametrize("lag", [5.0, 60.0])
@pytest.mark.parametrize("kind", ["standard", "classic-cluster", "cloud-native"])
def test_a_listing_lags(make_cloud, kind: str, lag: float) -> None:
    cloud = make_cloud(
        Instance("r-1", kind=kind, shards=2, duration=50), behaviour=Behaviour(listing_lag=lag, task_lag=1.0)
    )
    assert finished(cloud) == ["backup_started", "backup_succeeded"]
    assert len(backups(cloud)) == 1


@pytest.mark.parametrize("generation", [2, 3])
def test_the_function_may_not_invoke_itself(make_cloud, generation: int) -> None:
    function = FunctionConfig(generation=generation)
    cloud = make_cloud(function=function, policy=ram.allow(["kvstore:*"], ["*"]))
    invocation = cloud.invoke(TIMER)
    assert invocation.error["errorType"] == "BackupPending"
    assert f"fc:InvokeFunction on {function.resource}: " in invocation.error["errorMessage"]
    assert f"grant fc:InvokeFunction on {function.resource} to the function's role" in invocation.error["errorMessage"]
    assert [record["event"] for record in invocation.records][-2:] == ["warning", "report"]
    manual = cloud.invoke({"instance_ids": "r-1"})
    assert (manual.error, manual.result["done"]) == (None, False)


def test_a_backup_never_ends(make_cloud) -> None:
    cloud = make_cloud(
        Instance("r-1", duration=1e6), settings={"BACKUP_FOLLOW_HOURS": "1", "BACKUP_FOLLOW_SECONDS": "600"}
    )
    recorded = finished(cloud)
    assert recorded[:2] == ["backup_started", "backup_failed"]
    final = next(record for record in cloud.logs.records if record.get("event") == "backup_failed")
    assert (final["error_code"], final["job_ids"], final["error_kind"]) == ("FollowUpExpired", "10000", "unknown")
    started = next(record for record in cloud.logs.records if record.get("event") == "backup_started")
    assert (started["time"][11:16], final["time"][11:16]) == ("02:00", "03:00")


def test_the_event_is_malformed(make_cloud) -> None:
    cloud = make_cloud()
    invocation = cloud.invoke({"instance_idz": "r-1", "retention_days": 3})
    assert invocation.error["errorType"] == "InvalidRequest"
    assert [record["event"] for record in invocation.records] == ["report"]
    assert invocation.records[0]["error_code"] == "InvalidRequest"
    assert cloud.calls == []


@pytest.mark.parametrize(("seconds", "timeout", "waits"), [(60, 300, 60), (5, 10, 5), (60, 60, 43)])
def test_a_follow_up_comes_early(make_cloud, seconds: int, timeout: float, waits: float) -> None:
    function, settings = FunctionConfig(timeout=timeout), {"BACKUP_FOLLOW_SECONDS": str(seconds)}
    cloud = make_cloud(faults=Faults(early_rate=1.0), function=function, settings=settings)
    assert finished(cloud) == ["backup_started", "backup_succeeded"]
    assert [round(invocation.duration) for invocation in cloud.platform.invocations][1] == waits


def test_a_follow_up_comes_twice(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", duration=200), faults=Faults(repeat_rate=1.0))
    assert set(finished(cloud)) == {"backup_started", "backup_adopted", "backup_succeeded"}
    assert backups(cloud) == [("10000",)]


def test_a_repeat_falls_into_the_gap_of_a_listing(make_cloud) -> None:
    """A repeat of the first event knows no job IDs, and the listing has lost the job."""
    cloud = make_cloud(behaviour=Behaviour(listing_lag=60))
    cloud.invoke(TIMER)
    cloud.platform.queue._waiting.clear()
    cloud.clock.advance(90)
    assert cloud.invoke(TIMER).result["counts"] == {"succeeded": 1}
    assert backups(cloud) == [("10000",)]


def test_the_document_has_a_row_for_each() -> None:
    document = (Path(__file__).resolve().parent.parent / "docs" / "failure-modes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| … (.+?) \|", document, re.MULTILINE)
    named = {re.sub(r"[^a-z]+", "_", row.lower()).strip("_") for row in rows}
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")} - {
        "the_document_has_a_row_for_each"
    }
    assert tests == named

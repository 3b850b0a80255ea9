"""Errors by what the caller can do about them."""

from __future__ import annotations

import pytest

from redis_backup.api_errors import kind_of, problem_of
from redis_backup.pace import Brake, Deadline, jitter
from simulator import Fault, SimulatedClock

ARN = "acs:kvstore:cn-hangzhou:1:instance/r-1"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("BackupJobExists", 400, "busy"),
        ("OperationDenied.BackupJobExists", 403, "busy"),
        ("Throttling", 503, "throttled"),
        ("Throttling.User", 400, "throttled"),
        ("Throttling.Api", 429, "throttled"),
        ("ServiceUnavailable", 503, "transient"),
        ("ServerBusy", 503, "transient"),
        ("LockTimeout", 400, "transient"),
        ("InternalError", 500, "transient"),
        ("TaskExists", 400, "transient"),
        ("TaskHasExist", 400, "transient"),
        ("IncorrectDBInstanceState", 403, "busy"),
        ("InstanceStatus.NotSupport", 400, "busy"),
        ("OperationDenied.DBInstanceStatus", 400, "busy"),
        ("InvalidInstanceId.NotFound", 404, "permanent"),
        ("Prefix.InvalidDbInstanceId.NotFound", 404, "permanent"),
        ("BackupTimesExceeded", 500, "permanent"),
        ("Forbidden.RAM", 403, "permanent"),
        ("NoPermission", 403, "permanent"),
        ("MissingInstanceId", 400, "permanent"),
        ("SignatureDoesNotMatch", 400, "permanent"),
        ("InvalidSecurityToken.Expired", 400, "permanent"),
        ("NobodyListedThis", 400, "permanent"),
        ("NobodyListedThis", 500, "unknown"),
        ("", 400, "unknown"),
        ("", 502, "unknown"),
    ],
)
def test_an_error_is_classified_by_its_code(code: str, status: int, kind: str) -> None:
    assert kind_of(code, status) == kind


@pytest.mark.parametrize(
    ("code", "denied", "hint"),
    [
        ("Forbidden.RAM", {}, f"grant kvstore:X on {ARN} to the function's role"),
        ("NobodyKnows", {"NoPermissionType": "ImplicitDeny"}, f"grant kvstore:X on {ARN} to the function's role"),
        (
            "NoPermission",
            {"NoPermissionType": "ExplicitDeny"},
            f"a policy denies kvstore:X on {ARN} explicitly: remove that",
        ),
        (
            "DBInstanceNotFound",
            None,
            "no instance of this ID in region cn-hangzhou: check the ID, or name another region as REGION/r-1",
        ),
        ("SomethingElse", None, None),
    ],
)
def test_a_hint_says_what_to_do(code: str, denied: dict | None, hint: str | None) -> None:
    assert problem_of(code, 403, "m", "id", action="kvstore:X", resource=ARN, denied=denied).hint == hint


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("reset", "DescribeBackupTasks: the API broke the connection"),
        ("page502", "DescribeBackupTasks: the API gave an answer that could not be read (HTTP 502)"),
        ("5xx", "A simulated fault."),
    ],
)
def test_what_kind_of_failure_it_was_is_told(make_cloud, kind: str, message: str) -> None:
    cloud = make_cloud()
    cloud.faults.plan("DescribeBackupTasks", [Fault(kind)] * 8)
    error = cloud.invoke({"instance_ids": "r-1"}).result["instances"][0]["error"]
    assert (error["kind"], error["message"]) == ("unknown", message)


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("http://127.0.0.1:9", "DescribeInstances: the API refused the connection"),
        ("http://no-such-host.invalid", "DescribeInstances: the API could not be found: its host name has no address"),
    ],
)
def test_an_endpoint_that_is_not_there_is_told(make_cloud, endpoint: str, message: str) -> None:
    cloud = make_cloud(settings={"BACKUP_ENDPOINT": endpoint})
    error = cloud.invoke({"instance_ids": "r-1"}).result["instances"][0]["error"]
    assert (error["kind"], error["message"]) == ("unknown", message)
    assert "BACKUP_ENDPOINT" in error["hint"]


def test_a_bug_in_one_instance_does_not_touch_another(make_cloud) -> None:
    """An answer that no code expects: a number where a list of tasks should be."""
    cloud = make_cloud()
    genuine = cloud.kvstore.operations["DescribeBackupTasks"]
    cloud.kvstore.operations["DescribeBackupTasks"] = lambda parameters, region: {
        **genuine(parameters, region),
        "BackupJobs": [{"BackupJobID": {"not": "text"}, "StartTime": 5, "Progress": [1]}, 7],
    }
    state = cloud.invoke({"instance_ids": "r-1"}).result["instances"][0]
    assert state["state"] in ("pending", "running")


class TestBrake:
    def test_a_hint_holds_all_workers_back(self) -> None:
        clock = SimulatedClock(0.0, grace=0)
        brake, deadline = Brake(clock), Deadline(clock, 100.0)
        brake.press(7.0)
        assert brake.wait(deadline)
        assert 7.0 <= clock.monotonic() <= 9.0

    def test_it_does_not_wait_beyond_the_deadline(self) -> None:
        clock = SimulatedClock(0.0, grace=0)
        brake = Brake(clock)
        brake.press(50.0)
        assert not brake.wait(Deadline(clock, 10.0))
        assert clock.monotonic() == 0.0

    def test_answers_to_calls_under_way_count_once_and_success_lets_go(self) -> None:
        clock = SimulatedClock(0.0, grace=0)
        brake = Brake(clock)
        for _ in range(20):
            brake.press(1.0)
        assert brake.bound() == 1.0
        for _ in range(3):
            clock.advance(1.5)
            brake.press(1.0)
        assert brake.bound() == 8.0
        for _ in range(60):
            brake.ease()
        assert brake.bound() == 0.5

    def test_the_bounds_of_waiting_double_up_to_a_cap(self) -> None:
        class Longest(SimulatedClock):
            def uniform(self, low: float, high: float) -> float:  # noqa: ARG002
                return high

        assert [jitter(Longest(), attempt) for attempt in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]

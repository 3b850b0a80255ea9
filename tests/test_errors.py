"""Errors by what the caller can do about them."""

from __future__ import annotations

import pytest

from redis_backup.alibaba.api_errors import error_kind, problem_of
from redis_backup.alibaba.function_compute import FunctionName
from redis_backup.backoff import Deadline, Throttle, jitter
from redis_backup.errors import InvalidRequest
from simulator import Fault, Instance, SimulatedClock

ARN = "acs:kvstore:cn-hangzhou:1:instance/r-1"
CREDENTIALS_HINT = "check that the function still has its role and that its clock is right; then send the request again"


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
        ("SignatureNotMatch", 403, "permanent"),
        ("InvalidAccessKeyID", 403, "permanent"),
        ("InvalidSecurityToken.Expired", 400, "permanent"),
        ("NobodyListedThis", 400, "permanent"),
        ("NobodyListedThis", 500, "unknown"),
        ("", 400, "unknown"),
        ("", 502, "unknown"),
    ],
)
def test_an_error_is_classified_by_its_code(code: str, status: int, kind: str) -> None:
    assert error_kind(code, status) == kind


@pytest.mark.parametrize(
    ("code", "denied", "hint"),
    [
        ("Forbidden.RAM", {}, f"grant kvstore:X on {ARN} to the function's role"),
        ("NobodyKnows", {"NoPermissionType": "ImplicitDeny"}, f"grant kvstore:X on {ARN} to the function's role"),
        (
            "NoPermission",
            {"NoPermissionType": "ExplicitDeny"},
            f"a policy explicitly denies kvstore:X on {ARN}; remove that statement",
        ),
        (
            "DBInstanceNotFound",
            None,
            "no instance in region cn-hangzhou has this ID; check the ID, or name another region as REGION/r-1",
        ),
        ("SignatureDoesNotMatch", None, CREDENTIALS_HINT),
        ("SignatureNotMatch", None, CREDENTIALS_HINT),
        ("InvalidAccessKeyID", None, CREDENTIALS_HINT),
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
        ("http://127.0.0.1:9", "DescribeBackupTasks: the API refused the connection"),
        (
            "http://no-such-host.invalid",
            "DescribeBackupTasks: the API could not be found: its host name has no address",
        ),
    ],
)
def test_an_endpoint_that_is_not_there_is_told(make_cloud, endpoint: str, message: str) -> None:
    cloud = make_cloud(settings={"BACKUP_ENDPOINT": endpoint})
    error = cloud.invoke({"instance_ids": "r-1"}).result["instances"][0]["error"]
    assert (error["kind"], error["message"]) == ("unknown", message)
    assert "BACKUP_ENDPOINT" in error["hint"]


def test_a_bug_in_one_instance_does_not_touch_another(make_cloud) -> None:
    """An answer that no code expects: a number where a list of tasks should be."""
    cloud = make_cloud(Instance("r-1"), Instance("r-2"))
    genuine = cloud.kvstore.operations["DescribeBackupTasks"]
    odd = [{"BackupJobID": {"not": "text"}, "StartTime": 5, "Progress": [1]}, 7]
    cloud.kvstore.operations["DescribeBackupTasks"] = lambda parameters, region: {
        **genuine(parameters, region),
        **({"BackupJobs": odd} if parameters["InstanceId"] == "r-1" else {}),
    }
    states = cloud.invoke({"instance_ids": "r-1 r-2"}).result["instances"]
    assert [each["state"] for each in states] == ["pending", "running"]
    assert [len(cloud.kvstore.instance(each).backups) for each in ("r-1", "r-2")] == [0, 1]


class TestThrottle:
    """The pace of an invocation's calls. Seconds are of a clock that only the test moves."""

    @staticmethod
    def served(clock: SimulatedClock, throttle: Throttle, calls: int, every: float) -> None:
        for _ in range(calls):
            throttle.sent()
            clock.advance(every)
            throttle.answered(every)

    @staticmethod
    def slot(clock: SimulatedClock, throttle: Throttle) -> float:
        """Seconds from one call to the next, once the pause after an answer that said "throttled" is over."""
        clock.advance(throttle.wait())
        throttle.sent()
        return throttle.wait()

    def test_calls_go_out_at_once_until_one_is_throttled(self) -> None:
        clock = SimulatedClock(0.0, grace=0)
        throttle = Throttle(clock, 16)
        for _ in range(1000):
            assert throttle.wait() == 0
            throttle.sent()

    def test_a_hint_holds_all_calls_back(self) -> None:
        clock = SimulatedClock(0.0, grace=0)
        throttle = Throttle(clock, 16)
        throttle.back_off(0.0, 7.0)
        assert 7.0 <= throttle.wait() <= 9.0
        clock.advance(3.0)
        throttle.back_off(0.0, 1.0)  # an answer that asks for less does not shorten it
        assert 4.0 <= throttle.wait() <= 6.0

    def test_without_a_hint_the_pause_leaves_time_for_a_watch_s_next_look(self) -> None:
        clock = SimulatedClock(0.0, grace=0)
        throttle = Throttle(clock, 16)
        self.served(clock, throttle, 50, 0.2)
        for _ in range(8):
            throttle.back_off(clock.monotonic(), None)
            assert throttle.wait() < 12.0
            clock.advance(throttle.wait())

    def test_calls_are_then_paced_a_little_slower_than_they_were_served(self) -> None:
        clock = SimulatedClock(0.0, grace=0)
        throttle = Throttle(clock, 16)
        self.served(clock, throttle, 50, 0.2)
        throttle.back_off(clock.monotonic(), 0.01)
        assert throttle.calls_per_second() == pytest.approx(5.0, rel=0.05)
        assert 0.2 < self.slot(clock, throttle) < 0.25

    def test_answers_to_calls_that_were_under_way_count_once(self) -> None:
        slots = []
        for answers in (1, 20):
            clock = SimulatedClock(0.0, grace=0)
            throttle = Throttle(clock, 16)
            self.served(clock, throttle, 50, 0.2)
            sent = clock.monotonic()
            clock.advance(0.1)
            for _ in range(answers):
                throttle.back_off(sent, 0.01)
            slots.append(self.slot(clock, throttle))
        assert slots[1] == pytest.approx(slots[0], rel=0.05)

    def test_the_pace_recovers(self) -> None:
        clock = SimulatedClock(0.0, grace=0)
        throttle = Throttle(clock, 16)
        self.served(clock, throttle, 50, 0.2)
        throttle.back_off(clock.monotonic(), None)
        before = self.slot(clock, throttle)
        self.served(clock, throttle, 100, 0.2)
        assert self.slot(clock, throttle) < 0.9 * before

    def test_unthrottled_as_many_calls_are_served_as_fit_side_by_side(self) -> None:
        clock = SimulatedClock(0.0, grace=0)
        throttle = Throttle(clock, 16)
        for _ in range(100):
            throttle.answered(0.05)
        assert throttle.calls_per_second() == pytest.approx(320, rel=0.05)


def test_the_bounds_of_waiting_double_up_to_a_cap() -> None:
    class Longest(SimulatedClock):
        def uniform(self, low: float, high: float) -> float:  # noqa: ARG002
            return high

    assert [jitter(Longest(), attempt) for attempt in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]


def test_no_sleep_lasts_longer_than_the_deadline() -> None:
    clock = SimulatedClock(0.0, grace=0)
    deadline = Deadline(clock, 10.0)
    assert [deadline.sleep(10.0), clock.monotonic(), deadline.sleep(9.0), clock.monotonic()] == [False, 0.0, True, 9.0]


@pytest.mark.parametrize(
    ("service", "qualifier", "resource"),
    [
        ("", "", "functions/f"),
        ("", "prod", "functions/f/prod"),
        ("s", "", "services/s/functions/f"),
        ("s", "prod", "services/s.prod/functions/f"),
    ],
)
def test_the_resource_that_ram_has_to_allow_names_the_alias(service: str, qualifier: str, resource: str) -> None:
    name = FunctionName("cn-hangzhou", "1", "f", service, qualifier)
    assert name.resource == f"acs:fc:cn-hangzhou:1:{resource}"


@pytest.mark.parametrize("text", ["x" * 9000, "发" * 9000])
def test_one_long_fault_is_cut_and_others_are_still_named(text: str) -> None:
    message = str(InvalidRequest([f"tags must be strings, not {text}", "region must be a region"]))
    assert len(message.encode()) < 8000
    assert message.startswith("tags must be strings, not")
    assert "region must be a region. Nothing was started" in message

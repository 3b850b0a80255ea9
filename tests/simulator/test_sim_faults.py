"""Faults as the SDK sees them, and chance that replays."""

import pytest
from darabonba.exceptions import UnretryableException
from simulator_clients import KVStoreClient
from Tea.exceptions import TeaException

from simulator import Cloud, Fault, Faults, Fleet, Instance
from simulator.faults import KINDS

ONE = Fleet([Instance("r-1")])


@pytest.mark.parametrize(
    ("fault", "code", "retry_after"),
    [
        (Fault("reset"), None, None),
        (Fault("hang"), None, None),
        (Fault("page502"), None, None),
        (Fault("truncated"), None, None),
        (Fault("throttle"), "Throttling.User", None),
        (Fault("throttle", retry_after_ms=2500), "Throttling.User", 2500),
        (Fault("throttle-hint"), "Throttling.Api", 1500),
        (Fault("throttle-503"), "Throttling", None),
        (Fault("unavailable"), "ServiceUnavailable", None),
        (Fault("busy"), "ServerBusy", None),
        (Fault("internal"), "InternalError", None),
        (Fault("lock"), "LockTimeout", None),
        (Fault("lock", code="OperationDenied.LockTimeout"), "OperationDenied.LockTimeout", None),
        (Fault("5xx"), "SomethingUnheardOf", None),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_fault_strikes_before_or_after_the_state_changed(fault, code, retry_after, after):
    fault = Fault(fault.kind, after, fault.code, fault.retry_after_ms)
    with Cloud(ONE) as cloud:
        cloud.faults.plan("CreateBackup", [fault])
        with pytest.raises(TeaException) as struck:
            KVStoreClient(cloud).create_backup(instance_id="r-1")
        if code is None:
            assert isinstance(struck.value, UnretryableException)
        else:
            assert (struck.value.code, getattr(struck.value, "retry_after", None)) == (code, retry_after)
        assert len(cloud.kvstore.instance("r-1").backups) == (1 if after else 0)
        assert [call.fault for call in cloud.calls] == [fault.kind]


def test_a_hang_takes_ten_seconds_of_the_clock_and_none_of_the_machines():
    with Cloud(ONE) as cloud:
        before = cloud.clock.time()
        cloud.faults.plan("DescribeBackupTasks", [Fault("hang")])
        with pytest.raises(UnretryableException):
            KVStoreClient(cloud).describe_backup_tasks(instance_id="r-1")
        assert cloud.clock.time() - before == 10


def test_a_plan_strikes_one_call_each_of_the_instance_it_names():
    with Cloud(Fleet([Instance("r-1"), Instance("r-2")])) as cloud:
        cloud.faults.plan("DescribeBackupTasks", [None, Fault("lock")], instance="r-1")
        cloud.faults.plan("DescribeBackupTasks", [Fault("busy")])
        client = KVStoreClient(cloud)
        ids = ("r-1", "r-1", "r-2", "r-1", "r-2")
        codes = [client.code("describe_backup_tasks", instance_id=each) for each in ids]
        assert codes == [None, "LockTimeout", "ServerBusy", None, None]


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="reset, hang"):
        Fault("earthquake")


def _drawn(faults: Faults, calls: list[tuple[str, str]]) -> dict:
    found: dict = {}
    for call in calls:
        found.setdefault(call, []).append(faults.next_fault(*call))
    return found


def test_chance_depends_on_the_seed_and_not_on_the_order_of_calls():
    calls = [(operation, f"r-{n}") for operation in ("CreateBackup", "DescribeBackups") for n in range(100)] * 5
    mixed = sorted(calls, key=lambda call: call[1], reverse=True)
    first, second, other = (Faults(0.3, seed) for seed in (7, 7, 8))
    drawn = _drawn(first, calls)
    assert drawn == _drawn(second, mixed)
    assert drawn != _drawn(other, calls)


def test_chance_has_its_rate_and_all_kinds():
    faults = Faults(0.2, seed=1)
    drawn = [fault for n in range(5000) if (fault := faults.next_fault("CreateBackup", f"r-{n}"))]
    assert 800 < len(drawn) < 1200
    assert {fault.kind for fault in drawn} == set(KINDS)
    assert {fault.kind for fault in drawn if fault.after} == {kind for kind in KINDS if not kind.startswith("throttle")}


def test_chance_keeps_to_the_operations_named():
    faults = Faults(1.0, operations=["CreateBackup"], kinds=["reset"])
    assert faults.next_fault("DescribeBackups", "r-1") is None
    assert faults.next_fault("CreateBackup", "r-1").kind == "reset"

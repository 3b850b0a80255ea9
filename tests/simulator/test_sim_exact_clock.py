"""Many invocations side by side on a clock that moves exactly when all of them sleep."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from simulator_clients import KVStoreClient

from simulator import Cloud, ExactClock, Fault, Fleet, Instance, Killed, exact_clock

START = 1000.0


def test_outside_a_drive_sleeps_add_up_at_once():
    clock = ExactClock(START)
    for _ in range(100):
        clock.sleep(1)
    assert clock.time() == START + 100


def _drain(handler, events, **options):
    with Cloud(Fleet([Instance("r-1")]), clock=ExactClock(START), handler=handler, **options) as cloud:
        for delay, event in events:
            cloud.invoke_async(event, delay=delay)
        cloud.platform.drain()
        return cloud


def test_invocations_that_sleep_overlap():
    moments = []

    def handler(event, _context, runtime):
        for _ in range(3):
            moments.append((runtime.clock.time() - START, event.decode()))
            runtime.clock.sleep(10)

    cloud = _drain(handler, [(0, "a"), (4, "b"), (4, "c"), (100, "d")])
    expected = [(0, "a"), (4, "b"), (4, "c"), (10, "a"), (14, "b"), (14, "c"), (20, "a"), (24, "b"), (24, "c")]
    assert moments == [*expected, (100, "d"), (110, "d"), (120, "d")]
    assert [each.duration for each in cloud.platform.invocations] == [30] * 4


def test_what_is_queued_by_an_invocation_begins_while_it_sleeps():
    seen = []

    def handler(event, _context, runtime):
        seen.append((event, runtime.clock.time() - START))
        if event == b"first":
            cloud.invoke_async("second", delay=5)
            runtime.clock.sleep(60)
            seen.append((b"end", runtime.clock.time() - START))

    with Cloud(Fleet([]), clock=ExactClock(START), handler=handler) as cloud:
        cloud.invoke_async("first")
        cloud.platform.drain()
    assert seen == [(b"first", 0), (b"second", 5), (b"end", 60)]


def test_a_server_that_sleeps_sleeps_for_the_invocation_that_called():
    ends = {}

    def handler(event, context, runtime):
        client = KVStoreClient(cloud, **vars(context.credentials))
        for _ in range(3):
            client.describe_backup_tasks(instance_id="r-1")
        ends[event] = runtime.clock.time() - START

    with Cloud(Fleet([Instance("r-1")]), clock=ExactClock(START), handler=handler, latency=0.5) as cloud:
        for event in "abc":
            cloud.invoke_async(event)
        cloud.platform.drain()
        assert ends == {b"a": 1.5, b"b": 1.5, b"c": 1.5}
        cloud.faults.plan("DescribeBackupTasks", [Fault("lock")])  # an error ends a call as an answer does
        cloud.invoke_async("d")
        cloud.platform.drain()
        *_, struck, retried = cloud.platform.invocations
        assert (struck.error["errorType"], retried.error) == ("ClientException", None)


def test_calls_of_several_workers_of_one_invocation_overlap():
    def handler(_event, context, runtime):
        client = KVStoreClient(cloud, **vars(context.credentials))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: client.describe_backup_tasks(instance_id="r-1"), range(8)))
        return runtime.clock.time() - START

    with Cloud(Fleet([Instance("r-1")]), clock=ExactClock(START), handler=handler, latency=1.0) as cloud:
        for _ in range(2):
            cloud.invoke_async()
        cloud.platform.drain()
        assert all(2 <= each.result <= 8 for each in cloud.platform.invocations)


def test_a_drive_replays():
    def run():
        order = []

        def handler(event, _context, runtime):
            for _ in range(5):
                order.append((event, runtime.clock.time()))
                runtime.clock.sleep(runtime.clock.uniform(0, 10))

        _drain(handler, [(0, "a"), (1, "b"), (2, "c")])
        return order

    assert run() == run()


def test_an_invocation_that_hangs_is_an_error(monkeypatch):
    monkeypatch.setattr(exact_clock, "STUCK_SECONDS", 0.1)
    release = threading.Event()
    with pytest.raises(RuntimeError, match="neither slept nor ended"):
        _drain(lambda *_: release.wait(), [(0, "a")])
    release.set()


def test_an_error_of_the_simulator_itself_is_raised():
    def broken(_invocation):
        raise LookupError("broken")

    with Cloud(Fleet([]), clock=ExactClock(START), handler=lambda *_: None) as cloud:
        cloud.platform.listeners.append(broken)
        cloud.invoke_async()
        with pytest.raises(LookupError):
            cloud.platform.drain()


def test_draining_gives_up_on_a_function_that_never_ends():
    def handler(*_):
        cloud.invoke_async(delay=60)

    with Cloud(Fleet([]), clock=ExactClock(), handler=handler) as cloud:
        cloud.invoke_async()
        with pytest.raises(RuntimeError, match="after 20"):
            cloud.platform.drain(limit=20)


def test_what_sleeps_when_a_drive_is_given_up_dies_of_it():
    ended = threading.Event()

    def handler(event, _context, runtime):
        try:
            if event == b"sleeper":
                runtime.clock.sleep(1e6)
            cloud.invoke_async(delay=1)
        except Killed:
            ended.set()
            raise

    with Cloud(Fleet([]), clock=ExactClock(), handler=handler) as cloud:
        cloud.invoke_async("sleeper")
        cloud.invoke_async("other")
        with pytest.raises(RuntimeError, match="after 20"):
            cloud.platform.drain(limit=20)
        assert ended.wait(10)

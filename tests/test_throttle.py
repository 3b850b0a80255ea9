"""The pace of calls, by a clock that nobody waits for."""

from __future__ import annotations

from redis_backup.backoff import Throttle
from simulator import SimulatedClock


def paced(seconds: float, throttle: Throttle, clock: SimulatedClock, quota: float) -> tuple[int, int]:
    """How many calls are served and throttled, where one after the other goes to a server of so many calls a second."""
    end, served, throttled, tokens, then = clock.time() + seconds, 0, 0, quota, clock.time()
    while clock.time() < end:
        clock.advance(throttle.wait())
        now = clock.time()
        tokens, then = min(quota, tokens + (now - then) * quota), now
        throttle.sent()
        clock.advance(0.01)
        if tokens >= 1:
            tokens -= 1
            served += 1
            throttle.answered(0.01)
        else:
            throttled += 1
            throttle.back_off(now, None)
    return served, throttled


def test_it_does_not_slow_down_where_nothing_is_throttled() -> None:
    clock = SimulatedClock(grace=0)
    throttle = Throttle(clock, 16)
    for _ in range(100):
        assert throttle.wait() == 0
        throttle.sent()
        throttle.answered(0.1)
    assert 100 < throttle.calls_per_second() <= 160


def test_most_of_a_quota_is_used_and_little_is_throttled() -> None:
    clock = SimulatedClock(grace=0)
    served, throttled = paced(300, Throttle(clock, 16), clock, quota=6)
    assert served >= 0.85 * 300 * 6
    assert throttled <= 0.1 * served


def test_a_hint_holds_every_call_back() -> None:
    clock = SimulatedClock(grace=0)
    throttle = Throttle(clock, 16)
    throttle.sent()
    throttle.back_off(clock.monotonic(), 7.0)
    assert 7.0 <= throttle.wait() <= 7.5


def test_answers_to_calls_that_were_under_way_slow_down_once() -> None:
    clock = SimulatedClock(grace=0)
    throttle, other = Throttle(clock, 16), Throttle(clock, 16)
    sent = clock.monotonic()
    clock.advance(1)
    other.back_off(sent, 1.0)
    for _ in range(16):
        throttle.back_off(sent, 1.0)
    assert throttle.calls_per_second() == other.calls_per_second()


def test_without_a_hint_it_waits_longer_while_nothing_is_served() -> None:
    clock = SimulatedClock(grace=0)
    throttle = Throttle(clock, 16)
    for _ in range(40):
        clock.advance(throttle.wait())
        throttle.back_off(clock.monotonic(), None)
        assert throttle.wait() <= 11  # a watch has 12
    assert throttle.wait() > 0


def test_the_rate_recovers() -> None:
    clock = SimulatedClock(grace=0)
    throttle = Throttle(clock, 16)
    throttle.back_off(clock.monotonic(), None)
    clock.advance(300)
    for _ in range(50):
        throttle.sent()
    assert throttle.wait() < 0.5

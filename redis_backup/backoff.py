"""Limit time and speed: a deadline, one throttle for all calls, and the pause before a call is repeated.

A pause is as long as the API asks for; without such a hint it is random, up to a limit that doubles (full jitter).
"""

from __future__ import annotations

from collections import deque
from typing import TypeVar

from redis_backup.runtime import Clock

T = TypeVar("T")
BASE = 0.5  # seconds; half the first limit of a pause
MAX_DELAY = 20.0  # seconds; the last limit of a pause
MAX_PAUSE = 8.0  # seconds that all calls wait at most after a throttled call without a hint; looks of a watch have 12
WINDOW = 10.0  # seconds over which the rate of answered calls is measured
BACK_OFF_FACTOR, MIN_RATE = 0.97, 0.2  # part of the measured rate; calls a second
RECOVERY = 0.03  # calls a second by which the rate grows each second, once more for each second without a throttled one
UNLIMITED = 500.0  # calls a second; a higher rate is not limited any more


class Deadline:
    """A time of the monotonic clock (`at`, in seconds) after which nothing new is started."""

    def __init__(self, clock: Clock, at: float) -> None:
        self._clock, self.at = clock, at

    def remaining(self) -> float:
        """Return the seconds left, negative after the deadline."""
        return self.at - self._clock.monotonic()

    def sleep(self, seconds: float) -> bool:
        """Sleep if time is left to act afterwards. Return whether it slept."""
        if self.remaining() <= seconds + 0.1:
            return False
        self._clock.sleep(seconds)
        return True


def jitter(clock: Clock, attempt: int) -> float:
    """Return the seconds to wait before another attempt, which counts from 0: random, up to a limit that doubles."""
    return clock.uniform(0, min(MAX_DELAY, BASE * 2.0 ** (attempt + 1)))


class Throttle:
    """Limits the rate of one invocation's calls: no limit, until an answer says "throttled".

    That answer makes every call wait, for as long as it says, and sets the rate to a little less than the rate of the
    last answered calls. From then on the rate recovers, faster the longer no call is throttled.
    """

    def __init__(self, clock: Clock, concurrency: int) -> None:
        self._clock, self._concurrency = clock, concurrency
        self._began = clock.monotonic()
        self._answered: deque[float] = deque()
        self._latency = 0.1  # seconds a call, on average
        self._rate: float | None = None  # calls a second; None: no limit
        self._rate_at = self._throttled_at = self._next = 0.0
        self._consecutive = 0

    def wait(self) -> float:
        """Return the seconds until the next call may be sent, 0 for now."""
        return max(0.0, self._next - self._clock.monotonic())

    def sent(self) -> None:
        """Note that a call is sent now."""
        if rate := self._current():
            self._next = max(self._next, self._clock.monotonic()) + 1 / rate

    def answered(self, seconds: float) -> None:
        """Note that a call was answered after so many seconds, with any answer but "throttled"."""
        self._answered.append(self._clock.monotonic())
        self._latency += 0.1 * (seconds - self._latency)
        self._consecutive = 0

    def back_off(self, sent_at: float, hint: float | None) -> None:
        """Slow down: a call that was sent at `sent_at` was throttled. `hint`: the seconds that the API asks to wait."""
        now = self._clock.monotonic()
        if sent_at >= self._throttled_at:  # answers to calls that were already under way count once
            rate, measured = self._current(), self._measured(now)
            self._rate = max(
                MIN_RATE, BACK_OFF_FACTOR * (max(measured, 1.0) if rate is None else max(measured, 0.9 * rate))
            )
            self._rate_at = self._throttled_at = now
            self._consecutive += 1
        slot = 1 / (self._rate or 1.0)
        pause = hint or self._clock.uniform(0, min(MAX_PAUSE, 0.5 * slot * 2.0**self._consecutive))
        self._next = max(self._next, now + pause + self._clock.uniform(0, 0.5 * slot))

    def calls_per_second(self) -> float:
        """Return how many calls are answered a second: measured while throttled, else by their latency and number."""
        now = self._clock.monotonic()
        if self._current() is not None and now - self._throttled_at < 60:
            return max(MIN_RATE, self._measured(now))
        return self._concurrency / max(0.01, self._latency)

    def _measured(self, now: float) -> float:
        while self._answered and self._answered[0] < now - WINDOW:
            self._answered.popleft()
        return len(self._answered) / min(WINDOW, max(1.0, now - self._began))

    def _current(self) -> float | None:
        if self._rate is not None:
            now = self._clock.monotonic()
            self._rate += RECOVERY * (1 + now - self._throttled_at) * (now - self._rate_at)
            self._rate_at = now
            self._rate = None if self._rate > UNLIMITED else self._rate
        return self._rate

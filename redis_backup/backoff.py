"""How long there is, and how fast to call: a deadline, one throttle for all calls, and the pause before a repeat.

Waiting is full jitter (a random time up to a bound that doubles), the gateway's own hint first.
"""

from __future__ import annotations

from collections import deque
from typing import TypeVar

from redis_backup.runtime import Clock

T = TypeVar("T")
BASE = 0.5  # seconds; half the first bound of a pause
MAX_DELAY = 20.0  # seconds; the last bound of a pause
MAX_PAUSE = 8.0  # seconds that a throttled answer without a hint holds all calls back at most: a watch has 12 at most
WINDOW = 10.0  # seconds over which the rate of served calls is measured
BACK_OFF_FACTOR, MIN_RATE = 0.97, 0.2  # of what was served; calls a second
RECOVERY = 0.03  # calls a second by which the rate grows each second, once more for each second without a throttled one
UNLIMITED = 500.0  # calls a second; a rate that is above needs no pacing


class Deadline:
    """A moment of the monotonic clock after which no more work is begun."""

    def __init__(self, clock: Clock, at: float) -> None:
        self._clock, self.at = clock, at

    def remaining(self) -> float:
        """Seconds left, negative when it has passed."""
        return self.at - self._clock.monotonic()

    def sleep(self, seconds: float) -> bool:
        """Sleep where that leaves time to act afterwards; say whether it did."""
        if self.remaining() <= seconds + 0.1:
            return False
        self._clock.sleep(seconds)
        return True


def jitter(clock: Clock, attempt: int) -> float:
    """Seconds to wait before another attempt (the first is 0): full jitter, exponential."""
    return clock.uniform(0, min(MAX_DELAY, BASE * 2.0 ** (attempt + 1)))


class Throttle:
    """The pace of one invocation's calls: as fast as they are served, until an answer says "throttled".

    That answer holds every call back, for as long as it says, and sets the rate to a little less than what was served
    of late. From then on the rate recovers, faster the longer no call is throttled.
    """

    def __init__(self, clock: Clock, concurrency: int) -> None:
        self._clock, self._concurrency = clock, concurrency
        self._began = clock.monotonic()
        self._served: deque[float] = deque()
        self._latency = 0.1  # seconds a call, on average
        self._rate: float | None = None  # calls a second; None: not paced
        self._rate_at = self._throttled_at = self._next = 0.0
        self._consecutive = 0

    def wait(self) -> float:
        """Seconds until the next call may be sent, 0 for now."""
        return max(0.0, self._next - self._clock.monotonic())

    def sent(self) -> None:
        """Take note of a call that goes out."""
        if rate := self._current():
            self._next = max(self._next, self._clock.monotonic()) + 1 / rate

    def served(self, seconds: float) -> None:
        """Take note of a call that was answered, whatever it said but "throttled", after so many seconds."""
        self._served.append(self._clock.monotonic())
        self._latency += 0.1 * (seconds - self._latency)
        self._consecutive = 0

    def back_off(self, sent_at: float, hint: float | None) -> None:
        """Slow down: a call that was sent at that moment was throttled. `hint`: seconds that the API asks to wait."""
        now = self._clock.monotonic()
        if sent_at >= self._throttled_at:  # answers to calls that were already under way count once
            rate, served = self._current(), self._measured(now)
            self._rate = max(
                MIN_RATE, BACK_OFF_FACTOR * (max(served, 1.0) if rate is None else max(served, 0.9 * rate))
            )
            self._rate_at = self._throttled_at = now
            self._consecutive += 1
        slot = 1 / (self._rate or 1.0)
        pause = hint or self._clock.uniform(0, min(MAX_PAUSE, 0.5 * slot * 2.0**self._consecutive))
        self._next = max(self._next, now + pause + self._clock.uniform(0, 0.5 * slot))

    def calls_per_second(self) -> float:
        """How many calls are served: as measured while throttled, else as many as fit side by side."""
        now = self._clock.monotonic()
        if self._current() is not None and now - self._throttled_at < 60:
            return max(MIN_RATE, self._measured(now))
        return self._concurrency / max(0.01, self._latency)

    def _measured(self, now: float) -> float:
        while self._served and self._served[0] < now - WINDOW:
            self._served.popleft()
        return len(self._served) / min(WINDOW, max(1.0, now - self._began))

    def _current(self) -> float | None:
        if self._rate is not None:
            now = self._clock.monotonic()
            self._rate += RECOVERY * (1 + now - self._throttled_at) * (now - self._rate_at)
            self._rate_at = now
            self._rate = None if self._rate > UNLIMITED else self._rate
        return self._rate

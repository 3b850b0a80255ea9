"""Patience: how long there is, and how fast to call.

One brake per endpoint is shared by all workers, so that a thousand instances do not hammer an API that throttles.
Waiting is full jitter (a random time up to a bound that doubles), the gateway's own hint first.
"""

from __future__ import annotations

import threading

from redis_backup.runtime import Clock

BASE = 0.5  # seconds; the first bound of a wait
CAP = 20.0  # seconds; the last one


class Deadline:
    """A moment of the monotonic clock after which no more work is begun."""

    def __init__(self, clock: Clock, at: float) -> None:
        self._clock, self._at = clock, at

    def remaining(self) -> float:
        """Seconds left, negative when it has passed."""
        return self._at - self._clock.monotonic()

    def allows(self, seconds: float) -> bool:
        """Whether there is that much time, and a little more to use it."""
        return self.remaining() > seconds + 0.1

    def sleep(self, seconds: float) -> bool:
        """Sleep where that leaves time to act afterwards; say whether it did."""
        if not self.allows(seconds):
            return False
        self._clock.sleep(seconds)
        return True


class Brake:
    """Holds all workers of an endpoint back while it throttles, and lets go by and by."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0
        self._level = 0.0

    def wait(self, deadline: Deadline) -> bool:
        """Wait until calls may go out, each worker a different moment later. False: not in the time that is left."""
        while True:
            with self._lock:
                pause, spread = self._until - self._clock.monotonic(), self.bound() if self._level else 0.0
            if pause <= 0:
                return True
            if not deadline.sleep(pause + self._clock.uniform(0, spread)):
                return False

    def bound(self) -> float:
        """The bound of the next random wait, in seconds."""
        return min(CAP, BASE * float(2.0**self._level))

    def press(self, hint: float | None) -> None:
        """An answer said «throttled», perhaps with how many seconds to wait."""
        with self._lock:
            now = self._clock.monotonic()
            if now >= self._until:  # answers to calls that were already under way count once
                self._level = min(self._level + 1, 10.0)
            self._until = max(self._until, now + (hint or self._clock.uniform(0, self.bound())))

    def ease(self) -> None:
        """A call went through."""
        if self._level:
            with self._lock:
                self._level = max(0.0, self._level - 0.1)


def jitter(clock: Clock, attempt: int) -> float:
    """Seconds to wait before another attempt (the first is 0): full jitter, exponential."""
    return clock.uniform(0, min(CAP, BASE * 2.0 ** (attempt + 1)))

"""Clocks that a test can move and a person can speed up.

Each has what the function's runtime expects of a clock: time, monotonic, sleep and uniform, in seconds.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from typing import Protocol

DEFAULT_START = 1_795_485_600.0  # 2026-11-24T02:00:00Z, so that two runs of a test read the same


class Clock(Protocol):
    """Time and randomness, in seconds."""

    def time(self) -> float:
        """Return the seconds since 1970."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Return when that much time has passed on this clock."""

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between the two."""


class SimulatedClock:
    """Time that stands still until a thread sleeps or a test moves it.

    Sleeps in several threads overlap, as they do on a real clock: time jumps to the earliest wake-up when no thread has
    read the clock or gone to sleep for `grace` real seconds (0: at once, so that sleeps add up).
    """

    def __init__(self, start: float | None = None, *, seed: int = 0, grace: float = 0.001) -> None:
        """Start at `start` (seconds since 1970, default `DEFAULT_START`), with jitter drawn from `seed`."""
        self._now = DEFAULT_START if start is None else start
        self._random = random.Random(seed)  # noqa: S311 - jitter that replays, not used for security
        self._grace = grace
        self._looks = 0
        self._sleepers: list[float] = []
        self._moved = threading.Condition()

    def time(self) -> float:
        """Return the simulated time, in seconds since 1970."""
        self._looks += 1
        return self._now

    monotonic = time

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between the two, the same for the same seed."""
        return self._random.uniform(low, high)

    def advance(self, seconds: float) -> None:
        """Move time forward, and wake every thread whose sleep ends by then."""
        with self._moved:
            self._now += max(0.0, seconds)
            self._moved.notify_all()

    def sleep(self, seconds: float) -> None:
        """Return when that much simulated time has passed, which takes next to no real time."""
        if seconds <= 0:
            return
        with self._moved:
            wake = self._now + seconds
            self._looks += 1
            heapq.heappush(self._sleepers, wake)
            while self._now < wake:
                self._jump_when_quiet(wake)
            self._sleepers.remove(wake)
            heapq.heapify(self._sleepers)
            self._moved.notify_all()

    def _jump_when_quiet(self, wake: float) -> None:
        """Move time to `wake` if that is the earliest wake-up and no thread was active for the `grace`."""
        earliest = self._sleepers[0] == wake
        looks = self._looks
        if self._grace or not earliest:
            self._moved.wait(self._grace if earliest else 0.05)
        if self._sleepers[0] == wake and (not self._grace or self._looks == looks):
            self._now = max(self._now, wake)
            self._moved.notify_all()


class ScaledClock:
    """Real time that runs `speed` times as fast, for people: at speed 60, a minute takes a second."""

    def __init__(self, speed: float = 1.0, start: float | None = None) -> None:
        """Start at `start` (seconds since 1970, default now). Raise ValueError unless `speed` is above 0."""
        if speed <= 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.speed = speed
        self._start = time.time() if start is None else start
        self._began = time.monotonic()

    def time(self) -> float:
        """Return the scaled time, in seconds since 1970."""
        return self._start + (time.monotonic() - self._began) * self.speed

    monotonic = time

    def sleep(self, seconds: float) -> None:
        """Return when that much scaled time has passed."""
        time.sleep(max(0.0, seconds) / self.speed)

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between the two."""
        return random.uniform(low, high)  # noqa: S311 - jitter, not used for security

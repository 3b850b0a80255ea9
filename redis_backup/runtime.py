"""Hold what an invocation uses of the process: the environment, the clock and standard output.

The function takes them as one argument, so that the simulator and the tests pass their own and patch nothing.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from redis_backup import timestamps


class Clock(Protocol):
    """A source of time, in seconds, and of random numbers."""

    def time(self) -> float:
        """Return the seconds since 1970-01-01T00:00:00Z."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for deadlines."""

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between the two, for jitter."""


def utc_now(clock: Clock) -> datetime:
    """Return the time of a clock in UTC."""
    return timestamps.from_epoch(clock.time())


class SystemClock:
    """The clock of this machine."""

    def time(self) -> float:
        """Return the seconds since 1970-01-01T00:00:00Z."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        time.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between the two."""
        return random.uniform(low, high)  # noqa: S311 - jitter, not used for security


class Output(Protocol):
    """The stream for records: the two methods of a text stream that are used."""

    def write(self, text: str, /) -> object:
        """Write a string."""

    def flush(self) -> object:
        """Send out what was written."""


@dataclass(frozen=True)
class Runtime:
    """The parts of the process that one invocation uses."""

    environ: Mapping[str, str]
    clock: Clock
    stdout: Output

    @classmethod
    def from_process(cls) -> Runtime:
        """Return the real process's. Read at each invocation, since FC replaces `sys.stdout` after the import."""
        return cls(os.environ, SystemClock(), sys.stdout)

"""What surrounds an invocation: the environment, the clock and standard output.

The function takes them as one argument, so that the simulator and the tests hand in their own and nothing is patched.
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
    """Time and chance, in seconds."""

    def time(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""

    def monotonic(self) -> float:
        """Seconds that never go back, for deadlines."""

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""

    def uniform(self, low: float, high: float) -> float:
        """A random number between the two, for jitter."""


def utc_now(clock: Clock) -> datetime:
    """What time it is by a clock, in UTC."""
    return timestamps.from_epoch(clock.time())


class SystemClock:
    """The machine's own."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)  # noqa: S311 - jitter is no secret


class Output(Protocol):
    """Where records go: the part of a text stream that is used."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


@dataclass(frozen=True)
class Runtime:
    """The outside world of one invocation."""

    environ: Mapping[str, str]
    clock: Clock
    stdout: Output

    @classmethod
    def from_process(cls) -> Runtime:
        """The real one. Looked up at each invocation, since FC replaces `sys.stdout` after the import."""
        return cls(os.environ, SystemClock(), sys.stdout)

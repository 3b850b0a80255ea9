"""Ends an invocation at any of its I/O events: a write, a sleep, a call before or after it is done.

What the function is given of the outside world looks here first. So does the gateway, which knows the invocation by its
access key, so that a dead one reaches nothing.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from simulator.exact import Strand

if TYPE_CHECKING:
    from simulator.clock import Clock


class Killed(BaseException):
    """The platform has ended this invocation."""


class KillSwitch:
    """Counts one invocation's I/O events; over at the `kill_after`th, after the deadline, or once it has returned."""

    def __init__(
        self,
        request_id: str,
        clock: Clock,
        deadline: float,
        kill_after: int | None = None,
        outages: Iterable[tuple[float, float]] = (),
    ) -> None:
        """`deadline` is on the clock's monotonic time. `outages`: from when to when whatever runs is killed."""
        self.request_id = request_id
        self.clock = clock
        self._dies_at = min(
            (max(begin, clock.time()) for begin, end in outages if end > clock.time()), default=math.inf
        )
        self.events = 0
        self.killed = False
        self.timed_out = False
        self._returned = False
        self._clock, self._deadline, self._kill_after = clock, deadline, kill_after
        self._lock = threading.Lock()

    def is_alive_after(self) -> bool:
        """Count an event, and say whether the invocation is alive after it."""
        with self._lock:
            self.events += 1
            if self._returned or self.killed or self.timed_out:
                return False
            self.killed = self._kill_after is not None and self.events >= self._kill_after
            self.killed = self.killed or self._clock.time() >= self._dies_at
            self.killed = self.killed or (isinstance(self.clock, Strand) and self.clock.abandoned)
            self.timed_out = not self.killed and self._clock.monotonic() > self._deadline
            return not (self.killed or self.timed_out)

    def remaining(self) -> float:
        """Seconds of the clock until the time-out."""
        return max(0.0, self._deadline - self._clock.monotonic())

    def check(self) -> None:
        """Count an event. Raise Killed unless the invocation is alive after it."""
        if not self.is_alive_after():
            raise Killed

    def end(self) -> None:
        """The handler has returned: its threads freeze, and what they still do is refused."""
        with self._lock:
            self.timed_out = self.timed_out or (not self.killed and self._clock.monotonic() > self._deadline)
            self._returned = True


class KillableClock:
    """The clock, for one invocation."""

    def __init__(self, clock: Clock, kill_switch: KillSwitch) -> None:
        self.time = clock.time
        self.monotonic = clock.monotonic
        self.uniform = clock.uniform
        self._clock, self._kill_switch = clock, kill_switch

    def sleep(self, seconds: float) -> None:
        self._kill_switch.check()
        self._clock.sleep(seconds)
        if seconds > 0 and not self._kill_switch.is_alive_after():
            raise Killed


class KillableOutput:
    """Standard output, for one invocation: each line goes to `sink` when it is complete."""

    def __init__(self, sink: Callable[[str], None], kill_switch: KillSwitch) -> None:
        self._sink, self._kill_switch = sink, kill_switch
        self._rest = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        self._kill_switch.check()
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._sink(line)
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Let out an unfinished last line."""
        if self._rest:
            self._sink(self._rest)
            self._rest = ""

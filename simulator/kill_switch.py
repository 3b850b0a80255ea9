"""Ends an invocation at any of its I/O events: a write, a sleep, an API call before or after it is processed.

The function's clock and standard output count their events here. So does the gateway, which knows an invocation by its
access key: nothing that a killed invocation sends is processed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from simulator.exact_clock import InvocationClock

if TYPE_CHECKING:
    from simulator.clock import Clock


class Killed(BaseException):
    """The platform has ended this invocation."""


class KillSwitch:
    """Counts one invocation's I/O events, and ends it: at a chosen event, in an outage, or at its time-out."""

    def __init__(
        self,
        request_id: str,
        clock: Clock,
        deadline: float,
        kill_after: int | None = None,
        outages: Iterable[tuple[float, float]] = (),
    ) -> None:
        """Set what ends the invocation. `deadline`: the time-out, on the clock's monotonic time.

        `kill_after`: the number of the event that kills; `outages`: (begin, end) in clock time; each
        kills every invocation that runs then.
        """
        self.request_id = request_id
        self.clock = clock
        self.events = 0
        self.killed = False
        self.timed_out = False
        self._returned = False
        self._deadline, self._kill_after = deadline, kill_after
        self._outage = min((max(begin, clock.time()) for begin, end in outages if end > clock.time()), default=math.inf)
        self._lock = threading.Lock()

    def count_event(self) -> None:
        """Count an I/O event. Raise Killed unless the invocation still runs after it."""
        with self._lock:
            self.events += 1
            if not (self._returned or self.killed or self.timed_out):
                self.killed = self._is_killed_now()
                self.timed_out = not self.killed and self._is_late()
            if self._returned or self.killed or self.timed_out:
                raise Killed

    def remaining(self) -> float:
        """Return the seconds until the time-out, by the clock."""
        return max(0.0, self._deadline - self.clock.monotonic())

    def close(self) -> None:
        """Refuse every further event: the handler has returned, so its threads are frozen."""
        with self._lock:
            self.timed_out = self.timed_out or (not self.killed and self._is_late())
            self._returned = True

    def _is_killed_now(self) -> bool:
        if self._kill_after is not None and self.events >= self._kill_after:
            return True
        if self.clock.time() >= self._outage:
            return True
        return isinstance(self.clock, InvocationClock) and self.clock.abandoned

    def _is_late(self) -> bool:
        return self.clock.monotonic() > self._deadline


class KillableClock:
    """The clock that one invocation is given. Each sleep is two I/O events, its start and its end."""

    def __init__(self, clock: Clock, kill_switch: KillSwitch) -> None:
        self.time = clock.time
        self.monotonic = clock.monotonic
        self.uniform = clock.uniform
        self._clock, self._kill_switch = clock, kill_switch

    def sleep(self, seconds: float) -> None:
        """Sleep that long. Raise Killed when the invocation ends before or meanwhile."""
        self._kill_switch.count_event()
        self._clock.sleep(seconds)
        if seconds > 0:
            self._kill_switch.count_event()


class KillableOutput:
    """The standard output that one invocation is given. Each write is an I/O event."""

    def __init__(self, sink: Callable[[str], None], kill_switch: KillSwitch) -> None:
        """Open it. `sink` takes each line, without its end, when it is complete."""
        self._sink, self._kill_switch = sink, kill_switch
        self._rest = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Write text and return its length. Raise Killed when the invocation has ended."""
        self._kill_switch.count_event()
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._sink(line)
        return len(text)

    def flush(self) -> None:
        """Do nothing: complete lines go out at once."""

    def close(self) -> None:
        """Send the last line, if it is incomplete."""
        if self._rest:
            self._sink(self._rest)
            self._rest = ""

"""A clock for invocations that run side by side: time moves only when all of them sleep, so that a run replays exactly.

Invocations take turns. One runs until it sleeps or ends; then the one that is to wake up first runs, and the time is
its wake-up time. Nothing depends on how fast the machine is. With one worker thread in each invocation
(`BACKUP_CONCURRENCY=1`), two runs are the same. A server thread that sleeps (latency, a hanging call) sleeps on behalf
of the invocation that called.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from simulator.clock import SimulatedClock

QUIET_SECONDS = 0.02  # real; an invocation whose threads and calls all sleep or wait for so long waits for them
STUCK_SECONDS = 120.0  # real; an invocation that neither sleeps nor ends for so long is an error


@dataclass(order=True)
class _Sleeper:
    """A thread that sleeps: until when, and for which invocation."""

    wake: float
    number: int
    clock: InvocationClock = field(compare=False)
    in_call: bool = field(compare=False)
    awake: threading.Event = field(compare=False, default_factory=threading.Event)


class InvocationClock:
    """One invocation's clock. It sleeps only while none of its calls is open.

    Its time moves when a sleep or a call has ended, and not before. Otherwise a thread that waits for an answer in real
    time and reads the clock meanwhile would see, by rng, how far other invocations have come.
    """

    def __init__(self, clock: ExactClock) -> None:
        self.uniform = clock.uniform
        self.open_calls = 0
        self.sleeping_calls = 0  # of the open ones
        self.ended = False
        self._time = clock.time()
        self._clock = clock

    def time(self) -> float:
        """Return the time as of this invocation's last sleep or call, in seconds since 1970."""
        return self._time

    monotonic = time

    @property
    def abandoned(self) -> bool:
        """Return whether the run was given up, so that nothing will ever wake this invocation."""
        return self._clock.abandoned

    def sleep(self, seconds: float) -> None:
        """Let other invocations run until that much time has passed."""
        self._clock.sleep_for(self, seconds, in_call=False)
        self._time = self._clock.time()

    @contextmanager
    def call(self) -> Iterator[CallClock]:
        """Count one API call as open while the block runs; give the clock by which the cloud processes it."""
        with self._clock.changed:
            self.open_calls += 1
        try:
            yield CallClock(self._clock, self)
        finally:
            with self._clock.changed:
                self.open_calls -= 1
                self._time = self._clock.time()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Count one open call as not open while the block runs."""
        with self._clock.changed:
            self.open_calls -= 1
        try:
            yield
        finally:
            with self._clock.changed:
                self.open_calls += 1


class CallClock:
    """The clock of a server thread that processes one invocation's call."""

    def __init__(self, clock: ExactClock, caller: InvocationClock) -> None:
        self.time = clock.time
        self.monotonic = clock.time
        self.uniform = clock.uniform
        self._clock, self._caller = clock, caller

    def sleep(self, seconds: float) -> None:
        """Sleep on behalf of the invocation that called."""
        self._clock.sleep_for(self._caller, seconds, in_call=True)

    def awaiting(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what the client sends. While it is awaited the call is not open: other calls may come first."""
        while True:
            with self._caller.away():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk


class ExactClock(SimulatedClock):
    """Time that moves from one wake-up to the next while `run` runs, and at once for any sleep outside it."""

    def __init__(self, start: float | None = None, *, seed: int = 0) -> None:
        """Start at `start` (seconds since 1970, default `DEFAULT_START`), with jitter drawn from `seed`."""
        super().__init__(start, seed=seed, grace=0)
        self.changed = threading.Condition()
        self.abandoned = False
        self._asleep: list[_Sleeper] = []
        self._numbers = itertools.count()
        self._turn: InvocationClock | None = None
        self._next_start: Callable[[], float | None] | None = None  # of the run that is going on

    def run(self, next_start: Callable[[], float | None], start: Callable[[InvocationClock], None]) -> None:
        """Run all invocations in the order of time, until none sleeps and `next_start` returns None.

        `next_start` returns the time at which the next invocation starts. `start` starts its thread, which calls `end`
        when it is done.
        """
        self._next_start = next_start
        try:
            while True:
                moment = next_start()
                if self._asleep and (moment is None or self._asleep[0].wake < moment):
                    self._wake_first()
                elif moment is not None:
                    self._now = max(self._now, moment)
                    self._turn = clock = InvocationClock(self)
                    start(clock)
                else:
                    return
                self._await_turn()
        except BaseException:
            self._abandon()
            raise
        finally:
            self._next_start = None

    def end(self, clock: InvocationClock) -> None:
        """End an invocation: wake whatever still sleeps for it, and give it no further turn."""
        with self.changed:
            clock.ended = True
            for sleeper in self._asleep:
                if sleeper.clock is clock:
                    sleeper.awake.set()
            self._asleep = [each for each in self._asleep if each.clock is not clock]
            heapq.heapify(self._asleep)
            if self._turn is clock:
                self._turn = None
                self.changed.notify_all()

    def sleep_for(self, clock: InvocationClock, seconds: float, *, in_call: bool) -> None:
        """Let that much time pass for an invocation; `in_call`: for one of its calls."""
        if seconds <= 0 or self.abandoned:
            return
        if self._next_start is None:
            self.sleep(seconds)
            return
        with self.changed:
            if clock.ended or self.abandoned:
                return
            self._looks += 1
            sleeper = _Sleeper(self._now + seconds, next(self._numbers), clock, in_call)
            clock.sleeping_calls += in_call
            if self._turn is clock and (not in_call or clock.sleeping_calls >= clock.open_calls):
                if self._is_first(sleeper.wake):
                    self._now = sleeper.wake
                    clock.sleeping_calls -= in_call
                    return
                self._turn = None
                self.changed.notify_all()
            heapq.heappush(self._asleep, sleeper)
        sleeper.awake.wait()

    def _abandon(self) -> None:
        """Wake all sleepers so that their invocations are killed: threads that wait for ever keep a process alive."""
        with self.changed:
            self.abandoned = True
            for sleeper in self._asleep:
                sleeper.awake.set()
            self._asleep.clear()

    def _is_first(self, wake: float) -> bool:
        start = self._next_start() if self._next_start else None
        return (start is None or start > wake) and (not self._asleep or self._asleep[0].wake > wake)

    def _wake_first(self) -> None:
        with self.changed:
            sleeper = heapq.heappop(self._asleep)
            self._now = max(self._now, sleeper.wake)
            self._turn = sleeper.clock
            sleeper.clock.sleeping_calls -= sleeper.in_call
            sleeper.awake.set()

    def _await_turn(self) -> None:
        """Wait until the invocation whose turn it is has gone to sleep or ended."""
        began = time.monotonic()
        with self.changed:
            while (clock := self._turn) is not None:
                looks = self._looks
                if self.changed.wait(QUIET_SECONDS):
                    continue
                has_sleepers = any(sleeper.clock is clock for sleeper in self._asleep)
                if has_sleepers and clock.sleeping_calls >= clock.open_calls and looks == self._looks:
                    self._turn = None  # it waits for threads or calls that all sleep
                elif time.monotonic() - began > STUCK_SECONDS:
                    raise RuntimeError(
                        f"an invocation has neither slept nor ended for {STUCK_SECONDS:.0f} real seconds"
                    )

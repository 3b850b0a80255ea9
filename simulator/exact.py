"""A clock for many invocations side by side: time moves exactly when all of them sleep.

Invocations take turns. One runs until it goes to sleep or ends; then whoever is to wake first runs, and time is what
its sleep says. So nothing depends on how fast the machine is, and with one worker an invocation (a setting of the
function, `BACKUP_CONCURRENCY=1`) a whole drive replays exactly. A server thread that sleeps (latency, a hang) sleeps
for the invocation that called.
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

LULL = 0.02  # real seconds without any sign after which calls that all sleep are taken for all that is being done
STUCK = 120.0  # real seconds after which an invocation that neither sleeps nor ends is an error


@dataclass(order=True)
class _Sleeper:
    wake: float
    number: int
    strand: Strand = field(compare=False)
    in_call: bool = field(compare=False)
    awake: threading.Event = field(compare=False, default_factory=threading.Event)


class Strand:
    """One invocation's clock. It sleeps only while none of its calls is open.

    What it shows moves when a sleep or a call has ended, and not before: a thread that waits for an answer in real
    time, and looks at the clock meanwhile, would see by chance how far others have come.
    """

    def __init__(self, clock: ExactClock) -> None:
        self.uniform = clock.uniform
        self._shown = clock.time()
        self.calls = 0  # that the cloud is working on
        self.asleep = 0  # of those
        self.ended = False
        self._clock = clock

    def time(self) -> float:
        return self._shown

    monotonic = time

    @property
    def abandoned(self) -> bool:
        """Whether the drive was given up half-way, so that nothing will ever wake the invocation."""
        return self._clock.abandoned

    def sleep(self, seconds: float) -> None:
        """Give the turn away until that much time has passed."""
        self._clock.sleep_in_turn(self, seconds, in_call=False)
        self._shown = self._clock.time()

    @contextmanager
    def call(self) -> Iterator[Serving]:
        """While the block runs, the cloud works on one of the invocation's calls, by the clock that this yields."""
        with self._clock.moved:
            self.calls += 1
        try:
            yield Serving(self._clock, self)
        finally:
            with self._clock.moved:
                self.calls -= 1
                self._shown = self._clock.time()


class Serving:
    """The clock of a server thread that works on an invocation's call."""

    def __init__(self, clock: ExactClock, strand: Strand) -> None:
        self.time = clock.time
        self.monotonic = clock.time
        self.uniform = clock.uniform
        self._clock, self._strand = clock, strand

    def sleep(self, seconds: float) -> None:
        self._clock.sleep_in_turn(self._strand, seconds, in_call=True)


class ExactClock(SimulatedClock):
    """Time that moves from one wake-up to the next while `drive` runs, and at once for any sleep outside it."""

    def __init__(self, start: float | None = None, *, seed: int = 0) -> None:
        super().__init__(start, seed=seed, grace=0)
        self.moved = threading.Condition()
        self.abandoned = False
        self._sleeping: list[_Sleeper] = []
        self._numbers = itertools.count()
        self._turn: Strand | None = None
        self._horizon: Callable[[], float | None] | None = None

    def drive(self, due: Callable[[], float | None], begin: Callable[[Strand], None]) -> None:
        """Run all there is, in the order of time, until nobody sleeps and `due` is None.

        `due` says when the next strand is to begin, and `begin` starts its thread, which calls `end` when it is done.
        """
        self._horizon = due
        try:
            while True:
                moment = due()
                if self._sleeping and (moment is None or self._sleeping[0].wake < moment):
                    self._wake_first()
                elif moment is not None:
                    self._now = max(self._now, moment)
                    self._turn = strand = Strand(self)
                    begin(strand)
                else:
                    return
                self._await_turn()
        except BaseException:
            self._abandon()
            raise
        finally:
            self._horizon = None

    def _abandon(self) -> None:
        """Let all sleepers go, to die of it: threads that wait for ever keep a process from ending."""
        with self.moved:
            self.abandoned = True
            for sleeper in self._sleeping:
                sleeper.awake.set()
            self._sleeping.clear()

    def end(self, strand: Strand) -> None:
        """The strand is done: whatever still sleeps for it may go, and gets no turn."""
        with self.moved:
            strand.ended = True
            for sleeper in self._sleeping:
                if sleeper.strand is strand:
                    sleeper.awake.set()
            self._sleeping = [sleeper for sleeper in self._sleeping if sleeper.strand is not strand]
            heapq.heapify(self._sleeping)
            if self._turn is strand:
                self._turn = None
                self.moved.notify_all()

    def sleep_in_turn(self, strand: Strand, seconds: float, *, in_call: bool) -> None:
        """Let that much time pass for the strand; `in_call`: for one of its calls."""
        if seconds <= 0:
            return
        if self.abandoned:
            return
        if self._horizon is None:
            self.sleep(seconds)
            return
        with self.moved:
            if strand.ended or self.abandoned:
                return
            self._looks += 1
            sleeper = _Sleeper(self._now + seconds, next(self._numbers), strand, in_call)
            strand.asleep += in_call
            if self._turn is strand and (not in_call or strand.asleep >= strand.calls):
                if self._is_first(sleeper.wake):
                    self._now = sleeper.wake
                    strand.asleep -= in_call
                    return
                self._turn = None
                self.moved.notify_all()
            heapq.heappush(self._sleeping, sleeper)
        sleeper.awake.wait()

    def _is_first(self, wake: float) -> bool:
        due = self._horizon() if self._horizon else None
        return (due is None or due > wake) and (not self._sleeping or self._sleeping[0].wake > wake)

    def _wake_first(self) -> None:
        with self.moved:
            sleeper = heapq.heappop(self._sleeping)
            self._now = max(self._now, sleeper.wake)
            self._turn = sleeper.strand
            sleeper.strand.asleep -= sleeper.in_call
            sleeper.awake.set()

    def _await_turn(self) -> None:
        """Wait until whoever runs has gone to sleep or ended."""
        began = time.monotonic()
        with self.moved:
            while (strand := self._turn) is not None:
                looks = self._looks
                if self.moved.wait(LULL):
                    continue
                if strand.calls and strand.asleep >= strand.calls and looks == self._looks:
                    self._turn = None  # it waits for calls that all sleep, and has none to add
                elif time.monotonic() - began > STUCK:
                    raise RuntimeError(f"an invocation has neither slept nor ended for {STUCK:.0f} real seconds")

"""All instances of an invocation, side by side: which call goes next, what waits, and when it is time to stop.

One thread, the invocation's own, takes every decision and does all waiting. Workers only make calls, one each at a
time, so that no lock is needed and the call nearest to a start goes first however few calls there are.

    not looked at yet ──┐                             ┌─► answer ─► its visit goes on
    looks that are due ─┼─► calls by urgency ─► call ─┼─► throttled: all slow down, and it is sent again
    visits under way ───┘                             └─► no answer: it is sent again after a moment, or the visit fails
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Any

from redis_backup.alibaba.api_errors import EXPIRED, ApiError
from redis_backup.alibaba.rkvstore import BATCH
from redis_backup.backoff import Deadline, Throttle, jitter
from redis_backup.reconcile.act import NoLongerClearError
from redis_backup.reconcile.decide import MayStart
from redis_backup.reconcile.journal import Journal
from redis_backup.reconcile.visit import Visitor, outcome_of_failed_look
from redis_backup.reconcile.watch import ROOM, WATCH, window_end
from redis_backup.reconcile.work import Answer, Call, Next, Pause, Step, Steps, Work
from redis_backup.runtime import Clock, utc_now
from redis_backup.states import ErrorKind, Problem, out_of_time

_POLL = (3.0, 30.0)  # seconds between looks while waiting: the first pause and the longest
_TURN = 0.05  # seconds of real time after which a wait for answers looks at the clock, which a test may move
_TICK = 0.001  # seconds; what is due so soon is due
_GRACE = 0.3  # seconds of real time, after the deadline, for answers that are on their way
_WATCHED_PER_CALL = 5  # instances that are watched at once for each call a second that is served
_BATCH_TRIES = 5  # how often a call that only helps is throttled before its instances are asked by themselves
_TRY_AGAIN = (ErrorKind.TRANSIENT, ErrorKind.UNKNOWN)


@dataclass(eq=False)
class _Visit:
    """Steps that are under way, for one instance or a batch: the call that they wait for, and how often it failed."""

    works: Sequence[Work]
    steps: Steps[None]
    call: Call | None = None
    failures: int = 0
    throttled: int = 0
    problem: Problem | None = None  # of the call's last answer, where it was none
    is_batch: bool = False


class Fleet:
    """One run over an invocation's instances.

    `wait_until`, `watch_until`: until when the instances are waited for, and may be watched, on the monotonic clock.
    """

    def __init__(
        self,
        visitor: Visitor,
        clock: Clock,
        throttle: Throttle,
        deadline: Deadline,
        concurrency: int,
        journal: Journal,
    ) -> None:
        self._visitor, self._clock, self._throttle, self._deadline = visitor, clock, throttle, deadline
        self._concurrency, self._record = concurrency, journal.record
        self._answers: SimpleQueue[tuple[_Visit, float, Any]] = SimpleQueue()
        self._order = itertools.count()

    def run(self, works: Iterable[Work], *, wait_until: float, watch_until: float) -> None:
        """Bring all as far as they can be brought. What is not reached in time is what it was known to be."""
        self._wait_until, self._watch_until = wait_until, min(watch_until, self._deadline.at)
        self._todo = deque(sorted(works, key=self._turn))
        self._described = {id(work) for work in self._todo if work.facts is not None}
        self._later: list[tuple[float, int, _Visit | Work]] = []
        self._ready: list[tuple[Step, int, _Visit]] = []
        self._flying: dict[_Visit, Call] = {}
        self._watching: set[Work] = set()
        self._pauses: dict[Work, float] = {}
        self._ended: Problem | None = None
        self._can_watch = {id(work) for work in self._todo if self._has_time_for_a_watch(work)}
        self._pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="call")
        try:
            while self._deadline.remaining() > 0 and self._ended is None:
                self._wake()
                self._send()
                if self._is_over():
                    break
                self._wait()
            while self._flying and self._wait(_GRACE):
                pass
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._leave()

    def _turn(self, work: Work) -> tuple[bool, bool, str]:
        """What has not begun comes before what runs, and what starts at its first look before what is watched."""
        return work.known.current is not None, not self._visitor.is_prompt(work), work.instance.region

    def _is_over(self) -> bool:
        """Whether nothing can be done any more; what is left has no time for a watch, or its watch has had its time."""
        if self._flying:
            return False
        if self._throttle.wait() >= self._deadline.remaining():
            return True
        under_way = [visit for _, _, visit in self._ready]
        under_way += [due for _, _, due in self._later if isinstance(due, _Visit)]
        busy = {work for visit in under_way for work in visit.works}
        busy |= {due for _, _, due in self._later if isinstance(due, Work)}
        if busy and busy <= self._watching and self._clock.monotonic() >= self._watch_until:
            return True
        return not busy and not (self._throttle.wait() > 0 and self._todo)

    def _wake(self) -> None:
        """Begin again with what is due."""
        while self._later and self._later[0][0] <= self._clock.monotonic() + _TICK:
            _, _, due = heapq.heappop(self._later)
            if isinstance(due, Work):
                step = Step.WATCH if due.next is Next.WATCH else self._first_step(due)
                self._advance(_Visit([due], self._visitor.visit(due, step)), None)
            elif due.call:
                self._push(due, due.call)
            else:
                self._advance(due, None)

    def _send(self) -> None:
        """Send what may be sent: the most urgent call, and when there is none, a look at the next instance."""
        while len(self._flying) < self._concurrency and self._throttle.wait() <= 0:
            if not self._ready:
                visit = self._next()
                if visit is None:
                    return
                self._advance(visit, None)
                continue
            _, _, visit = heapq.heappop(self._ready)
            if visit.call:
                self._throttle.sent()
                self._flying[visit] = visit.call
                self._pool.submit(self._call, visit, visit.call)

    def _call(self, visit: _Visit, call: Call) -> None:
        """On a worker's thread: make one call."""
        sent, sent_at = self._clock.monotonic(), utc_now(self._clock)
        try:
            result: Any = Answer(call.send(), sent_at)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the invocation's thread waits for it
            result = error
        self._answers.put((visit, sent, result))

    def _wait(self, grace: float = 0.0) -> bool:
        """Wait for an answer, or for what is due next; with a `grace`, for an answer so many seconds at most.

        False: no answer came.
        """
        due = self._later[0][0] - self._clock.monotonic() if self._later else float("inf")
        if len(self._flying) < self._concurrency and (self._ready or self._todo) and self._throttle.wait() > 0:
            due = min(due, self._throttle.wait())
        due = max(0.0, min(due, self._deadline.remaining()))
        if not self._flying:
            self._clock.sleep(max(_TICK, due))  # less would not move a clock that counts from 1970
            return False
        try:
            visit, sent, result = self._answers.get(timeout=grace or max(_TICK, min(due, _TURN)))
        except Empty:
            return False
        self._take(visit, sent, result)
        return True

    def _take(self, visit: _Visit, sent: float, result: Any) -> None:
        """Let an answer have its effect: on the pace, and on the visit."""
        call = self._flying.pop(visit)
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result  # the process is to end
        if isinstance(result, ApiError) and result.kind is ErrorKind.THROTTLED:
            self._throttle.back_off(sent, result.retry_after)
            visit.problem, visit.throttled = result.problem, visit.throttled + 1
            if not visit.is_batch or visit.throttled < _BATCH_TRIES:
                self._push(visit, call)
                return
        elif not isinstance(result, NoLongerClearError):
            self._throttle.served(self._clock.monotonic() - sent)
        if isinstance(result, ApiError) and result.kind in _TRY_AGAIN and self._again(visit, call, result):
            return
        visit.failures, visit.problem = 0, None
        self._advance(visit, result)

    def _again(self, visit: _Visit, call: Call, error: ApiError) -> bool:
        """Whether the call is sent once more, after a moment."""
        visit.failures, visit.problem = visit.failures + 1, error.problem
        if error.problem.code.startswith(EXPIRED) or visit.failures >= call.attempts:
            return False
        pause = error.retry_after or jitter(self._clock, visit.failures - 1)
        self._at(self._clock.monotonic() + pause, visit)
        return True

    def _advance(self, visit: _Visit, result: Any) -> None:
        """Let a visit go on with what its call gave, to the next call or to its end."""
        try:
            wanted = visit.steps.throw(result) if isinstance(result, Exception) else visit.steps.send(result)
        except StopIteration:
            self._ended_visit(visit)
        except ApiError as error:
            if error.problem.code.startswith(EXPIRED) and error.kind is ErrorKind.TRANSIENT:
                self._ended = error.problem
            self._fail(visit, error.problem)
        except Exception as error:  # noqa: BLE001 - one instance's failure must not touch another's result
            self._fail(visit, _unexpected(error))
        else:
            if isinstance(wanted, Pause):
                visit.call = None
                self._at(self._clock.monotonic() + wanted.seconds, visit)
            else:
                self._push(visit, wanted)

    def _fail(self, visit: _Visit, problem: Problem) -> None:
        for work in () if visit.is_batch else visit.works:
            outcome = outcome_of_failed_look(work, problem)
            work.next = Next.NOTHING if outcome.state.is_final else Next.LOOK_AGAIN
            self._record(work, outcome)
        self._ended_visit(visit)

    def _ended_visit(self, visit: _Visit) -> None:
        """When its instance is to be looked at next, if it is at all."""
        if visit.is_batch:
            self._todo.extendleft(reversed(visit.works))
            return
        [work] = visit.works
        now = self._clock.monotonic()
        if work.next is Next.WATCH and id(work) in self._can_watch and self._has_time_for_a_watch(work):
            self._watching.add(work)
            self._at(now + self._seconds_until(work.watch.next_look(work.request)), work)
            return
        self._watching.discard(work)
        if work.next is Next.NOTHING or work.request.dry_run:
            return
        pause = self._pauses.get(work, _POLL[0])
        self._pauses[work] = min(pause * 1.5, _POLL[1])
        if (left := self._wait_until - now) > 0.5:
            self._at(now + min(pause, left), work)

    def _next(self) -> _Visit | None:
        """A first look at the next instance, if it may be looked at now; or what it and others are, in bulk."""
        if not self._todo:
            return None
        work = self._todo[0]
        if id(work) not in self._described:
            return self._next_batch(work.instance.region)
        if id(work) in self._can_watch and self._may_need_watch(work):
            limit = max(1.0, _WATCHED_PER_CALL * self._throttle.calls_per_second())
            if len(self._watching) >= limit or not self._has_time_for_a_watch(work):
                return None
            self._watching.add(work)
        self._todo.popleft()
        return _Visit([work], self._visitor.visit(work, self._first_step(work)))

    def _next_batch(self, region: str) -> _Visit:
        batch: list[Work] = []
        while self._todo and len(batch) < BATCH and self._todo[0].instance.region == region:
            if id(self._todo[0]) in self._described:
                break
            batch.append(self._todo.popleft())
        self._described |= {id(work) for work in batch}
        return _Visit(batch, self._visitor.describe(batch), is_batch=True)

    def _may_need_watch(self, work: Work) -> bool:
        """Whether a look that shows nothing would begin a watch. (It starts a backup where it is a clear moment.)"""
        may_start = self._visitor.may_start(work)
        return may_start is MayStart.WHEN_CLEAR and work.known.current is None and not self._visitor.is_prompt(work)

    def _has_time_for_a_watch(self, work: Work) -> bool:
        now = self._clock.monotonic()
        begun = work.watch.begun
        spent = -self._seconds_until(begun) if begun and work.next is Next.WATCH else 0.0
        whole = max(WATCH.total_seconds() - spent, self._seconds_until(window_end(work.request)))
        return now + whole + ROOM - WATCH.total_seconds() <= self._watch_until

    def _first_step(self, work: Work) -> Step:
        return Step.LOOK_AT_RUNNING if work.known.current else Step.LOOK

    def _push(self, visit: _Visit, call: Call) -> None:
        visit.call = call
        heapq.heappush(self._ready, (call.step, next(self._order), visit))

    def _at(self, moment: float, due: _Visit | Work) -> None:
        heapq.heappush(self._later, (moment, next(self._order), due))

    def _seconds_until(self, moment: Any) -> float:
        return float((moment - utc_now(self._clock)) / timedelta(seconds=1))

    def _leave(self) -> None:
        """Say of what was not brought to an end what it was known to be."""
        for visit, call in self._flying.items():
            if call.step is Step.CREATE:
                self._visitor.outcome_unknown(visit.works[0])
        visits = [*self._flying, *(visit for _, _, visit in self._ready)]
        visits += [due for _, _, due in self._later if isinstance(due, _Visit)]
        left = [(work, None) for work in self._todo] + [(work, each.problem) for each in visits for work in each.works]
        for work, problem in left:
            if work.known.current:
                self._record(work, work.outcome)
            elif work.is_open and (self._ended or work.outcome.error is None):
                self._record(work, outcome_of_failed_look(work, self._ended or problem or out_of_time()))


def _unexpected(error: Exception) -> Problem:
    return Problem(
        "UnexpectedError",
        f"{type(error).__name__} in the function itself",
        ErrorKind.UNKNOWN,
        hint="look at the backup list of the instance, and report this with the function's version",
    )

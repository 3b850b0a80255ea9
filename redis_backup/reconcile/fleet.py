"""Work on all instances of an invocation at the same time: choose the next call, wait, and stop in time.

One thread, the invocation's own, makes all decisions and does all waiting. Workers only make calls, one at a time each.
So no lock is needed, and the most urgent call goes first even if few calls are possible.

    not visited yet ────┐                             ┌─► answer ─► its visit continues
    looks that are due ─┼─► calls by urgency ─► call ─┼─► throttled: all calls slow down, and it is sent again
    visits under way ───┘                             └─► no answer: it is sent again later, or the visit fails
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
from redis_backup.reconcile.outcomes import outcome_of_failed_look
from redis_backup.reconcile.visit import Visitor
from redis_backup.reconcile.watch import TIME_FOR_WATCH, WATCH_LENGTH, window_end
from redis_backup.reconcile.work import Answer, Call, CallKind, NextStep, Pause, Steps, WorkItem
from redis_backup.runtime import Clock, utc_now
from redis_backup.states import ErrorKind, Problem, out_of_time, unexpected

_POLL = (3.0, 30.0)  # seconds between looks while waiting: the first pause and the longest
_CLOCK_CHECK = 0.05  # seconds of real time; a wait for answers reads the clock so often, since a test may move it
_TICK = 0.001  # seconds; anything due within this time is due now
_GRACE = 0.3  # seconds of real time, after the deadline, to wait for answers
_WATCHED_PER_CALL = 5  # instances that are watched at once, for each call a second that is answered
_BATCH_TRIES = 5  # how often describing a batch is throttled before its instances are described one by one
_TRY_AGAIN = (ErrorKind.TRANSIENT, ErrorKind.UNKNOWN)


@dataclass(eq=False)
class _Visit:
    """A visit under way, to one instance or a batch: the call that it waits for, and how often that has failed."""

    items: Sequence[WorkItem]
    steps: Steps[None]
    call: Call | None = None
    failures: int = 0
    throttled: int = 0
    problem: Problem | None = None  # the error of the call's last attempt
    is_batch: bool = False


class Fleet:
    """One run over an invocation's instances."""

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

    def run(self, items: Iterable[WorkItem], *, wait_until: float, watch_until: float) -> None:
        """Visit all instances, as often as there is time.

        `wait_until`, `watch_until`: until when, on the monotonic clock, to wait for running backups, and to watch.
        """
        self._wait_until, self._watch_until = wait_until, min(watch_until, self._deadline.at)
        self._not_visited = deque(sorted(items, key=self._priority))
        self._described = {id(item) for item in self._not_visited if item.facts is not None}
        self._scheduled: list[tuple[float, int, _Visit | WorkItem]] = []
        self._ready: list[tuple[CallKind, int, _Visit]] = []
        self._in_flight: dict[_Visit, Call] = {}
        self._watching: set[WorkItem] = set()
        self._pauses: dict[WorkItem, float] = {}
        self._fatal_problem: Problem | None = None
        self._can_watch = {id(item) for item in self._not_visited if self._has_time_for_a_watch(item)}
        self._pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="call")
        try:
            while self._deadline.remaining() > 0 and self._fatal_problem is None:
                self._resume_due()
                self._send()
                if self._is_over():
                    break
                self._wait()
            while self._in_flight and self._wait(_GRACE):
                pass
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._record_rest()

    def _priority(self, item: WorkItem) -> tuple[bool, bool, str]:
        """Return the sort key of a first visit: before all, instances without a backup that need no watch."""
        return item.has_backup, not self._visitor.look_is_clear(item), item.instance.region

    def _is_over(self) -> bool:
        """Return whether nothing can be done any more: the rest has no time for a watch, or no more time to watch."""
        if self._in_flight:
            return False
        if self._throttle.wait() >= self._deadline.remaining():
            return True
        under_way = [visit for _, _, visit in self._ready]
        under_way += [due for _, _, due in self._scheduled if isinstance(due, _Visit)]
        busy = {item for visit in under_way for item in visit.items}
        busy |= {due for _, _, due in self._scheduled if isinstance(due, WorkItem)}
        if busy and busy <= self._watching and self._clock.monotonic() >= self._watch_until:
            return True
        return not busy and not (self._throttle.wait() > 0 and self._not_visited)

    def _resume_due(self) -> None:
        """Continue the visits, and begin the looks, that are due."""
        while self._scheduled and self._scheduled[0][0] <= self._clock.monotonic() + _TICK:
            _, _, due = heapq.heappop(self._scheduled)
            if isinstance(due, WorkItem):
                kind = CallKind.WATCH if due.next is NextStep.WATCH else self._kind_of_first_call(due)
                self._advance(_Visit([due], self._visitor.visit(due, kind)), None)
            elif due.call:
                self._enqueue(due, due.call)
            else:
                self._advance(due, None)

    def _send(self) -> None:
        """Send as many calls as possible: the most urgent ones, and if there are none, a look at the next instance."""
        while len(self._in_flight) < self._concurrency and self._throttle.wait() <= 0:
            if not self._ready:
                visit = self._next_visit()
                if visit is None:
                    return
                self._advance(visit, None)
                continue
            _, _, visit = heapq.heappop(self._ready)
            if visit.call:
                self._throttle.sent()
                self._in_flight[visit] = visit.call
                self._pool.submit(self._call, visit, visit.call)

    def _call(self, visit: _Visit, call: Call) -> None:
        """Make one call, on a worker's thread."""
        sent, sent_at = self._clock.monotonic(), utc_now(self._clock)
        try:
            result: Any = Answer(call.send(), sent_at)
        except BaseException as error:  # noqa: BLE001 - the invocation's thread waits for any result
            result = error
        self._answers.put((visit, sent, result))

    def _wait(self, grace: float = 0.0) -> bool:
        """Wait for an answer, or until something is due. Return whether an answer came.

        `grace`: wait so many seconds for an answer instead.
        """
        due = self._scheduled[0][0] - self._clock.monotonic() if self._scheduled else float("inf")
        if (
            len(self._in_flight) < self._concurrency
            and (self._ready or self._not_visited)
            and self._throttle.wait() > 0
        ):
            due = min(due, self._throttle.wait())
        due = max(0.0, min(due, self._deadline.remaining()))
        if not self._in_flight:
            self._clock.sleep(max(_TICK, due))  # a shorter sleep would not change a clock that counts from 1970
            return False
        try:
            visit, sent, result = self._answers.get(timeout=grace or max(_TICK, min(due, _CLOCK_CHECK)))
        except Empty:
            return False
        self._handle_answer(visit, sent, result)
        return True

    def _handle_answer(self, visit: _Visit, sent: float, result: Any) -> None:
        """Adjust the throttle to an answer, and continue its visit."""
        call = self._in_flight.pop(visit)
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result  # the process has to end
        if isinstance(result, ApiError) and result.kind is ErrorKind.THROTTLED:
            self._throttle.back_off(sent, result.retry_after)
            visit.problem, visit.throttled = result.problem, visit.throttled + 1
            if not visit.is_batch or visit.throttled < _BATCH_TRIES:
                self._enqueue(visit, call)
                return
        elif not isinstance(result, NoLongerClearError):
            self._throttle.answered(self._clock.monotonic() - sent)
        if isinstance(result, ApiError) and result.kind in _TRY_AGAIN and self._retry_later(visit, call, result):
            return
        visit.failures, visit.problem = 0, None
        self._advance(visit, result)

    def _retry_later(self, visit: _Visit, call: Call, error: ApiError) -> bool:
        """Send a call again after a pause, if it may have another attempt. Return whether it has."""
        visit.failures, visit.problem = visit.failures + 1, error.problem
        if error.problem.code.startswith(EXPIRED) or visit.failures >= call.attempts:
            return False
        pause = error.retry_after or jitter(self._clock, visit.failures - 1)
        self._schedule(self._clock.monotonic() + pause, visit)
        return True

    def _advance(self, visit: _Visit, result: Any) -> None:
        """Continue a visit with the result of its call, until its next call or its end."""
        try:
            wanted = visit.steps.throw(result) if isinstance(result, Exception) else visit.steps.send(result)
        except StopIteration:
            self._finish_visit(visit)
        except ApiError as error:
            if error.problem.code.startswith(EXPIRED) and error.kind is ErrorKind.TRANSIENT:
                self._fatal_problem = error.problem
            self._fail(visit, error.problem)
        except Exception as error:  # noqa: BLE001 - one instance's failure must not touch another's result
            self._fail(visit, unexpected(error))
        else:
            if isinstance(wanted, Pause):
                visit.call = None
                self._schedule(self._clock.monotonic() + wanted.seconds, visit)
            else:
                self._enqueue(visit, wanted)

    def _fail(self, visit: _Visit, problem: Problem) -> None:
        for item in () if visit.is_batch else visit.items:
            outcome = outcome_of_failed_look(item, problem)
            item.next = NextStep.NOTHING if outcome.state.is_final else NextStep.LOOK_AGAIN
            self._record(item, outcome)
        self._finish_visit(visit)

    def _finish_visit(self, visit: _Visit) -> None:
        """Schedule the next look at a visit's instance, if there is one."""
        if visit.is_batch:
            self._not_visited.extendleft(reversed(visit.items))
            return
        [item] = visit.items
        now = self._clock.monotonic()
        if item.next is NextStep.WATCH and id(item) in self._can_watch and self._has_time_for_a_watch(item):
            self._watching.add(item)
            self._schedule(now + self._seconds_until(item.watch.next_look(item.request)), item)
            return
        self._watching.discard(item)
        if item.next is NextStep.NOTHING or item.request.dry_run:
            return
        pause = self._pauses.get(item, _POLL[0])
        self._pauses[item] = min(pause * 1.5, _POLL[1])
        if (rest := self._wait_until - now) > 0.5:
            self._schedule(now + min(pause, rest), item)

    def _next_visit(self) -> _Visit | None:
        """Return the next instance's first visit, or the one that describes it with others; None if it has to wait."""
        if not self._not_visited:
            return None
        item = self._not_visited[0]
        if id(item) not in self._described:
            return self._next_batch(item.instance.region)
        if id(item) in self._can_watch and self._may_need_watch(item):
            limit = max(1.0, _WATCHED_PER_CALL * self._throttle.calls_per_second())
            if len(self._watching) >= limit or not self._has_time_for_a_watch(item):
                return None
            self._watching.add(item)
        self._not_visited.popleft()
        return _Visit([item], self._visitor.visit(item, self._kind_of_first_call(item)))

    def _next_batch(self, region: str) -> _Visit:
        batch: list[WorkItem] = []
        while self._not_visited and len(batch) < BATCH and self._not_visited[0].instance.region == region:
            if id(self._not_visited[0]) in self._described:
                break
            batch.append(self._not_visited.popleft())
        self._described |= {id(item) for item in batch}
        return _Visit(batch, self._visitor.describe(batch), is_batch=True)

    def _may_need_watch(self, item: WorkItem) -> bool:
        """Return whether a look that shows no backup would begin a watch, instead of starting a backup at once."""
        may_start = self._visitor.may_start(item)
        return may_start is MayStart.WHEN_CLEAR and not item.has_backup and not self._visitor.look_is_clear(item)

    def _has_time_for_a_watch(self, item: WorkItem) -> bool:
        now = self._clock.monotonic()
        first_look = item.watch.first_look
        spent = -self._seconds_until(first_look) if first_look and item.next is NextStep.WATCH else 0.0
        remaining = max(WATCH_LENGTH.total_seconds() - spent, self._seconds_until(window_end(item.request)))
        return now + remaining + TIME_FOR_WATCH - WATCH_LENGTH.total_seconds() <= self._watch_until

    def _kind_of_first_call(self, item: WorkItem) -> CallKind:
        return CallKind.LOOK_AT_RUNNING if item.has_backup else CallKind.LOOK

    def _enqueue(self, visit: _Visit, call: Call) -> None:
        visit.call = call
        heapq.heappush(self._ready, (call.kind, next(self._order), visit))

    def _schedule(self, moment: float, due: _Visit | WorkItem) -> None:
        heapq.heappush(self._scheduled, (moment, next(self._order), due))

    def _seconds_until(self, moment: Any) -> float:
        return float((moment - utc_now(self._clock)) / timedelta(seconds=1))

    def _record_rest(self) -> None:
        """Record the last known outcome of instances whose visits did not end."""
        for visit, call in self._in_flight.items():
            if call.kind is CallKind.CREATE:
                self._visitor.outcome_unknown(visit.items[0])
        visits = [*self._in_flight, *(visit for _, _, visit in self._ready)]
        visits += [due for _, _, due in self._scheduled if isinstance(due, _Visit)]
        rest = [(item, None) for item in self._not_visited] + [
            (item, each.problem) for each in visits for item in each.items
        ]
        for item, problem in rest:
            if item.known.current:
                self._record(item, item.outcome)
            elif item.is_open and (self._fatal_problem or item.outcome.error is None):
                self._record(item, outcome_of_failed_look(item, self._fatal_problem or problem or out_of_time()))

"""All instances of an invocation's requests: side by side, within its time, and again while it is to wait.

describe 30 at a time ─► ensure each ─► (wait_seconds) ─► ensure those that are not final ─► …
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NoReturn, TypeVar

from redis_backup import sdk, timestamps
from redis_backup.api_errors import ApiError
from redis_backup.ensure import Case, Ensurer, unseen
from redis_backup.fields import Target
from redis_backup.invocation import Invocation
from redis_backup.job import Known, real_ids
from redis_backup.kvstore import BATCH, KVStore
from redis_backup.pace import Deadline
from redis_backup.records import Recorder
from redis_backup.request import Request
from redis_backup.runtime import Clock
from redis_backup.settings import Settings
from redis_backup.states import ErrorKind, Outcome, Problem, State

T = TypeVar("T")
_POLL = (3.0, 30.0)  # seconds between looks while waiting: the first pause and the longest


class Run:
    """One invocation's work on instances."""

    def __init__(self, invocation: Invocation, settings: Settings, clock: Clock, recorder: Recorder) -> None:
        self._invocation, self._settings, self._clock, self._recorder = invocation, settings, clock, recorder
        self._deadline = Deadline(clock, invocation.stop_work_at)
        self._ensurer = Ensurer(clock, self._deadline, settings.max_attempts, self._record, self._failed_attempt)
        self._kvstores: dict[str, KVStore] = {}
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._grace = (invocation.stop_sending_at - invocation.stop_work_at) / 3  # seconds

    def select(self, requests: Sequence[Request]) -> list[Request]:
        """Add to each request the instances that bear its tags. Raise ApiError where they cannot be listed."""
        self._clients(dict.fromkeys(request.region for request in requests if request.tags))
        steps = [partial(self._select, request) for request in requests]
        selected = side_by_side(steps, self._settings.concurrency, self._deadline)
        return [request if request else _not_in_time() for request in selected]

    def _select(self, request: Request) -> Request:
        if not request.tags:
            return request
        selected = self._kvstores[request.region].select(request.tags)
        return replace(request, targets=(*request.targets, *selected))

    def cases(self, requests: Iterable[Request]) -> list[Case]:
        """All instances, in the requests' order."""
        return [self._case(request, target) for request in requests for target in request.targets]

    def ensure(self, cases: Sequence[Case]) -> None:
        """Bring all instances as far as they can be brought in this invocation."""
        wait_until = self._clock.monotonic() + max((case.request.wait_seconds for case in cases), default=0)
        allowed = [case for case in cases if self._is_allowed(case)]
        self._clients(dict.fromkeys(case.target.region for case in allowed))
        if not self._await_since(allowed):
            for case in allowed:
                self._record(case, unseen(case, sdk.out_of_time().problem))
            return
        executor = ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="ensure")
        try:
            self._pass(executor, allowed)
            pause = _POLL[0]
            while open_cases := [case for case in allowed if not case.outcome.state.is_final]:
                pause = min(pause, wait_until - self._clock.monotonic())
                if pause <= 0 or not self._deadline.sleep(pause):
                    break
                self._pass(executor, open_cases)
                pause = min(pause * 1.5, _POLL[1])
        finally:
            self._closed.set()
            executor.shutdown(wait=False, cancel_futures=True)

    def conclude(self, case: Case, outcome: Outcome) -> None:
        """Set down what was decided about an instance without a look at it."""
        case.outcome = case.recorded = outcome
        self._recorder.state(case.request, case.target, outcome)

    def _case(self, request: Request, target: Target) -> Case:
        known = Known.of(request.jobs.get(target.key, ()))
        case = Case(request, target, known)
        if known.ids or (request.follow and request.follow.count):  # an earlier invocation has recorded it
            case.outcome = Outcome(State.RUNNING if known.ids else State.PENDING, real_ids(known.ids))
            case.recorded = case.outcome
        return case

    def _is_allowed(self, case: Case) -> bool:
        if self._settings.allows(case.target.key):
            return True
        problem = Problem(
            "NotAllowed",
            f"BACKUP_ALLOW does not name {case.target.key}",
            ErrorKind.REFUSED,
            hint="add a pattern for it to the function's environment, or take it out of the request",
        )
        self._record(case, Outcome(State.FAILED, error=problem))
        return False

    def _clients(self, regions: Iterable[str]) -> None:
        """One client per invocation and region: its credentials are this invocation's own."""
        for region in regions:
            if region not in self._kvstores:
                self._kvstores[region] = KVStore(region, self._invocation, self._settings, self._clock, self._deadline)

    def _await_since(self, cases: Sequence[Case]) -> bool:
        """A sender's clock may be ahead: a backup that begins now would begin too early."""
        now = timestamps.from_epoch(self._clock.time())
        ahead = max((case.request.since - now for case in cases), default=timedelta(0))
        return ahead <= timedelta(0) or self._deadline.sleep(ahead.total_seconds())

    def _pass(self, executor: ThreadPoolExecutor, cases: Sequence[Case]) -> None:
        """Ensure each case once. Those that no worker came to, or back from, in time are what they were known to be."""
        work: dict[Future[Sequence[Case]], Sequence[Case]] = {}
        done: SimpleQueue[Future[Sequence[Case]]] = SimpleQueue()

        def submit(step: Callable[..., Sequence[Case]], argument: Any, of: Sequence[Case]) -> None:
            future = executor.submit(step, argument)
            work[future] = of
            future.add_done_callback(done.put)

        by_region: dict[str, list[Case]] = {}
        for case in cases:
            if case.architecture is None:
                by_region.setdefault(case.target.region, []).append(case)
            else:
                submit(self._one, case, [case])
        for unknown in by_region.values():
            for start in range(0, len(unknown), BATCH):
                batch = unknown[start : start + BATCH]
                submit(self._describe, batch, batch)
        while work:
            in_time = self._deadline.remaining() > 0
            # In short turns, since a simulated clock does not wake a wait. After the deadline workers only unwind. (A
            # queue, since concurrent.futures.wait looks at every future each time: seconds of work for 1,000 of them.)
            try:
                future = done.get(timeout=0.5 if in_time else self._grace)
            except Empty:
                if in_time:
                    continue
                break
            del work[future]
            for case in future.result():
                submit(self._one, case, [case])
        for case in [case for left in work.values() for case in left]:
            self._record(case, unseen(case, sdk.out_of_time().problem))

    def _describe(self, cases: Sequence[Case]) -> Sequence[Case]:
        """Learn the architecture of up to 30 instances of a region; return those that can go on."""
        kvstore = self._kvstores[cases[0].target.region]
        try:
            found = kvstore.architectures([case.target.instance_id for case in cases])
        except ApiError as error:
            if error.kind is not ErrorKind.PERMANENT:
                for case in cases:
                    self._record(case, unseen(case, error.problem))
                return ()
            # One instance may be why the call was refused for all, so each is asked by itself.
            self._recorder.warning("each instance is asked by itself", problem=error.problem)
            found = {}
        except Exception:  # noqa: BLE001 - an answer that no code expects
            found = {}
        for case in cases:
            case.architecture = found.get(case.target.instance_id)
        return cases

    def _one(self, case: Case) -> Sequence[Case]:
        try:
            if self._closed.is_set():
                return ()
            self._ensurer.ensure(case, self._kvstores[case.target.region], may_start=self._may_start(case))
        except Exception as error:  # noqa: BLE001 - one instance's failure must not touch another's result
            problem = Problem(
                "UnexpectedError",
                f"{type(error).__name__} in the function itself",
                ErrorKind.UNKNOWN,
                hint="look at the backup list of the instance, and report this with the function's version",
            )
            self._record(case, unseen(case, problem))
        return ()

    def _may_start(self, case: Case) -> bool:
        """A chain that has gone on for too long only looks."""
        return not is_expired(case.request, self._settings, timestamps.from_epoch(self._clock.time()))

    def _failed_attempt(self, case: Case, job_ids: tuple[str, ...], attempts: int) -> None:
        """Put failed attempts on record, once: another invocation may have started them, and not have lived to."""
        if case.told is None or not case.told.issuperset(job_ids):
            case.told = frozenset(job_ids)
            self._recorder.failed_attempt(case.request, case.target, job_ids, attempts)

    def _record(self, case: Case, outcome: Outcome) -> None:
        """Take an outcome, and write it down where it is a change."""
        with self._lock:
            before = case.recorded
            is_news = (
                before is None
                or outcome.state is not before.state
                or (outcome.state is State.RUNNING and not set(outcome.job_ids) <= set(before.job_ids))
            )
            if self._closed.is_set() and not (is_news and outcome.state is State.RUNNING):
                return  # the report is out; only a job ID that came too late for it still counts
            case.outcome = outcome
            if is_news:
                case.recorded = outcome
                if outcome.failed_ids:
                    self._failed_attempt(case, outcome.failed_ids, outcome.attempts - 1)
                self._recorder.state(case.request, case.target, outcome)


def side_by_side(steps: Sequence[Callable[[], T]], workers: int, deadline: Deadline) -> list[T | None]:
    """The results of all steps, in their order; None for one that did not end in time.

    On threads, since a call whose answer drips in byte by byte outlives every time-out that it was given.
    """
    executor = ThreadPoolExecutor(max(1, min(workers, len(steps))))
    futures = [executor.submit(step) for step in steps]
    results: list[T | None] = []
    for future in futures:
        try:
            results.append(future.result(timeout=max(0.0, deadline.remaining())))
        except FutureTimeoutError:
            results.append(None)
    executor.shutdown(wait=False, cancel_futures=True)
    return results


def _not_in_time() -> NoReturn:
    raise sdk.out_of_time()


def is_expired(request: Request, settings: Settings, now: datetime) -> bool:
    """Whether a chain of follow-ups is to give up."""
    return request.follow is not None and now - request.follow.first >= timedelta(hours=settings.follow_hours)

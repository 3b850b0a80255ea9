"""Hold one instance of a request with what this invocation knows of it, and the calls that its visit asks for."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, IntEnum
from typing import Any, TypeVar

from redis_backup.alibaba.parsing import Instance, JobStatus
from redis_backup.proof.backup import ReadableBackup, Verdict
from redis_backup.reconcile.known import KnownJobs
from redis_backup.reconcile.watch import Watch
from redis_backup.request.instances import InstanceRef
from redis_backup.request.request import Request, Totals
from redis_backup.states import OUT_OF_TIME, ErrorKind, Outcome, Problem, State

_MAX_FAILED_IDS = 100  # keys of failed instances in a follow-up
WATCHING = "Watching"  # the error code of an instance that is watched


class CallKind(IntEnum):
    """The kind of a call. The lowest number is sent first: it is the nearest to the start of a backup."""

    CREATE = 0
    SECOND_CALL = 1  # the second call of a look
    WATCH = 2  # a look of a watch that is due
    LOOK = 3  # a look at an instance of which no backup is known
    LOOK_AT_RUNNING = 4
    PROVE = 5  # the store, or a backup's files


@dataclass(frozen=True)
class Call:
    """A call that a visit waits for. `attempts`: how often it is sent at most; a throttled call does not count."""

    kind: CallKind
    send: Callable[[], Any]
    attempts: int = 6


@dataclass(frozen=True)
class Pause:
    """A pause of so many seconds in a visit."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """The value that a call returned, and when it was sent."""

    value: Any
    sent_at: datetime


class NextStep(Enum):
    """The next step for an instance in this invocation, after a visit."""

    NOTHING = "nothing"
    LOOK_AGAIN = "look again"  # as long as `wait_seconds` says
    WATCH = "watch"


@dataclass(eq=False)
class WorkItem:
    """One instance of a request.

    `facts`, `facts_at`: what DescribeInstances said of it, and when; `is_undescribed`: RAM does not allow to describe
    it; `is_first_invocation`: no earlier invocation has worked on it; `has_sent_create`: this invocation has sent a
    CreateBackup that was not answered as throttled; `recorded`, `recorded_ids`: the state, error code and job IDs that
    were recorded; `recorded_failed_ids`, `recorded_failures`: the job IDs of the recorded failed attempts, and how many
    attempts those are; `verdicts`: what this invocation found of backups' files, by the backups' names; `to_read`: the
    backup whose files have to be read; `is_handed_over`: an invocation of its own goes on with the instance.
    """

    request: Request
    instance: InstanceRef
    known: KnownJobs = field(default_factory=KnownJobs)
    facts: Instance | None = None
    facts_at: datetime | None = None
    is_undescribed: bool = False
    watch: Watch = field(default_factory=Watch)
    is_first_invocation: bool = True
    has_sent_create: bool = False
    next: NextStep = NextStep.NOTHING
    outcome: Outcome = field(default_factory=lambda: Outcome(State.PENDING))
    recorded: tuple[State, str] | None = None
    recorded_ids: frozenset[str] = frozenset()
    recorded_failed_ids: frozenset[str] = frozenset()
    recorded_failures: int = 0
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    to_read: ReadableBackup | None = None
    is_handed_over: bool = False

    @classmethod
    def from_request(cls, request: Request, instance: InstanceRef) -> WorkItem:
        """Make the item of an instance, with what the request's `jobs` say of it."""
        known = KnownJobs.decode(request.jobs.get(instance.key, ()))
        item = cls(request, instance, replace(known, recorded=None))
        if request.follow_up and not request.is_shard:  # an earlier invocation has recorded it
            item.recorded = known.last_recorded()
            item.is_first_invocation = item.recorded is None
            item.recorded_ids = frozenset(job_id for attempt in known.attempts for job_id in attempt.job_ids)
            failed = [attempt for attempt in known.attempts if attempt.ended is JobStatus.FAILED]
            item.recorded_failures = len(failed)
            item.recorded_failed_ids = item.recorded_ids if failed else frozenset()
        if item.recorded and item.recorded[0] is State.VERIFYING:
            item.outcome = Outcome(State.VERIFYING)
        if current := known.current:
            ids, attempts = current.job_ids, len(known.attempts)
            item.outcome = Outcome(State.RUNNING, ids, current.is_adopted, attempts)
        return item

    @property
    def is_open(self) -> bool:
        """Return whether its state can still change."""
        return not self.outcome.state.is_final

    @property
    def has_backup(self) -> bool:
        """Return whether a backup is known that runs, or whose files are read."""
        return self.known.current is not None or self.outcome.state is State.VERIFYING

    @property
    def is_left(self) -> bool:
        """Return whether its state can still change, and this invocation and its follow-ups go on with it."""
        return self.is_open and not self.is_handed_over

    @property
    def is_reading(self) -> bool:
        """Return whether this invocation was sent for this instance alone, so that it reads the files itself."""
        return self.request.follow_up is not None and len(self.request.instances) == 1

    @property
    def needs_watch(self) -> bool:
        """Return whether it is pending because it needs a watch, or a look for which there was no time."""
        error = self.outcome.error
        if self.outcome.state is not State.PENDING or error is None:
            return False
        return error.code in (WATCHING, OUT_OF_TIME) or error.kind is ErrorKind.THROTTLED


T = TypeVar("T")
# A visit that can be suspended: it yields a call or a pause, is resumed with the answer, and returns a T at its end.
Steps = Generator[Call | Pause, Answer, T]


@dataclass(frozen=True)
class NotFollowed:
    """The reason why a request has no follow-up.

    `open_states`: the states of instances for which the request has to be sent again. (If follow-ups are turned off,
    running backups do not count; if they cannot be sent, nobody would see the end of these.)
    """

    reason: str
    open_states: tuple[State, ...] = (State.PENDING, State.RUNNING, State.VERIFYING)


def totals(request: Request, items: Iterable[WorkItem]) -> Totals:
    """Sum up what is final of a request so far, in earlier invocations and in this one."""
    final = [item for item in items if not item.is_open]
    earlier = request.earlier_totals
    failed = [item.instance.key for item in final if item.outcome.state is State.FAILED]
    starts = [start for start in (earlier.first_started, *(item.outcome.started_at for item in final)) if start]
    return Totals(
        succeeded=earlier.succeeded + sum(item.outcome.state is State.SUCCEEDED for item in final),
        failed=earlier.failed + len(failed),
        attempts=earlier.attempts + sum(item.outcome.attempts for item in final),
        first_started=min(starts, default=None),
        failed_ids=(*earlier.failed_ids, *failed)[:_MAX_FAILED_IDS],
        unlisted=earlier.unlisted,
    )


def incomplete_listing(request: Request, unlisted: int) -> Problem:
    """Return the error of a request for which not all instances with the tags were listed."""
    return Problem(
        "IncompleteListing",
        f"at least {unlisted} instances with tags {json.dumps(request.tags)[:200]} in {request.region} were not "
        "listed, and got no backup",
        ErrorKind.UNKNOWN,
        hint="send the event again with a new `since`, or name the instances by their IDs; if this happens often, ask "
        "Alibaba Cloud why DescribeInstances lists fewer instances than its TotalCount",
    )

"""One instance of a request, and what this invocation has learnt of it; and the calls that its steps ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, IntEnum
from typing import Any, TypeVar

from redis_backup.alibaba.parsing import Instance
from redis_backup.reconcile.known import KnownJobs
from redis_backup.reconcile.watch import Watch
from redis_backup.request.instances import InstanceRef
from redis_backup.request.request import Request, Totals
from redis_backup.states import OUT_OF_TIME, ErrorKind, Outcome, Problem, State

_MAX_FAILED_IDS = 100  # keys of failed instances that travel
WATCHING = "Watching"  # the code of a watch that goes on


class Step(IntEnum):
    """The kinds of calls. Where calls are scarce, the one nearest to a start goes first."""

    CREATE = 0
    SECOND_CALL = 1  # of a look
    WATCH = 2  # a look that is due
    LOOK = 3  # at an instance that is not known to have a backup
    LOOK_AT_RUNNING = 4


@dataclass(frozen=True)
class Call:
    """A call that a step waits for. `attempts`: how often it is sent at most (throttled ones do not count)."""

    step: Step
    send: Callable[[], Any]
    attempts: int = 6


@dataclass(frozen=True)
class Pause:
    """So many seconds that a step waits."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """What a call gave, and when it was sent."""

    value: Any
    sent_at: datetime


class Next(Enum):
    """What is to be done with an instance in this invocation, if there is time."""

    NOTHING = "nothing"
    LOOK_AGAIN = "look again"  # while it is waited for
    WATCH = "watch"


@dataclass(eq=False)
class WorkItem:
    """One instance of a request.

    `facts`: what DescribeInstances said of it, and when; `is_undescribed`: the instance itself may not be asked that;
    `is_first_invocation`: no earlier invocation has worked on it; `has_sent_create`: whether this invocation has sent a CreateBackup
    that was not answered as throttled; `recorded`, `recorded_ids`: the state, error code and job IDs on record;
    `failed_ids`, `failed`: the job IDs of failed attempts that are, and how many attempts those were.
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
    next: Next = Next.NOTHING
    outcome: Outcome = field(default_factory=lambda: Outcome(State.PENDING))
    recorded: tuple[State, str] | None = None
    recorded_ids: frozenset[str] = frozenset()
    failed_ids: frozenset[str] = frozenset()
    failed: int = 0

    @classmethod
    def from_request(cls, request: Request, instance: InstanceRef) -> WorkItem:
        """Begin with what the request's `jobs` say."""
        known = KnownJobs.decode(request.jobs.get(instance.key, ()))
        item = cls(request, instance, replace(known, recorded=None))
        if request.follow_up and not request.is_shard:  # an earlier invocation has recorded it
            item.recorded = known.last_recorded()
            item.is_first_invocation = item.recorded is None
            item.recorded_ids = frozenset(job_id for attempt in known.attempts for job_id in attempt.job_ids)
            failed = [attempt for attempt in known.attempts if attempt.ended is not None]
            item.failed, item.failed_ids = len(failed), item.recorded_ids if failed else frozenset()
        if current := known.current:
            ids, attempts = current.job_ids, len(known.attempts)
            item.outcome = Outcome(State.RUNNING, ids, current.is_adopted, attempts)
        return item

    @property
    def is_open(self) -> bool:
        """Whether something is still to happen to it."""
        return not self.outcome.state.is_final

    @property
    def needs_watch(self) -> bool:
        """Whether it is left for want of a watch, or of a look."""
        error = self.outcome.error
        if self.outcome.state is not State.PENDING or error is None:
            return False
        return error.code in (WATCHING, OUT_OF_TIME) or error.kind is ErrorKind.THROTTLED


T = TypeVar("T")
Steps = Generator[Call | Pause, Answer, T]  # of one visit: it waits for what it yields


@dataclass(frozen=True)
class NotFollowed:
    """Why nothing will follow a request up.

    `open_states`: the states in which an instance needs somebody to send the request again. (With follow-ups turned off
    what runs is left alone; where they cannot be sent, nobody would see its end.)
    """

    why: str
    open_states: tuple[State, ...] = (State.PENDING, State.RUNNING)


def totals(request: Request, items: Iterable[WorkItem]) -> Totals:
    """Sum up what is final of a request so far: before this invocation, and in it."""
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
    """What is said where instances that have the tags were not listed."""
    return Problem(
        "IncompleteListing",
        f"at least {unlisted} instances with tags {json.dumps(request.tags)[:200]} in {request.region} were not "
        "listed, and got no backup",
        ErrorKind.UNKNOWN,
        hint="send the event again with a new `since` or name the instances by their IDs; where it recurs, ask Alibaba "
        "Cloud why DescribeInstances lists fewer than its TotalCount",
    )

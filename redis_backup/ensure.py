"""One instance: look, adopt or start. Whatever went before is read off the instance's own lists of backups.

    look ──► satisfied ─────────────────────────────► running / succeeded
      ▲  └─► as many failed as allowed ─────────────► failed
      │  └─► nothing ─► CreateBackup ─► job IDs ────► running, recorded at once
      │                     ├─ permanent ───────────► failed
      │                     ├─ wrong state ─────────► pending
      │                     ├─ BackupJobExists ─┐
      └── (a moment) ◄──────┴─ anything else ◄──┘  and pending when that has been done often enough

Every CreateBackup comes straight after a look, a repeated one too: its outcome may be unknown (no answer, an error
page, an error that came after the backup had begun), and it has no ClientToken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from redis_backup import timestamps
from redis_backup.api_errors import BACKUP_RUNS, ApiError
from redis_backup.fields import Target
from redis_backup.job import Architecture, JobStatus, Known, Start, group, judge, real_ids, running_tasks
from redis_backup.kvstore import KVStore
from redis_backup.pace import Deadline, jitter
from redis_backup.request import Request
from redis_backup.runtime import Clock
from redis_backup.states import ErrorKind, Outcome, Problem, State

# Seconds between two looks after an answer was lost. Looked at soon enough, the backup that it may have started would
# still be running; later it may have ended, and a set is listed up to a minute after that.
_MOMENT, _LISTING_LAG = 2.0, 62.0
_SHORTEST_BACKUP = 2.0
_ATTEMPTS = 6  # CreateBackups that an invocation sends at most after transient answers
_ONE_DAY = timedelta(days=1)


@dataclass
class Case:
    """One instance of a request, and what this invocation has learnt of it.

    `known`: the jobs that are this request's; `adopted`: those were not started by it; `listed`: tokens of the jobs
    that the last look showed; `before`: those before the first CreateBackup whose answer was lost; `recorded`: the
    last outcome that went to the log store; `told`: the job IDs of failed attempts that did.
    """

    request: Request
    target: Target
    known: Known = field(default_factory=Known)
    adopted: bool = False
    architecture: Architecture | None = None
    outcome: Outcome = field(default_factory=lambda: Outcome(State.PENDING))
    listed: frozenset[str] = frozenset()
    before: frozenset[str] | None = None
    recorded: Outcome | None = None
    told: frozenset[str] | None = None


class Ensurer:
    """Carries out the contract's table for one instance at a time. Threads may share it.

    `record` is called with every outcome, at once; `failed_attempt` before a backup is started after one that failed.
    """

    def __init__(
        self,
        clock: Clock,
        deadline: Deadline,
        max_attempts: int,
        record: Callable[[Case, Outcome], None],
        failed_attempt: Callable[[Case, tuple[str, ...], int], None],
    ) -> None:
        self._clock, self._deadline, self._max_attempts = clock, deadline, max_attempts
        self._record, self._failed_attempt = record, failed_attempt

    def ensure(self, case: Case, kvstore: KVStore, *, may_start: bool) -> None:
        """Bring the instance as far as it can be brought now. Never raises an ApiError."""
        try:
            outcome = self._ensure(case, kvstore, may_start and not case.request.dry_run)
        except ApiError as error:
            outcome = unseen(case, error.problem)
        self._record(case, outcome)

    def _ensure(self, case: Case, kvstore: KVStore, may_start: bool) -> Outcome:
        problem: Problem | None = None
        attempt = unanswered = 0
        while True:
            seen = self._look(case, kvstore)
            if isinstance(seen, Outcome):
                return seen
            if not may_start:
                state = State.PLANNED if case.request.dry_run else State.PENDING
                return Outcome(state, attempts=seen.after, error=None if case.request.dry_run else case.outcome.error)
            if problem and (problem.kind is ErrorKind.BUSY or unanswered >= self._max_attempts or attempt >= _ATTEMPTS):
                return Outcome(State.PENDING, attempts=seen.after, error=problem)
            if seen.after:
                self._failed_attempt(case, seen.failed_ids, seen.after)
            called, began = self._clock.monotonic(), timestamps.from_epoch(self._clock.time())
            try:
                job_ids = kvstore.create_backup(case.target.instance_id, case.request.retention_days)
            except ApiError as error:
                problem = error.problem
                if error.kind is ErrorKind.PERMANENT:
                    return Outcome(State.FAILED, attempts=seen.after, error=problem)
                if error.is_one_of(BACKUP_RUNS):
                    continue  # perhaps it is this request's own, begun a moment ago by another delivery
                if error.kind is ErrorKind.BUSY:
                    return Outcome(State.PENDING, attempts=seen.after, error=problem)
                if error.kind is ErrorKind.THROTTLED:
                    in_time = kvstore.pause(error, attempt=1)
                else:  # it may have begun all the same
                    attempt, unanswered = attempt + 1, unanswered + (error.kind is ErrorKind.UNKNOWN)
                    case.before = case.listed if case.before is None else case.before
                    seen = self._look(case, kvstore)
                    if isinstance(seen, Outcome):
                        return seen
                    soon = self._clock.monotonic() - called < _SHORTEST_BACKUP
                    pause = max(error.retry_after or 0.0, _MOMENT if soon else _LISTING_LAG)
                    in_time = self._deadline.sleep(pause + jitter(self._clock, attempt - 1))
                if not in_time:
                    return Outcome(State.PENDING, attempts=seen.after, error=problem)
                continue
            outcome = Outcome(State.RUNNING, job_ids, attempts=seen.after + 1)
            self._record(case, outcome)  # before anything else is done with them
            tell_apart = case.architecture and case.architecture.is_cloud_native
            known_ids = tuple(dict.fromkeys((*case.known.ids, *job_ids)))
            case.known, case.adopted = Known(known_ids, began if tell_apart else None), False
            return outcome

    def _look(self, case: Case, kvstore: KVStore) -> Outcome | Start:
        """Running tasks first, finished sets second: the other way round, a job that ends in between is in neither."""
        request, instance_id = case.request, case.target.instance_id
        # Far enough back to see the end of a job that `jobs` names by mistake: it would count as running for ever.
        since = request.begun_since - (_ONE_DAY if case.known.ids else timedelta(0))
        if case.architecture is None:
            case.architecture = kvstore.architecture(instance_id)
        if case.architecture.is_cloud_native:
            jobs = kvstore.cluster_backups(instance_id, since)
        else:
            tasks = kvstore.backup_tasks(instance_id)
            sets = kvstore.backup_sets(instance_id, since)
            jobs = [*running_tasks(tasks, sets), *sets]
        case.listed = frozenset(job.token for job in jobs)
        backups = group(jobs, case.architecture, case.known.ids)
        seen = judge(
            backups,
            case.known,
            architecture=case.architecture,
            now=timestamps.from_epoch(self._clock.time()),
            begun_since=request.begun_since,
            since=request.since,
            max_attempts=self._max_attempts,
            suspects=frozenset() if case.before is None else case.listed - case.before,
        )
        if not isinstance(seen, Outcome):
            return seen
        if seen.state is State.RUNNING and seen.adopted:  # from now on it is known, should a listing lose it
            ids = seen.job_ids
            if case.architecture.is_cloud_native:
                ids = self._cluster_job_ids(kvstore, instance_id, request)
                seen = replace(seen, job_ids=ids)
                running = [backup for backup in backups if backup.status is JobStatus.RUNNING]
                ids = (*ids, *(job.token for job in running[-1].jobs))
            case.known, case.adopted = Known(ids), True
        return replace(seen, adopted=seen.adopted or (case.adopted and bool(case.known.ids)))

    def _cluster_job_ids(self, kvstore: KVStore, instance_id: str, request: Request) -> tuple[str, ...]:
        """The job IDs of an adopted cloud-native backup, which its own listing does not tell; () where nothing does."""
        try:
            tasks = kvstore.backup_tasks(instance_id)
        except ApiError:
            return ()
        since = request.begun_since
        return tuple(dict.fromkeys(task.job_id for task in tasks if task.job_id and task.start and task.start >= since))


def unseen(case: Case, problem: Problem) -> Outcome:
    """What an instance is of which nothing new could be learnt."""
    if problem.kind is ErrorKind.PERMANENT:
        return Outcome(State.FAILED, real_ids(case.known.ids), attempts=case.outcome.attempts, error=problem)
    if case.known.ids:  # it runs until a listing shows its end
        ids = case.outcome.job_ids if case.outcome.state is State.RUNNING else real_ids(case.known.ids)
        return Outcome(State.RUNNING, ids, case.adopted, max(1, case.outcome.attempts))
    return Outcome(State.PENDING, attempts=case.outcome.attempts, error=problem)

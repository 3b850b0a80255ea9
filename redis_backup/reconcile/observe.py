"""A look at one instance: running tasks first, finished sets second, since a job that ends in between would otherwise
show in neither. What comes back are its backups (`redis_backup.reconcile.backups`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from redis_backup.alibaba.api_clock import ApiClock
from redis_backup.alibaba.api_errors import WRONG_TYPE, ApiError
from redis_backup.alibaba.parsing import Instance, Job, JobStatus
from redis_backup.alibaba.rkvstore import RKVStore
from redis_backup.reconcile.backups import Backup, resolve
from redis_backup.reconcile.grouping import running_tasks
from redis_backup.reconcile.journal import Journal
from redis_backup.reconcile.known import UnchangedTask
from redis_backup.reconcile.watch import WATCH
from redis_backup.reconcile.work import Call, Step, Steps, Work
from redis_backup.runtime import Clock, utc_now
from redis_backup.states import ErrorKind

# Statuses of an instance in which R-KVStore starts no backup (DescribeInstances' reference): no use in watching it.
NOT_NOW = ("Creating", "Changing", "Transforming", "Released", "Inactive")
_STATUS_GOOD_FOR = timedelta(minutes=10)
_STATUS_READ_EVERY = timedelta(seconds=20)  # where it is one of these
_ONE_DAY = timedelta(days=1)
_UNKNOWN = Instance(is_cluster=True, shards=2, has_job_per_shard=None)  # where nothing tells: it may have shards


@dataclass(frozen=True)
class Seen:
    """What a look has shown. `moment`: when its first call was sent; `since` and `earliest` by R-KVStore's clock."""

    moment: datetime
    backups: tuple[Backup, ...]
    since: datetime
    earliest: datetime


class Observer:
    """Looks at instances. `stores` has a client for each region."""

    def __init__(self, stores: Mapping[str, RKVStore], api_clock: ApiClock, clock: Clock, journal: Journal) -> None:
        self._stores, self._api_clock, self._clock, self._journal = stores, api_clock, clock, journal

    def look(self, work: Work, step: Step, *, is_whole: bool) -> Steps[Seen | datetime]:
        """Look, and take what is known from now on into `work.known`. Raise ApiError where that cannot be done.

        Where the look need not be whole and no task runs, only its moment comes back.
        """
        store, request = self._stores[work.instance.region], work.request
        yield from self._describe(work, store, step)
        margin = _ONE_DAY if work.known.attempts else timedelta(0)  # to see the end of one that was named by mistake
        asked_since = request.earliest - margin
        found: tuple[datetime, list[Job] | None] | None = None
        if not (work.facts and work.facts.is_cloud_native):
            try:
                found = yield from self._classic(work, store, step, asked_since, is_whole=is_whole)
            except ApiError as error:
                if work.facts or not error.is_one_of(WRONG_TYPE):
                    raise
                work.facts = Instance(is_cluster=True, is_cloud_native=True)  # its backups are listed elsewhere
        if found is None:
            answer = yield Call(step, lambda: store.cluster_backups(work.instance.instance_id, asked_since))
            found = answer.sent_at, answer.value
        moment, jobs = found
        if jobs is None:
            return moment
        ahead = self._api_clock.ahead()
        since = (request.since + ahead).replace(microsecond=0)
        earliest = (request.since - request.max_age + ahead).replace(microsecond=0)
        jobs = self._without_unchanged_tasks(work, jobs, earliest)
        backups, work.known = resolve(jobs, work.known, work.facts or _UNKNOWN, since, earliest, utc_now(self._clock))
        return Seen(moment, backups, since, earliest)

    def describe(self, works: Sequence[Work]) -> Steps[None]:
        """Learn in one call what at most 30 instances of one region are; each that it leaves out is asked by itself."""
        store = self._stores[works[0].instance.region]
        ids = [work.instance.instance_id for work in works]
        try:
            answer = yield Call(Step.LOOK, lambda: store.describe(ids), attempts=1)
        except ApiError as error:
            self._journal.warn("each instance is asked by itself", None, error.problem)
            return
        for work in works:
            if facts := answer.value.get(work.instance.instance_id):
                work.facts, work.facts_at = facts, answer.sent_at

    def job_ids(self, work: Work, backup: Backup) -> Steps[tuple[str, ...]]:
        """A cloud-native backup's job IDs, which its own list does not tell; () where nothing does."""
        store = self._stores[work.instance.region]
        try:
            answer = yield Call(Step.SECOND_CALL, lambda: store.backup_tasks(work.instance.instance_id), attempts=2)
        except ApiError:
            return ()
        began = backup.started_at
        tasks: list[Job] = answer.value
        return tuple(
            dict.fromkeys(
                task.job_id
                for task in tasks
                if task.job_id and task.start and began and abs(task.start - began) <= timedelta(seconds=15)
            )
        )

    def status_forbids_backup(self, work: Work) -> bool:
        """Whether the instance's status forbids a backup, as it was read in this invocation a short while ago."""
        if work.facts is None or work.facts_at is None or work.facts.status not in NOT_NOW:
            return False
        return utc_now(self._clock) - work.facts_at < _STATUS_GOOD_FOR

    def _describe(self, work: Work, store: RKVStore, step: Step) -> Steps[None]:
        """Ask the instance itself what it is, where that is not known. That helps, and may fail."""
        is_old = (
            self.status_forbids_backup(work)
            and work.facts_at
            and utc_now(self._clock) - work.facts_at > _STATUS_READ_EVERY
        )
        if work.is_undescribed or (work.facts is not None and not is_old):
            return
        try:
            answer = yield Call(step, lambda: store.describe_one(work.instance.instance_id), attempts=2)
        except ApiError as error:
            if error.is_not_found:
                raise
            work.is_undescribed = error.kind is ErrorKind.PERMANENT
            if work.is_undescribed and not work.known.current:
                self._journal.warn("what the instance is could not be asked", work, error.problem)
            return
        work.facts, work.facts_at = answer.value, answer.sent_at

    def _classic(
        self, work: Work, store: RKVStore, step: Step, since: datetime, *, is_whole: bool
    ) -> Steps[tuple[datetime, list[Job] | None]]:
        """When the look's first call was sent, and the jobs; None where no task runs and no more is asked for."""
        instance_id = work.instance.instance_id
        answer = yield Call(step, lambda: store.backup_tasks(instance_id))
        moment, tasks = answer.sent_at, answer.value
        if not is_whole and not tasks:
            return moment, None
        # From the oldest task's start on: a task that has ended and stays listed shows its end there.
        since = min([since, *(task.start for task in tasks if task.start)])
        try:
            answer = yield Call(Step.SECOND_CALL, lambda: store.backup_sets(instance_id, since))
        except ApiError as error:
            if not any(task.start and task.start >= work.request.earliest for task in tasks):
                raise
            self._journal.warn("a look at a backup that runs failed", work, error.problem)
            return moment, tasks
        running = running_tasks(tasks, answer.value, work.facts or _UNKNOWN, utc_now(self._clock))
        return moment, [*running, *answer.value]

    def _without_unchanged_tasks(self, work: Work, jobs: list[Job], earliest: datetime) -> list[Job]:
        """Leave out older tasks whose status and progress have stood still: a task can stay listed after its end."""
        tasks = [job for job in jobs if job.status is JobStatus.RUNNING and not job.end and not job.cluster_backup_id]
        older = [job for job in tasks if job.start is None or job.start < earliest]
        if not older or any(set(attempt.job_ids) & {job.job_id for job in older} for attempt in work.known.attempts):
            work.known = replace(work.known, unchanged=None)
            return jobs
        shown = ".".join(f"{job.job_id}-{job.phase}-{job.progress}" for job in older)
        fingerprint = hashlib.sha256(shown.encode()).hexdigest()[:16]
        unchanged = work.known.unchanged
        if unchanged is None or unchanged.fingerprint != fingerprint:
            work.known = replace(work.known, unchanged=UnchangedTask(fingerprint, utc_now(self._clock)))
        elif utc_now(self._clock) - unchanged.since >= WATCH:
            return [job for job in jobs if job not in older]
        return jobs

"""Look at one instance and return its backups (`redis_backup.reconcile.backups`).

A look lists running tasks first and backup sets, which have ended, second. In the other order a job that ends between
the two calls would be in neither list.
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
from redis_backup.reconcile.watch import WATCH_LENGTH
from redis_backup.reconcile.work import Call, CallKind, Steps, WorkItem
from redis_backup.runtime import Clock, utc_now
from redis_backup.states import ErrorKind

# In these statuses R-KVStore starts no backup of an instance, so that watching it does not help. The document:
# https://www.alibabacloud.com/help/en/redis/developer-reference/api-r-kvstore-2015-01-01-describeinstances-redis
STATUSES_WITHOUT_BACKUP = ("Creating", "Changing", "Transforming", "Released", "Inactive")
_STATUS_GOOD_FOR = timedelta(minutes=10)
_STATUS_READ_EVERY = timedelta(seconds=20)  # if it is one of these
_ONE_DAY = timedelta(days=1)
_UNKNOWN_INSTANCE = Instance(
    is_cluster=True, shards=2, has_job_per_shard=None
)  # if it could not be described: it may have shards


@dataclass(frozen=True)
class Observation:
    """The result of a look. `moment`: when its first call was sent, by this invocation's clock.

    `since` and `earliest_start` are the request's, by R-KVStore's clock.
    """

    moment: datetime
    backups: tuple[Backup, ...]
    since: datetime
    earliest_start: datetime


class Observer:
    """Looks at instances. `clients` has R-KVStore's client for each region."""

    def __init__(self, clients: Mapping[str, RKVStore], api_clock: ApiClock, clock: Clock, journal: Journal) -> None:
        self._clients, self._api_clock, self._clock, self._journal = clients, api_clock, clock, journal

    def look(self, item: WorkItem, kind: CallKind, *, needs_sets: bool) -> Steps[Observation | datetime]:
        """Look at an instance, and update `item.known`. Raise ApiError if a call fails.

        If `needs_sets` is false and no task runs, return only when the first call was sent.
        """
        client, request = self._clients[item.instance.region], item.request
        yield from self._describe(item, client, kind)
        # A request's `jobs` may name an older backup, which is not its own. A day before shows how that ended.
        margin = _ONE_DAY if item.known.attempts else timedelta(0)
        list_since = request.earliest_start - margin
        found: tuple[datetime, list[Job] | None] | None = None
        if not (item.facts and item.facts.is_cloud_native):
            try:
                found = yield from self._list_jobs(item, client, kind, list_since, needs_sets=needs_sets)
            except ApiError as error:
                if item.facts or not error.is_one_of(WRONG_TYPE):
                    raise
                item.facts = Instance(
                    is_cluster=True, is_cloud_native=True
                )  # DescribeClusterBackupList lists its backups
        if found is None:
            answer = yield Call(kind, lambda: client.cluster_backups(item.instance.instance_id, list_since))
            found = answer.sent_at, answer.value
        moment, jobs = found
        if jobs is None:
            return moment
        ahead = self._api_clock.ahead()
        since = (request.since + ahead).replace(microsecond=0)
        earliest_start = (request.since - request.max_age + ahead).replace(microsecond=0)
        jobs = self._without_unchanged_tasks(item, jobs, earliest_start)
        backups, item.known = resolve(
            jobs, item.known, item.facts or _UNKNOWN_INSTANCE, since, earliest_start, utc_now(self._clock)
        )
        return Observation(moment, backups, since, earliest_start)

    def describe(self, items: Sequence[WorkItem]) -> Steps[None]:
        """Describe at most 30 instances of one region in one call; those that it leaves out follow one by one."""
        client = self._clients[items[0].instance.region]
        ids = [item.instance.instance_id for item in items]
        try:
            answer = yield Call(CallKind.LOOK, lambda: client.describe(ids), attempts=1)
        except ApiError as error:
            self._journal.warn("instances are described one by one, since one call for all failed", None, error.problem)
            return
        for item in items:
            if facts := answer.value.get(item.instance.instance_id):
                item.facts, item.facts_at = facts, answer.sent_at

    def job_ids(self, item: WorkItem, backup: Backup) -> Steps[tuple[str, ...]]:
        """Look up the job IDs of a cloud-native cluster's backup, which its list does not have; () for none."""
        client = self._clients[item.instance.region]
        try:
            answer = yield Call(
                CallKind.SECOND_CALL, lambda: client.backup_tasks(item.instance.instance_id), attempts=2
            )
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

    def status_forbids_backup(self, item: WorkItem) -> bool:
        """Return whether the instance's status, as this invocation has read it lately, allows no backup."""
        if item.facts is None or item.facts_at is None or item.facts.status not in STATUSES_WITHOUT_BACKUP:
            return False
        return utc_now(self._clock) - item.facts_at < _STATUS_GOOD_FOR

    def _describe(self, item: WorkItem, client: RKVStore, kind: CallKind) -> Steps[None]:
        """Describe one instance if that was not done yet, or its status is old. The look continues if this fails."""
        is_old = (
            self.status_forbids_backup(item)
            and item.facts_at
            and utc_now(self._clock) - item.facts_at > _STATUS_READ_EVERY
        )
        if item.is_undescribed or (item.facts is not None and not is_old):
            return
        try:
            answer = yield Call(kind, lambda: client.describe_one(item.instance.instance_id), attempts=2)
        except ApiError as error:
            if error.is_not_found:
                raise
            item.is_undescribed = error.kind is ErrorKind.PERMANENT
            if item.is_undescribed and not item.known.current:
                self._journal.warn("the instance could not be described", item, error.problem)
            return
        item.facts, item.facts_at = answer.value, answer.sent_at

    def _list_jobs(
        self, item: WorkItem, client: RKVStore, kind: CallKind, since: datetime, *, needs_sets: bool
    ) -> Steps[tuple[datetime, list[Job] | None]]:
        """Return when the first call was sent, and the jobs; None if no task runs and sets are not needed."""
        instance_id = item.instance.instance_id
        answer = yield Call(kind, lambda: client.backup_tasks(instance_id))
        moment, tasks = answer.sent_at, answer.value
        if not needs_sets and not tasks:
            return moment, None
        # From the oldest task's start: the sets show the end of a task that has ended but is still listed.
        since = min([since, *(task.start for task in tasks if task.start)])
        try:
            answer = yield Call(CallKind.SECOND_CALL, lambda: client.backup_sets(instance_id, since))
        except ApiError as error:
            if not any(task.start and task.start >= item.request.earliest_start for task in tasks):
                raise
            self._journal.warn("the status of a running backup could not be read", item, error.problem)
            return moment, tasks
        running = running_tasks(tasks, answer.value, item.facts or _UNKNOWN_INSTANCE, utc_now(self._clock))
        return moment, [*running, *answer.value]

    def _without_unchanged_tasks(self, item: WorkItem, jobs: list[Job], earliest_start: datetime) -> list[Job]:
        """Remove older tasks whose status and progress do not change: a task can stay listed after its end."""
        tasks = [job for job in jobs if job.status is JobStatus.RUNNING and not job.end and not job.cluster_backup_id]
        older = [job for job in tasks if job.start is None or job.start < earliest_start]
        if not older or any(set(attempt.job_ids) & {job.job_id for job in older} for attempt in item.known.attempts):
            item.known = replace(item.known, unchanged=None)
            return jobs
        progress = ".".join(f"{job.job_id}-{job.phase}-{job.progress}" for job in older)
        fingerprint = hashlib.sha256(progress.encode()).hexdigest()[:16]
        unchanged = item.known.unchanged
        if unchanged is None or unchanged.fingerprint != fingerprint:
            item.known = replace(item.known, unchanged=UnchangedTask(fingerprint, utc_now(self._clock)))
        elif utc_now(self._clock) - unchanged.since >= WATCH_LENGTH:
            return [job for job in jobs if job not in older]
        return jobs

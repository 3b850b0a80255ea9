"""Make a plain list of backups of the jobs that the API lists and of what is known. All special cases are here.

A job is one node's part of a backup. A classic cluster from before 2023-12-05 has one job with its own ID for each
shard; a later one has a single ID; a cloud-native cluster's list has no job IDs. A list can be up to a minute late.
https://www.alibabacloud.com/help/en/redis/developer-reference/api-r-kvstore-2015-01-01-createbackup-redis

A backup that this request did not start, but that satisfies it, is *adopted*: it is noted as an attempt, and followed
as if the request had started it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from redis_backup.alibaba.parsing import Instance, Job, JobStatus
from redis_backup.proof.backup import Verdict
from redis_backup.reconcile.grouping import MIN_TIME, group_jobs, is_node_of_cluster, match_attempts
from redis_backup.reconcile.known import VANISHED_AFTER, Attempt, KnownJobs

# A job with a known ID belongs to the request even if R-KVStore's clock is this much behind the trigger's.
CLOCK_SKEW = timedelta(seconds=5)
MORE_SHARDS_MAY_COME = timedelta(minutes=2)  # an ended backup is listed up to a minute after its end


@dataclass(frozen=True)
class Backup:
    """One backup of an instance. Times are R-KVStore's, None if no list has them; `size` is in bytes.

    `is_complete`: all its jobs are listed; `is_own`: it was certainly started for this request; `is_manual`: it is not
    one of the automatic policy; `has_vanished`: it counts as failed because no list shows it any more; `verdict`: what
    is known of its files, if the request asks for that.
    """

    status: JobStatus
    job_ids: tuple[str, ...] = ()
    cluster_backup_id: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_complete: bool = True
    is_own: bool = False
    is_manual: bool = True
    has_vanished: bool = False
    progress: int | None = None
    size: int | None = None
    verdict: Verdict | None = None

    @property
    def is_good(self) -> bool:
        """Return whether R-KVStore says that it has ended well, with all its parts."""
        return self.status is JobStatus.SUCCEEDED and self.is_complete

    @property
    def is_under_way(self) -> bool:
        """Return whether it runs, or a part of it that is not listed may run."""
        return self.status is JobStatus.RUNNING or not self.is_complete

    def began_since(self, moment: datetime) -> bool:
        """Return whether it started at that time or later, by R-KVStore's clock."""
        if self.is_own:
            return self.started_at is None or self.started_at >= moment - CLOCK_SKEW
        return self.started_at is not None and self.started_at >= moment


def resolve(
    jobs: Iterable[Job], known: KnownJobs, instance: Instance, since: datetime, earliest_start: datetime, now: datetime
) -> tuple[tuple[Backup, ...], KnownJobs]:
    """Return all backups that are listed or known, the earliest first, and what is known from now on.

    `since`: failed backups that started before are not the request's; `earliest_start`: backups that started before do
    not satisfy it. Both are by R-KVStore's clock. `now` is by this invocation's; the seconds between them do not matter
    here.
    """
    jobs_of_backups = group_jobs(jobs, instance, known)
    owners = match_attempts(jobs_of_backups, known, instance, since)
    attempts: list[Attempt] = []
    backups: list[Backup] = []
    for attempt in known.attempts:
        own_groups = [
            backup_jobs for backup_jobs, owner in zip(jobs_of_backups, owners, strict=True) if owner is attempt
        ]
        found, updated = _known_backups(attempt, own_groups, instance, now)
        if updated and not any(backup.is_own and not backup.began_since(earliest_start) for backup in found):
            attempts.append(updated)  # an older backup is not this request's, although its `jobs` name it
        backups += found
    for backup_jobs in [
        backup_jobs for backup_jobs, owner in zip(jobs_of_backups, owners, strict=True) if owner is None
    ]:
        backup = _backup(backup_jobs, instance, now)
        backups.append(backup)
        is_relevant = (backup.is_under_way and backup.began_since(earliest_start)) or is_failed_attempt(backup, since)
        if is_relevant and (backup.job_ids or backup.cluster_backup_id):
            ended = None if backup.is_under_way else backup.status
            # If each shard has its own ID, the next look may show other shards than this one.
            has_single_id = instance.is_cloud_native or instance.has_job_per_shard is False
            began = None if ended or has_single_id else backup.started_at
            partial_since = None if backup.is_complete else now
            ids = (backup.job_ids, backup.cluster_backup_id)
            attempts.append(Attempt(*ids, began, is_adopted=True, ended=ended, partial_since=partial_since))
    attempts.sort(key=lambda attempt: attempt.ended is None)  # a running one comes last
    backups.sort(key=lambda backup: backup.started_at or MIN_TIME)
    return tuple(backups), replace(known, attempts=tuple(attempts))


def judge(backup: Backup, verdict: Verdict) -> Backup:
    """Judge a backup that has ended well by its files: not read yet counts as running, corrupt as failed."""
    status = JobStatus.SUCCEEDED if verdict.verified else JobStatus.FAILED if verdict.corrupt else JobStatus.RUNNING
    return replace(backup, status=status, verdict=verdict)


def is_failed_attempt(backup: Backup, since: datetime) -> bool:
    """Return whether it counts as a failed attempt of the request."""
    failed = backup.status is JobStatus.FAILED and not backup.is_under_way
    return failed and backup.is_manual and backup.began_since(since)


def _known_backups(
    attempt: Attempt, jobs_of_backups: Sequence[Sequence[Job]], instance: Instance, now: datetime
) -> tuple[list[Backup], Attempt | None]:
    """Return the listed backups of a known attempt, or one made of what is known, and the attempt as known now."""
    listed = {job.job_id for backup_jobs in jobs_of_backups for job in backup_jobs}
    is_whole = bool(jobs_of_backups) and (instance.is_cloud_native or set(attempt.job_ids) <= listed)
    is_missing = attempt.ended is None and not is_whole
    attempt = replace(attempt, missing_since=(attempt.missing_since or now) if is_missing else None)
    has_vanished = attempt.has_vanished(now)
    if has_vanished:
        attempt = replace(attempt, ended=JobStatus.FAILED, missing_since=None)
    if not jobs_of_backups:
        return _without_entry(attempt, has_vanished), attempt
    is_partial = attempt.ended is None and not is_missing and _is_partial(jobs_of_backups[-1], instance, attempt)
    attempt = replace(attempt, partial_since=(attempt.partial_since or now) if is_partial else None)
    backups = [_backup(backup_jobs, instance, now, attempt) for backup_jobs in jobs_of_backups]
    last = backups[-1]
    if is_missing and len(jobs_of_backups) == 1:  # one of its shards is in no list
        status, job_ids = JobStatus.FAILED if has_vanished else last.status, (*attempt.job_ids, *last.job_ids)
        last = replace(last, status=status, is_complete=has_vanished, has_vanished=has_vanished)
        last = replace(last, job_ids=tuple(dict.fromkeys(job_ids)))
        backups = [last]
    if last.status is JobStatus.FAILED and not last.is_manual:
        return backups, None  # an automatic one that was adopted
    job_ids = tuple(dict.fromkeys((*attempt.job_ids, *last.job_ids)))
    ended = None if attempt.missing_since or any(backup.is_under_way for backup in backups) else last.status
    attempt = replace(attempt, job_ids=job_ids, cluster_backup_id=last.cluster_backup_id, ended=ended)
    return backups, replace(attempt, partial_since=None) if ended else attempt


def _without_entry(attempt: Attempt, has_vanished: bool) -> list[Backup]:
    """Return the backup of an attempt that has ended and is in no list (any more)."""
    if attempt.ended is None:
        return []
    ids, started = attempt.job_ids, attempt.started_at
    return [
        Backup(
            attempt.ended,
            ids,
            attempt.cluster_backup_id,
            started,
            is_own=not attempt.is_adopted or started is None,
            has_vanished=has_vanished,
        )
    ]


def _backup(backup_jobs: Sequence[Job], instance: Instance, now: datetime, attempt: Attempt | None = None) -> Backup:
    """Combine the jobs of one backup."""
    statuses = {job.status for job in backup_jobs}
    order = (JobStatus.RUNNING, JobStatus.FAILED, JobStatus.SUCCEEDED)
    status = next(each for each in order if each in statuses)
    starts = [job.start for job in backup_jobs if job.start]
    ended_at = None if status is JobStatus.RUNNING else max((job.end or MIN_TIME for job in backup_jobs), default=None)
    ended_at = None if ended_at == MIN_TIME else ended_at
    is_complete = _is_complete(backup_jobs, instance, now, ended_at, attempt)
    if is_complete is None:  # a shard has been in no list for too long
        status, is_complete = JobStatus.FAILED, True
    ids = dict.fromkeys(job.job_id for job in backup_jobs if job.job_id)
    known_ids = attempt.job_ids if attempt else ()
    sizes = [job.size for job in backup_jobs if job.size is not None]
    progress = [job.progress for job in backup_jobs if job.progress is not None]
    return Backup(
        status,
        tuple(dict.fromkeys((*(job_id for job_id in known_ids if job_id in ids or not ids), *ids))),
        next((job.cluster_backup_id for job in backup_jobs if job.cluster_backup_id), ""),
        min(starts, default=None),
        ended_at,
        is_complete,
        is_own=attempt is not None and not attempt.is_adopted,
        is_manual=all(job.is_manual for job in backup_jobs),
        progress=min(progress, default=None),
        size=sum(sizes) if sizes else None,
    )


def _is_complete(
    backup_jobs: Sequence[Job], instance: Instance, now: datetime, ended_at: datetime | None, attempt: Attempt | None
) -> bool | None:
    """Return whether all jobs of a backup are listed; None if one has been in no list for too long."""
    if ended_at is None or not _is_partial(backup_jobs, instance, attempt):
        return True
    if attempt and attempt.ended:
        return None if attempt.ended is JobStatus.FAILED else True
    has_job_per_shard = _has_job_per_shard(instance, attempt)
    if attempt is None:  # only its end is known
        waited, limit = now - ended_at, VANISHED_AFTER
    else:
        waited = now - (attempt.partial_since or now)
        limit = VANISHED_AFTER if has_job_per_shard else MORE_SHARDS_MAY_COME
    if waited < limit:
        return False
    return None if has_job_per_shard else True  # a job was lost; or the list of a single ID has no entry for each shard


def _has_job_per_shard(instance: Instance, attempt: Attempt | None) -> bool:
    """Return whether a backup has one job for each shard, and CreateBackup's answer did not show their number."""
    return bool(instance.has_job_per_shard) and not (attempt and attempt.answered_ids)


def _is_partial(backup_jobs: Sequence[Job], instance: Instance, attempt: Attempt | None) -> bool:
    """Return whether some of a backup's shards are in no list, and none is listed as running.

    CreateBackup's answer names all jobs. If it is not known, the cluster's number of shards is compared.
    """
    ids, nodes = {job.job_id for job in backup_jobs}, {job.node for job in backup_jobs}
    if instance.is_cloud_native or any(job.status is JobStatus.RUNNING for job in backup_jobs):
        return False
    if attempt and 1 < attempt.answered_ids <= len(ids):
        return False
    if _has_job_per_shard(instance, attempt):
        return len(ids) < instance.shards
    if instance.has_job_per_shard is None and not (attempt and attempt.answered_ids):
        return len(ids) < instance.shards and len(nodes) < instance.shards
    # A single ID: if the list has an entry for each shard, others may come later.
    return instance.is_cluster and len(nodes) < instance.shards and any(is_node_of_cluster(job) for job in backup_jobs)

"""Find out which listed jobs belong to the same backup, and which known attempt that is.

An instance has one backup at a time. The shards of a cluster have jobs with their own IDs, or share one ID, or are
listed without IDs. Lists can be late, so that a part of a backup is in no list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from redis_backup.alibaba.parsing import Instance, Job, JobStatus
from redis_backup.reconcile.known import VANISHED_AFTER, Attempt, KnownJobs
from redis_backup.reconcile.watch import SHORTEST_BACKUP
from redis_backup.timestamps import UTC

START_SPREAD = timedelta(seconds=60)  # the shards of one backup start within that time
MIN_TIME, _MAX_TIME = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def running_tasks(tasks: Iterable[Job], sets: Sequence[Job], instance: Instance, now: datetime) -> list[Job]:
    """Return the tasks whose end no set shows. (DescribeBackupTasks may still list a job that has ended.)"""

    def ended(task: Job) -> bool:
        entries = [entry for entry in sets if entry.job_id == task.job_id]
        if any(entry.node == task.node or not is_node_of_cluster(entry) for entry in entries):
            return True
        # With a single job ID, nodes distinguish the shards. A task without a shard stands for all of them; if it stays
        # listed, it counts as running for ten minutes.
        shards = {entry.node for entry in entries}
        if not shards or is_node_of_cluster(task):
            return False
        return len(shards) >= instance.shards or now - max(entry.end or MIN_TIME for entry in entries) >= VANISHED_AFTER

    return [task for task in tasks if not ended(task)]


def match_attempts(
    jobs_of_backups: Sequence[Sequence[Job]], known: KnownJobs, instance: Instance, since: datetime
) -> list[Attempt | None]:
    """Return the known attempt of each backup, None if it is not a known one."""
    owners: list[Attempt | None] = [None] * len(jobs_of_backups)
    for attempt in known.attempts:
        free = [number for number, owner in enumerate(owners) if owner is None]
        if instance.is_cloud_native:
            matching = _match_cloud_native([(number, jobs_of_backups[number][0]) for number in free], attempt, since)
        else:
            matching = [
                number for number in free if {job.job_id for job in jobs_of_backups[number]} & set(attempt.job_ids)
            ]
            if not matching and attempt.is_adopted:
                matching = [
                    number for number in free if _may_be_same_backup(attempt, jobs_of_backups[number], instance)
                ]
        for number in matching:
            owners[number] = attempt
    return owners


def _may_be_same_backup(attempt: Attempt, backup_jobs: Sequence[Job], instance: Instance) -> bool:
    """Return whether this can be an adopted backup of which only jobs of other shards were seen."""
    start = backup_jobs[0].start
    if attempt.ended or start is None or attempt.started_at is None or len(backup_jobs) >= instance.shards:
        return False
    return -SHORTEST_BACKUP < start - attempt.started_at <= START_SPREAD


def _match_cloud_native(jobs: Sequence[tuple[int, Job]], attempt: Attempt, since: datetime) -> list[int]:
    """Return the numbers of the jobs that can be the attempt's, by its ClusterBackupId or its start time."""
    if attempt.cluster_backup_id:
        return [number for number, job in jobs if job.cluster_backup_id == attempt.cluster_backup_id]
    began = (attempt.started_at or since).replace(microsecond=0)
    last = began + START_SPREAD if attempt.started_at else _MAX_TIME  # a later one belongs to others
    matching = [number for number, job in jobs if job.is_manual and began <= (job.start or MIN_TIME) <= last]
    return matching[:1] if attempt.started_at else matching[-1:]


def group_jobs(jobs: Iterable[Job], instance: Instance, known: KnownJobs) -> list[list[Job]]:
    """Group the jobs by backup, the earliest backup first.

    An instance has one backup at a time. So jobs that started together and overlap belong to the same backup, if they
    can be of different nodes: the nodes are named, or the instance is a cluster, or one CreateBackup answered both IDs.
    """
    jobs_of_backups: list[list[Job]] = []
    for job in sorted(jobs, key=lambda job: (job.start or MIN_TIME, len(job.job_id), job.job_id, job.node)):
        latest_first = reversed(jobs_of_backups)
        backup_jobs = next((each for each in latest_first if _belongs(job, each, instance, known)), None)
        if backup_jobs is None:
            jobs_of_backups.append([job])
        else:
            backup_jobs.append(job)
    return jobs_of_backups


def _belongs(job: Job, backup_jobs: Sequence[Job], instance: Instance, known: KnownJobs) -> bool:
    ids = {other.job_id for other in backup_jobs}
    if job.job_id and job.job_id in ids:
        return True
    is_answered_together = any(job.job_id in each.job_ids and ids & set(each.job_ids) for each in known.attempts)
    if not is_answered_together and _are_different_backups(job, ids, instance, known):
        return False
    start = min((other.start for other in backup_jobs if other.start), default=None)
    if job.start is None or start is None:
        return is_answered_together
    nodes = [other.node for other in backup_jobs]
    if job.node and job.node in nodes:
        return False
    end = max(_MAX_TIME if other.status is JobStatus.RUNNING else other.end or _MAX_TIME for other in backup_jobs)
    named, later = bool(job.node) and all(nodes), job.start - start
    if job.start == start or job.start < end:
        return is_answered_together or (later <= START_SPREAD and (named or instance.is_cluster))
    # A shard that failed before another began.
    return named and (
        (is_answered_together and later <= START_SPREAD) or (instance.is_cluster and later < SHORTEST_BACKUP)
    )


def _are_different_backups(job: Job, ids: set[str], instance: Instance, known: KnownJobs) -> bool:
    """Return whether jobs with different IDs certainly belong to two backups."""
    if not job.job_id or "" in ids:
        return False
    if instance.is_cluster and instance.has_job_per_shard is False:
        return True
    # CreateBackup has answered all IDs of one backup, and none of the other.
    own_attempts = [each for each in known.attempts if not each.is_adopted]
    answered = [each for each in own_attempts if len(each.job_ids) >= (each.answered_ids or instance.shards)]
    return any((job.job_id in each.job_ids) != bool(ids & set(each.job_ids)) for each in answered)


def is_node_of_cluster(job: Job) -> bool:
    """Return whether the job's node is a shard of a cluster: `"r-1-db-0"` → True."""
    return re.search(r"-db-\d+$", job.node) is not None

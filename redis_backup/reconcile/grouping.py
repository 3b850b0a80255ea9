"""Which of the listed jobs are one backup's, and which known attempt that is.

An instance has one backup at a time. Clusters' shards have jobs with IDs of their own, or share one, or are listed
without any; lists lag behind, so that a part of a backup can be in none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from redis_backup.alibaba.parsing import Instance, Job, JobStatus
from redis_backup.reconcile.known import VANISHED, Attempt, KnownJobs
from redis_backup.reconcile.watch import SHORTEST_BACKUP
from redis_backup.timestamps import UTC

START_SPREAD = timedelta(seconds=60)  # the shards of one backup begin within that time
NEVER, _FOREVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def running_tasks(tasks: Iterable[Job], sets: Sequence[Job], instance: Instance, now: datetime) -> list[Job]:
    """The tasks whose end no set shows. (DescribeBackupTasks may go on listing a job that has ended.)"""

    def ended(task: Job) -> bool:
        entries = [entry for entry in sets if entry.job_id == task.job_id]
        if any(entry.node == task.node or not is_shard(entry) for entry in entries):
            return True
        # Nodes tell the shards of a single job ID apart. A task that names no shard is of all of them; where it stays
        # listed, it is believed for ten minutes.
        shards = {entry.node for entry in entries}
        if not shards or is_shard(task):
            return False
        return len(shards) >= instance.shards or now - max(entry.end or NEVER for entry in entries) >= VANISHED

    return [task for task in tasks if not ended(task)]


def match(
    groups: Sequence[Sequence[Job]], known: KnownJobs, instance: Instance, since: datetime
) -> list[Attempt | None]:
    """Which known attempt each backup belongs to."""
    owners: list[Attempt | None] = [None] * len(groups)
    for attempt in known.attempts:
        free = [number for number, owner in enumerate(owners) if owner is None]
        if instance.is_cloud_native:
            mine = _match_cloud_native([(number, groups[number][0]) for number in free], attempt, since)
        else:
            mine = [number for number in free if {job.job_id for job in groups[number]} & set(attempt.job_ids)]
            if not mine and attempt.is_adopted:
                mine = [number for number in free if _began_with(attempt, groups[number], instance)]
        for number in mine:
            owners[number] = attempt
    return owners


def _began_with(attempt: Attempt, group: Sequence[Job], instance: Instance) -> bool:
    """Whether an adopted backup, of which only other shards' jobs have been seen, can be this one."""
    start = group[0].start
    if attempt.ended or start is None or attempt.started_at is None or len(group) >= instance.shards:
        return False
    return -SHORTEST_BACKUP < start - attempt.started_at <= START_SPREAD


def _match_cloud_native(jobs: Sequence[tuple[int, Job]], attempt: Attempt, since: datetime) -> list[int]:
    """A cloud-native cluster's list has no job IDs: an attempt is known by its ClusterBackupId, or by when it began."""
    if attempt.cluster_backup_id:
        return [number for number, job in jobs if job.cluster_backup_id == attempt.cluster_backup_id]
    began = (attempt.started_at or since).replace(microsecond=0)
    last = began + START_SPREAD if attempt.started_at else _FOREVER  # a later one is another's
    mine = [number for number, job in jobs if job.is_manual and began <= (job.start or NEVER) <= last]
    return mine[:1] if attempt.started_at else mine[-1:]


def group_jobs(jobs: Iterable[Job], instance: Instance, known: KnownJobs) -> list[list[Job]]:
    """Put the jobs of one backup together, the earliest backup first.

    An instance has one backup at a time, so jobs that began together and overlap are of the same one, if they can be of
    different nodes: they are named, or the instance is a cluster, or one CreateBackup answered both IDs.
    """
    groups: list[list[Job]] = []
    for job in sorted(jobs, key=lambda job: (job.start or NEVER, len(job.job_id), job.job_id, job.node)):
        latest_first = reversed(groups)
        group = next((each for each in latest_first if _belongs(job, each, instance, known)), None)
        if group is None:
            groups.append([job])
        else:
            group.append(job)
    return groups


def _belongs(job: Job, group: Sequence[Job], instance: Instance, known: KnownJobs) -> bool:
    ids = {other.job_id for other in group}
    if job.job_id and job.job_id in ids:
        return True
    together = any(job.job_id in each.job_ids and ids & set(each.job_ids) for each in known.attempts)
    if not together and _is_apart(job, ids, instance, known):
        return False
    start = min((other.start for other in group if other.start), default=None)
    if job.start is None or start is None:
        return together
    nodes = [other.node for other in group]
    if job.node and job.node in nodes:
        return False
    end = max(_FOREVER if other.status is JobStatus.RUNNING else other.end or _FOREVER for other in group)
    named, later = bool(job.node) and all(nodes), job.start - start
    if job.start == start or job.start < end:
        return together or (later <= START_SPREAD and (named or instance.is_cluster))
    # A shard that failed before another began.
    return named and ((together and later <= START_SPREAD) or (instance.is_cluster and later < SHORTEST_BACKUP))


def _is_apart(job: Job, ids: set[str], instance: Instance, known: KnownJobs) -> bool:
    """Whether jobs with different IDs are certainly of two backups."""
    if not job.job_id or "" in ids:
        return False
    if instance.is_cluster and instance.has_job_per_shard is False:
        return True
    # CreateBackup has answered all IDs of one of them, and none of the other's.
    own = [each for each in known.attempts if not each.is_adopted]
    answered = [each for each in own if len(each.job_ids) >= (each.answered_ids or instance.shards)]
    return any((job.job_id in each.job_ids) != bool(ids & set(each.job_ids)) for each in answered)


def is_shard(job: Job) -> bool:
    return re.search(r"-db-\d+$", job.node) is not None

"""From the jobs that the API lists to backups, and from those to what is to be done: the contract's table, pure.

A job is one node's part of a backup. A classic cluster made before 2023-12-05 has a job for each shard, with IDs of
their own; later ones share a single ID; cloud-native clusters list backups without any.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from redis_backup.states import ErrorKind, Outcome, Problem, State
from redis_backup.timestamps import UTC

# A job known by its ID is this request's own even where R-KVStore's clock is that much behind the trigger's.
CLOCK_SKEW = timedelta(seconds=5)
# A set is listed up to a minute after its task ended, and the shards of a cluster end one after the other.
LISTED_BY_THEN = timedelta(minutes=5)
MARK = "cluster-backup:"  # stands before a ClusterBackupId where a job ID is not to be had
_FOREVER = datetime.max.replace(tzinfo=UTC)


class JobStatus(str, Enum):
    """How far a job is, as far as listings show it."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Architecture:
    """What of an instance's architecture matters here. Cloud-native clusters list their backups elsewhere."""

    is_cloud_native: bool = False
    shards: int = 1


@dataclass(frozen=True)
class Job:
    """One job as listed. `start` and `end` in whole seconds, None where the listing does not say; `size` in bytes."""

    status: JobStatus
    start: datetime | None
    end: datetime | None = None
    job_id: str = ""
    cluster_backup_id: str = ""
    node: str = ""
    is_manual: bool = True
    progress: int | None = None
    size: int | None = None


@dataclass(frozen=True)
class Known:
    """Job IDs known to be this request's, since it started or saw them; `since`: when at the earliest they began."""

    ids: tuple[str, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True)
class Backup:
    """The jobs of one backup of an instance."""

    jobs: tuple[Job, ...]

    @property
    def start(self) -> datetime:
        """When its first job began."""
        return min((job.start for job in self.jobs if job.start), default=datetime.min.replace(tzinfo=UTC))

    @property
    def end(self) -> datetime:
        """When its last job ended, far away while one runs."""
        return max(_FOREVER if job.status is JobStatus.RUNNING else job.end or _FOREVER for job in self.jobs)

    @property
    def ids(self) -> tuple[str, ...]:
        """Its job IDs, in order."""
        return tuple(dict.fromkeys(job.job_id for job in self.jobs if job.job_id))

    @property
    def status(self) -> JobStatus:
        """It has succeeded only when every job has."""
        statuses = {job.status for job in self.jobs}
        for status in (JobStatus.RUNNING, JobStatus.FAILED):
            if status in statuses:
                return status
        return JobStatus.SUCCEEDED


@dataclass(frozen=True)
class Start:
    """Nothing satisfies the request: a backup is to be started, after so many of its own (`failed_ids`) that failed."""

    after: int
    failed_ids: tuple[str, ...] = ()


def running_tasks(tasks: Iterable[Job], sets: Sequence[Job]) -> list[Job]:
    """The tasks whose end no set shows. (DescribeBackupTasks may go on listing a job that has ended.)"""

    def ended(task: Job) -> bool:
        # Nodes tell the shards of a single job ID apart, where the tasks' listing names nodes as the sets' does.
        named = re.search(r"-db-\d+$", task.node)
        return any(entry.job_id == task.job_id and (not named or entry.node == task.node) for entry in sets)

    return [task for task in tasks if not ended(task)]


def group(jobs: Iterable[Job], known: Sequence[str] = ()) -> list[Backup]:
    """Put the jobs of one backup together, the earliest backup first.

    An instance has one backup at a time, so jobs that overlap in time are of the same one, each of another node. Where
    no nodes are listed, IDs that one CreateBackup answered (`known`) still are.
    """
    backups: list[Backup] = []
    for job in sorted(jobs, key=lambda job: (job.start or datetime.min.replace(tzinfo=UTC), job.node, job.job_id)):
        for index, backup in enumerate(backups):
            same_id = bool(job.job_id) and job.job_id in backup.ids
            overlaps = job.start is not None and (job.start == backup.start or job.start < backup.end)
            other_node = bool(job.node) and all(job.node != other.node for other in backup.jobs)
            together = job.job_id in known and any(other in known for other in backup.ids)
            if same_id or (overlaps and (other_node or together)):
                backups[index] = Backup((*backup.jobs, job))
                break
        else:
            backups.append(Backup((job,)))
    return backups


def judge(
    backups: Sequence[Backup],
    known: Known,
    *,
    architecture: Architecture,
    now: datetime,
    begun_since: datetime,
    since: datetime,
    max_attempts: int,
) -> Outcome | Start:
    """What the listed backups mean for a request.

    `begun_since`: the earliest begin that satisfies it; `since`: failed backups that began before were not its own.
    """
    since = since.replace(microsecond=0)  # as the listings are
    own = [backup for backup in backups if set(backup.ids) & set(known.ids)]
    listed = {job_id for backup in backups for job_id in backup.ids}
    if architecture.is_cloud_native:  # no IDs to go by: what began since the known one was started is taken for it
        earliest = (known.since or begun_since).replace(microsecond=0)
        own = [backup for backup in backups if known.ids and backup.start >= earliest and backup.jobs[0].is_manual]
        listed = set(real_ids(known.ids)) if own else set()
        listed |= {MARK + job.cluster_backup_id for backup in backups for job in backup.jobs}
    missing = [job_id for job_id in known.ids if job_id not in listed]

    def status_of(backup: Backup) -> JobStatus:
        # Where none of its IDs is known, shards may be missing: ended, but not listed yet.
        few = 0 < len({job.node for job in backup.jobs if job.node}) < architecture.shards
        lost = few and backup not in own and timedelta(0) <= now - backup.end < LISTED_BY_THEN
        return JobStatus.RUNNING if lost else backup.status

    def satisfies(backup: Backup) -> bool:
        return backup.start >= begun_since - (CLOCK_SKEW if backup in own else timedelta(0))

    failed = [
        backup
        for backup in backups
        if status_of(backup) is JobStatus.FAILED
        and (backup in own or (backup.start >= since and all(job.is_manual for job in backup.jobs)))
    ]
    attempts, failed_ids = len(failed), tuple(job_id for backup in failed for job_id in backup.ids)
    for status, state in ((JobStatus.SUCCEEDED, State.SUCCEEDED), (JobStatus.RUNNING, State.RUNNING)):
        for backup in backups:
            if status_of(backup) is status and satisfies(backup):
                if backup in own and missing:
                    continue  # its other jobs have not been listed yet
                return _outcome(state, backup, known, backup in own, attempts, since)
    if missing:
        ids = tuple(job_id for job_id in known.ids if job_id not in failed_ids)
        return Outcome(State.RUNNING, real_ids(ids), attempts=attempts + 1)
    if len(failed) >= max_attempts:
        problem = Problem(
            "BackupJobFailed",
            f"{len(failed)} of at most {max_attempts} backups of this request failed",
            ErrorKind.PERMANENT,
            hint="look at the backup jobs in the instance's console; then ask again with a new `since`",
        )
        return Outcome(State.FAILED, failed_ids or real_ids(known.ids), attempts=attempts, error=problem)
    return Start(attempts, failed_ids)


def _outcome(state: State, backup: Backup, known: Known, is_own: bool, attempts: int, since: datetime) -> Outcome:
    ids = backup.ids
    if is_own and (not ids or set(ids) <= set(known.ids)):  # in CreateBackup's order
        ids = tuple(job_id for job_id in real_ids(known.ids) if job_id in ids or not ids)
    progress = [job.progress for job in backup.jobs if job.progress is not None]
    sizes = [job.size for job in backup.jobs if job.size is not None]
    done = state is State.SUCCEEDED
    return Outcome(
        state,
        ids,
        adopted=not is_own,
        attempts=attempts + (1 if is_own or backup.start >= since else 0),
        progress=min(progress) if progress and not done else None,
        backup_size=sum(sizes) if sizes and done else None,
        duration_seconds=int((backup.end - backup.start).total_seconds()) if done and backup.end != _FOREVER else None,
    )


def real_ids(ids: Iterable[str]) -> tuple[str, ...]:
    """Without the marks that stand for an adopted cloud-native backup, which has no job ID."""
    return tuple(job_id for job_id in ids if not job_id.startswith(MARK))

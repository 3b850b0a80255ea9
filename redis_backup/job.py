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
from redis_backup.timestamps import UTC, from_epoch

# A job known by its ID is this request's own even where R-KVStore's clock is that much behind the trigger's.
CLOCK_SKEW = timedelta(seconds=5)
START_SPREAD = timedelta(seconds=60)  # the shards of one backup begin within that time
# A set is listed up to a minute after its task ended, and the shards of a cluster end one after the other. How long to
# wait for more of them: where there must be more, and where there may be.
SHARDS_MUST_COME, SHARDS_MAY_COME = timedelta(hours=1), timedelta(minutes=2)
# What goes along with job IDs in `jobs` where those are not enough (a cloud-native cluster's listing has none): a
# ClusterBackupId, and when the job with the known ID began.
MARK, BEGUN = "cluster-backup:", "begun:"
_NEVER, _FOREVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class JobStatus(str, Enum):
    """How far a job is, as far as listings show it."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Architecture:
    """What of an instance's architecture matters here. Cloud-native clusters list their backups elsewhere.

    `has_job_per_shard`: whether a backup has a job ID for each of the `shards`, None where that is not known.
    """

    is_cluster: bool = False
    is_cloud_native: bool = False
    shards: int = 1
    has_job_per_shard: bool | None = False


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

    @property
    def token(self) -> str:
        """What it can be known by: its job ID, or a mark where it has none."""
        return self.job_id or MARK + self.cluster_backup_id


@dataclass(frozen=True)
class Known:
    """Job IDs known to be this request's, since it started or saw them; `since`: when at the earliest they began."""

    ids: tuple[str, ...] = ()
    since: datetime | None = None

    @classmethod
    def of(cls, jobs: Iterable[str]) -> Known:
        """Read what a request's `jobs` say of an instance."""
        ids = tuple(job_id for job_id in jobs if not job_id.startswith(BEGUN))
        begun = [job_id.removeprefix(BEGUN) for job_id in jobs if job_id.startswith(BEGUN)]
        return cls(ids, from_epoch(int(begun[-1])) if begun and begun[-1].isdecimal() and len(begun[-1]) < 12 else None)

    @property
    def jobs(self) -> list[str]:
        """The same for the request that follows."""
        return [*self.ids, *([f"{BEGUN}{int(self.since.timestamp())}"] if self.since else [])]


@dataclass(frozen=True)
class Backup:
    """The jobs of one backup of an instance."""

    jobs: tuple[Job, ...]

    @property
    def start(self) -> datetime | None:
        """When its first job began; None where no listing says."""
        return min((job.start for job in self.jobs if job.start), default=None)

    @property
    def end(self) -> datetime:
        """When its last job ended, far away while one runs."""
        return max(_FOREVER if job.status is JobStatus.RUNNING else job.end or _FOREVER for job in self.jobs)

    @property
    def ids(self) -> tuple[str, ...]:
        """Its job IDs, in order."""
        return tuple(dict.fromkeys(job.job_id for job in self.jobs if job.job_id))

    @property
    def is_manual(self) -> bool:
        """Not one of the automatic policy's."""
        return all(job.is_manual for job in self.jobs)

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
        # Nodes tell the shards of a single job ID apart, where both listings name them alike.
        return any(
            entry.job_id == task.job_id and (entry.node == task.node or not (_is_shard(entry) and _is_shard(task)))
            for entry in sets
        )

    return [task for task in tasks if not ended(task)]


def _is_shard(job: Job) -> bool:
    return re.search(r"-db-\d+$", job.node) is not None


def group(jobs: Iterable[Job], architecture: Architecture, known: Sequence[str] = ()) -> list[Backup]:
    """Put the jobs of one backup together, the earliest backup first.

    An instance has one backup at a time, so jobs that began together and overlap are of the same one, if they can be of
    different nodes: they are named, or the instance is a cluster, or one CreateBackup answered both IDs (`known`).
    """
    backups: list[Backup] = []
    for job in sorted(jobs, key=lambda job: (job.start or _NEVER, len(job.job_id), job.job_id, job.node)):
        latest_first = reversed(range(len(backups)))
        index = next((i for i in latest_first if _belongs(job, backups[i], architecture, known)), None)
        if index is None:
            backups.append(Backup((job,)))
        else:
            backups[index] = Backup((*backups[index].jobs, job))
    return backups


def _belongs(job: Job, backup: Backup, architecture: Architecture, known: Sequence[str]) -> bool:
    if job.job_id and job.job_id in backup.ids:
        return True
    together = job.job_id in known and any(other in known for other in backup.ids)
    if job.start is None or backup.start is None:
        return together
    nodes = [other.node for other in backup.jobs]
    if job.node and job.node in nodes:
        return False
    named = bool(job.node) and all(nodes)
    soon = job.start - backup.start <= START_SPREAD
    overlaps = job.start == backup.start or job.start < backup.end
    if overlaps:
        return together or (soon and (named or architecture.is_cluster))
    return soon and named and (together or architecture.is_cluster)  # a shard that failed before another began


def judge(
    backups: Sequence[Backup],
    known: Known,
    *,
    architecture: Architecture,
    now: datetime,
    begun_since: datetime,
    since: datetime,
    max_attempts: int,
    suspects: frozenset[str] = frozenset(),
) -> Outcome | Start:
    """What the listed backups mean for a request.

    `begun_since`: the earliest begin that satisfies it; `since`: failed backups that began before were not its own.
    `suspects`: tokens of jobs that came up after a CreateBackup whose answer was lost.
    """
    since = since.replace(microsecond=0)  # as the listings are
    listed = {job.token for backup in backups for job in backup.jobs}
    if architecture.is_cloud_native:  # no IDs to go by: manual ones that began since are taken for the known
        ids, earliest = real_ids(known.ids), since - CLOCK_SKEW
        own = [
            backup
            for backup in backups
            if {job.token for job in backup.jobs} & set(known.ids)
            or (ids and backup.is_manual and (backup.start or _NEVER) >= earliest)
        ]
        if known.since:  # when the last of them began
            are_listed = any(backup.end > known.since for backup in own)
        elif len(ids) < len(known.ids):  # adopted: the mark tells
            are_listed = bool(listed & set(known.ids))
        else:
            are_listed = len(own) * (architecture.shards if architecture.has_job_per_shard else 1) >= len(ids)
        listed |= set(ids) if are_listed else set()
    else:
        own = [backup for backup in backups if set(backup.ids) & set(known.ids)]
    missing = [token for token in known.ids if token not in listed]
    likely = [*own, *(each for each in backups if each.is_manual and {job.token for job in each.jobs} & suspects)]

    def status_of(backup: Backup) -> JobStatus:
        # Where CreateBackup's answer is not known, shards may be missing: ended, but not listed yet.
        patience = SHARDS_MUST_COME if architecture.has_job_per_shard else SHARDS_MAY_COME
        few = (
            backup not in own
            and architecture.has_job_per_shard is not False
            and 0 < len(backup.ids) < architecture.shards
        )
        return JobStatus.RUNNING if few and now - backup.end < patience else backup.status

    def began(backup: Backup, moment: datetime) -> bool:
        if backup in likely:
            return backup.start is None or backup.start >= moment - CLOCK_SKEW
        return backup.start is not None and backup.start >= moment

    failed = [
        backup
        for backup in backups
        if status_of(backup) is JobStatus.FAILED and backup.is_manual and began(backup, since)
    ]
    attempts, failed_ids = len(failed), tuple(job_id for backup in failed for job_id in backup.ids)
    for backup in backups:
        in_part = backup in own and missing and not architecture.is_cloud_native
        if status_of(backup) is JobStatus.SUCCEEDED and began(backup, begun_since) and not in_part:
            return _outcome(State.SUCCEEDED, backup, known, backup in own, attempts + began(backup, since), failed_ids)
    for backup in backups:
        if status_of(backup) is JobStatus.RUNNING and (backup in own or began(backup, begun_since)) and not missing:
            return _outcome(State.RUNNING, backup, known, backup in own, attempts + began(backup, since), failed_ids)
    if missing:
        ids = tuple(job_id for job_id in known.ids if job_id not in failed_ids)
        return Outcome(State.RUNNING, real_ids(ids), attempts=attempts + 1, failed_ids=failed_ids)
    if attempts >= max_attempts:
        problem = Problem(
            "BackupJobFailed",
            f"{attempts} of at most {max_attempts} backups of this request failed",
            ErrorKind.PERMANENT,
            hint="look at the backup jobs in the instance's console; then ask again with a new `since`",
        )
        return Outcome(State.FAILED, failed_ids or real_ids(known.ids), attempts=attempts, error=problem)
    return Start(attempts, failed_ids)


def _outcome(
    state: State, backup: Backup, known: Known, is_own: bool, attempts: int, failed_ids: tuple[str, ...]
) -> Outcome:
    ids = backup.ids
    if is_own and (not ids or set(ids) <= set(known.ids)):  # in CreateBackup's order
        ids = tuple(job_id for job_id in real_ids(known.ids) if job_id in ids or not ids)
    progress = [job.progress for job in backup.jobs if job.progress is not None]
    sizes = [job.size for job in backup.jobs if job.size is not None]
    done = state is State.SUCCEEDED
    seconds = int((backup.end - (backup.start or backup.end)).total_seconds())
    return Outcome(
        state,
        ids,
        adopted=not is_own,
        attempts=attempts,
        progress=min(progress) if progress and not done else None,
        backup_size=sum(sizes) if sizes and done else None,
        duration_seconds=seconds if done and backup.start and backup.end != _FOREVER else None,
        failed_ids=failed_ids,
    )


def real_ids(ids: Iterable[str]) -> tuple[str, ...]:
    """Without the marks that stand for an adopted cloud-native backup, which has no job ID."""
    return tuple(job_id for job_id in ids if not job_id.startswith(MARK))

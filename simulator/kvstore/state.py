"""The state of R-KVStore: instances and their backups, whose jobs start, run and end as the clock moves."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeVar

from simulator.downloads.files import File, content
from simulator.errors import ApiError
from simulator.kvstore import errors

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.downloads.files import Content
    from simulator.kvstore.fleet import Instance

T = TypeVar("T")
DAILY_LIMIT = 30  # manual backups of an instance a day
RETENTION_DEFAULT = 7  # days
PHASES = ("NoStart", "Preparing", "Uploading", "Checking")


@dataclass(frozen=True)
class Job:
    """One backup job: of one node in a classic cluster, else of the whole instance. Times are the clock's."""

    job_id: int
    node: int
    start: float
    end: float
    succeeded: bool

    def progress(self, now: float) -> int:
        """Return how much is done, in percent."""
        return 100 if now >= self.end else int(100 * max(0.0, now - self.start) / (self.end - self.start))

    def phase(self, now: float) -> str:
        """Return the job's BackupProgressStatus."""
        return PHASES[min(len(PHASES) - 1, self.progress(now) * len(PHASES) // 100)]


@dataclass(frozen=True)
class Backup:
    """One backup of an instance. Times are the clock's."""

    jobs: tuple[Job, ...]
    mode: str  # Manual or Automated
    retention_days: int
    by_api: bool = False  # started by CreateBackup
    listing_lag: float | None = None  # seconds from its end to its entry; None: the service's
    vanishes: bool = False  # it is never listed after its end
    files: tuple[File, ...] = (File(),)  # of its nodes; the last one is for all further nodes

    @property
    def start(self) -> float:
        """Return the time at which its first job starts."""
        return self.jobs[0].start

    @property
    def end(self) -> float:
        """Return the time at which its last job ends."""
        return max(job.end for job in self.jobs)

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Return the IDs of its jobs, as decimal strings."""
        return tuple(str(job.job_id) for job in self.jobs)

    @property
    def succeeded(self) -> bool:
        """Return whether all its jobs succeed."""
        return all(job.succeeded for job in self.jobs)


@dataclass(frozen=True)
class _Planned:
    """A manual backup that starts at a later time, unless R-KVStore refuses it then."""

    at: float
    retention_days: int
    by_api: bool
    duration: float | None = None
    outcome: str | None = None
    listing_lag: float | None = None
    file: File | None = None


class InstanceState:
    """One instance: its status and its backups."""

    def __init__(self, config: Instance, clock: Clock, job_ids: itertools.count[int]) -> None:
        self.config = config
        self._backups: list[Backup] = []
        self._planned: list[_Planned] = []
        self._unlisted: set[int] = set()  # job IDs
        self._clock = clock
        self._job_ids = job_ids
        self._status = config.status
        self._created = clock.time()
        self._manual = 0
        self._lock = threading.RLock()

    @property
    def backups(self) -> list[Backup]:
        """Return all backups that have started, in that order."""
        self._start_planned()
        return self._backups

    @property
    def status(self) -> str:
        """Return the status that DescribeInstances shows."""
        return self._status_at(self._clock.time())

    @status.setter
    def status(self, value: str) -> None:
        self._status = value

    @property
    def denied(self) -> bool:
        """Return whether the role's policy does not allow the instance."""
        until = self.config.denied_until
        return self.config.denied and (until is None or self._clock.time() < self._created + until)

    def create_backup(self, retention_days: int, wrong_state_code: str = "IncorrectDBInstanceState") -> Backup:
        """Start a manual backup. Raise ApiError when the status, a running backup or the daily limit forbids it."""
        self._start_planned()
        with self._lock:
            return self._create(_Planned(self._clock.time(), retention_days, by_api=True), wrong_state_code)

    def create_later(
        self,
        at: float,
        *,
        by_api: bool = False,
        retention_days: int = RETENTION_DEFAULT,
        duration: float | None = None,
        outcome: str | None = None,
        listing_lag: float | None = None,
        file: File | None = None,
    ) -> None:
        """Start a manual backup at that time of the clock, unless it is refused then.

        It stands for one that somebody else starts, or for a call that has its effect late (`by_api`).
        """
        with self._lock:
            self._planned.append(_Planned(at, retention_days, by_api, duration, outcome, listing_lag, file))

    def add_backup(
        self,
        start: float,
        end: float,
        status: str = "success",
        mode: str = "Automated",
        retention_days: int = RETENTION_DEFAULT,
        listing_lag: float | None = None,
        file: File | None = None,
    ) -> Backup:
        """Add a backup, such as an automatic one. Times are the clock's; `end` may be in the future."""
        with self._lock:
            files = (file or File(),)
            return self._add(start, end, status.lower(), mode, retention_days, listing_lag=listing_lag, files=files)

    def nodes(self, backup: Backup) -> list[tuple[Job, int]]:
        """Return the job and the number of each node of which a backup has a file."""
        shards = self.config.shards if self.config.kind == "cloud-native" else 1
        return [(job, job.node or shard) for job in backup.jobs for shard in range(shards)]

    def file(self, backup: Backup, node: int) -> File:
        """Return what was said of a node's file."""
        return _nth(backup.files, node, File())

    def content(self, backup: Backup, job: Job, node: int) -> Content:
        """Return the bytes of a node's file."""
        return content(self.file(backup, node), f"{self.config.id}/{job.job_id}/{node}", int(job.start))

    def delete_sets(self, backup: Backup) -> None:
        """Remove a backup from DescribeBackups, as DeleteBackup does; a task that runs stays in its list."""
        self._unlisted.update(job.job_id for job in backup.jobs)

    def running(self, now: float, since_start: float = 0.0) -> list[tuple[Backup, Job]]:
        """Return the jobs whose tasks are listed: those that run and started at least `since_start` seconds ago."""
        linger = self.config.task_linger
        return [(b, job) for b in self.backups for job in b.jobs if b.start + since_start <= now < job.end + linger]

    def finished(self, now: float, lag: float) -> list[tuple[Backup, Job]]:
        """Return the jobs that ended at least `lag` seconds ago, latest first."""
        found = [(b, job) for b in self.backups for job in b.jobs if now >= self.listed_at(b, job, lag)]
        return sorted(found, key=lambda each: (-each[1].start, each[1].job_id))

    def listed_at(self, backup: Backup, job: Job, lag: float) -> float:
        """Return when the job's end is listed (infinity: never). `lag`: for backups without a lag of their own."""
        if backup.vanishes or job.job_id in self._unlisted:
            return math.inf
        return job.end + (lag if backup.listing_lag is None else backup.listing_lag)

    def is_gone(self, backup: Backup, now: float) -> bool:
        """Return whether DescribeClusterBackupList, which shows running backups, too, shows it no more."""
        return now >= backup.end and self.listed_at(backup, backup.jobs[-1], 0.0) == math.inf

    def _status_at(self, moment: float) -> str:
        after = self.config.normal_after
        return "Normal" if after is not None and moment >= self._created + after else self._status

    def _start_planned(self) -> None:
        """Start the planned backups whose time has come, each as of its own time."""
        if not self._planned:
            return
        with self._lock:
            now = self._clock.time()
            due = sorted((each for each in self._planned if each.at <= now), key=lambda each: each.at)
            self._planned = [each for each in self._planned if each.at > now]
            for each in due:
                with contextlib.suppress(ApiError):
                    self._create(each, "")

    def _create(self, plan: _Planned, wrong_state_code: str) -> Backup:
        now = plan.at
        if self._status_at(now) != "Normal":
            raise errors.wrong_state(wrong_state_code)
        if any(backup.start <= now < backup.end for backup in self._backups):
            raise errors.backup_job_exists()
        if sum(b.mode == "Manual" and _day(b.start) == _day(now) for b in self._backups) >= DAILY_LIMIT:
            raise errors.too_many_backups()
        number, config = self._manual, self.config
        self._manual += plan.by_api
        duration = plan.duration or _nth(config.durations, number, config.duration)
        outcome = plan.outcome or _nth(config.outcomes, number, "success")
        lag = _nth(config.listing_lags, number, None) if plan.listing_lag is None else plan.listing_lag
        file = plan.file or _nth(config.files, number, File())
        files = file if isinstance(file, tuple) else (file,)
        return self._add(now, now + duration, outcome, "Manual", plan.retention_days, plan.by_api, lag, files)

    def _add(
        self,
        start: float,
        end: float,
        outcome: str,
        mode: str,
        retention_days: int,
        by_api: bool = False,
        listing_lag: float | None = None,
        files: tuple[File, ...] = (File(),),
    ) -> Backup:
        count = self.config.shards if self.config.kind == "classic-cluster" else 1
        jobs = []
        for node in range(count):
            succeeded = outcome == "success" or (outcome == "shard-failed" and count > 1 and node < count - 1)
            jobs.append(Job(next(self._job_ids), node, start, end + node * self.config.shard_lag, succeeded))
        backup = Backup(tuple(jobs), mode, retention_days, by_api, listing_lag, outcome == "vanished", files)
        self._backups.append(backup)
        return backup


class Instances:
    """The states of all instances."""

    def __init__(self, fleet: Mapping[str, Instance], clock: Clock) -> None:
        job_ids = itertools.count(10_000)
        self._states = {each.id: InstanceState(each, clock, job_ids) for each in fleet.values()}

    def __iter__(self) -> Iterator[InstanceState]:
        return iter(self._states.values())

    def existing(self, instance_ids: Iterable[str]) -> list[InstanceState]:
        """Return the states of those IDs that exist."""
        return [self._states[each] for each in instance_ids if each in self._states]

    def get(self, instance_id: str, region: str | None = None) -> InstanceState:
        """Return an instance's state. Raise ApiError when there is none, or not in that region."""
        state = self._states.get(instance_id)
        if state is None or (region and region != state.config.region):
            raise errors.instance_not_found()
        return state


def _nth(values: Sequence[T], number: int, default: T) -> T:
    """Return the value for the nth backup, from 0. The last value is for all later ones; `default` if there is none."""
    return values[min(number, len(values) - 1)] if values else default


def _day(seconds: float) -> int:
    return int(datetime.fromtimestamp(seconds, timezone.utc).timestamp() // 86400)

"""What an instance's backups are doing: jobs that start, run and end as the clock moves."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from simulator.kvstore import errors

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.kvstore.fleet import Instance

DAILY_LIMIT = 30  # manual backups of an instance a day
RETENTION_DEFAULT = 7  # days
PHASES = ("NoStart", "Preparing", "Uploading", "Checking")


@dataclass(frozen=True)
class Part:
    """A backup of one node: what one job ID of a classic cluster stands for, or the whole of any other."""

    job_id: int
    node: int
    start: float
    end: float
    ok: bool

    def progress(self, now: float) -> int:
        """Percent done."""
        return 100 if now >= self.end else int(100 * max(0.0, now - self.start) / (self.end - self.start))

    def phase(self, now: float) -> str:
        return PHASES[min(len(PHASES) - 1, self.progress(now) * len(PHASES) // 100)]


@dataclass(frozen=True)
class Backup:
    """One backup of an instance. Times are the clock's."""

    parts: tuple[Part, ...]
    mode: str  # Manual or Automated
    retention_days: int

    @property
    def start(self) -> float:
        return self.parts[0].start

    @property
    def end(self) -> float:
        return max(part.end for part in self.parts)

    @property
    def job_ids(self) -> tuple[str, ...]:
        return tuple(str(part.job_id) for part in self.parts)

    @property
    def succeeded(self) -> bool:
        return all(part.ok for part in self.parts)


class InstanceState:
    """One instance as it is now."""

    def __init__(self, config: Instance, clock: Clock, job_ids: itertools.count[int]) -> None:
        self.config = config
        self.backups: list[Backup] = []
        self._clock = clock
        self._job_ids = job_ids
        self._status = config.status
        self._created = clock.time()
        self._manual = 0
        self._lock = threading.Lock()

    @property
    def status(self) -> str:
        """What DescribeInstances shows."""
        after = self.config.normal_after
        if after is not None and self._clock.time() >= self._created + after:
            return "Normal"
        return self._status

    @status.setter
    def status(self, value: str) -> None:
        self._status = value

    def create_backup(self, retention_days: int, wrong_state_code: str) -> Backup:
        """Start a manual backup. Raise ApiError when the status, a running one or the daily limit forbids it."""
        with self._lock:
            now = self._clock.time()
            if self.status != "Normal":
                raise errors.wrong_state(wrong_state_code)
            if any(backup.start <= now < backup.end for backup in self.backups):
                raise errors.backup_job_exists()
            if sum(b.mode == "Manual" and _day(b.start) == _day(now) for b in self.backups) >= DAILY_LIMIT:
                raise errors.too_many_backups()
            outcomes = self.config.outcomes
            outcome = outcomes[min(self._manual, len(outcomes) - 1)]
            self._manual += 1
            return self._add(now, now + self.config.duration, outcome, "Manual", retention_days)

    def add_backup(
        self, start: float, end: float, status: str = "success", mode: str = "Automated", retention_days: int = 7
    ) -> Backup:
        """Put a backup in from outside, say one of the automatic policy. Times are the clock's; `end` may lie ahead."""
        with self._lock:
            return self._add(start, end, status.lower(), mode, retention_days)

    def running(self, now: float, since_start: float = 0.0) -> list[tuple[Backup, Part]]:
        """The jobs that run now and began at least `since_start` seconds ago."""
        return [(b, part) for b in self.backups for part in b.parts if b.start + since_start <= now < part.end]

    def finished(self, now: float, lag: float) -> list[tuple[Backup, Part]]:
        """The jobs that ended at least `lag` seconds ago, latest first."""
        found = [(backup, part) for backup in self.backups for part in backup.parts if part.end + lag <= now]
        return sorted(found, key=lambda each: (-each[1].start, each[1].job_id))

    def _add(self, start: float, end: float, outcome: str, mode: str, retention_days: int) -> Backup:
        count = self.config.shards if self.config.kind == "classic-cluster" else 1
        parts = []
        for node in range(count):
            ok = outcome == "success" or (outcome == "shard-failed" and count > 1 and node < count - 1)
            parts.append(Part(next(self._job_ids), node, start, end + node * self.config.shard_lag, ok))
        backup = Backup(tuple(parts), mode, retention_days)
        self.backups.append(backup)
        return backup


class Instances:
    """Every instance's state, by ID."""

    def __init__(self, fleet: Mapping[str, Instance], clock: Clock) -> None:
        job_ids = itertools.count(10_000)
        self._states = {each.id: InstanceState(each, clock, job_ids) for each in fleet.values()}

    def __iter__(self) -> Iterator[InstanceState]:
        return iter(self._states.values())

    def known(self, instance_ids: Iterable[str]) -> list[InstanceState]:
        """The states of those among the IDs that there are."""
        return [self._states[each] for each in instance_ids if each in self._states]

    def get(self, instance_id: str, region: str | None = None) -> InstanceState:
        """The instance's state. Raise ApiError when it is unknown, or lives in another region than was asked."""
        state = self._states.get(instance_id)
        if state is None or (region and region != state.config.region):
            raise errors.instance_not_found()
        return state


def _day(seconds: float) -> int:
    return int(datetime.fromtimestamp(seconds, timezone.utc).timestamp() // 86400)

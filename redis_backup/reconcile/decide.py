"""Decide what to do about one instance: a pure function with seven rules. The first rule that matches wins.

A *request* asks that the instance has a backup that started at `earliest_start` or later. Its event can be *delivered*
several times, and each delivery may have started a backup. An *attempt* is a backup that was started for the request. A
backup that others started can satisfy the request, or can be in the way, or does not matter. A *clear moment* is one at
which no attempt can be hidden; a *watch* leads to one (see `redis_backup.reconcile.watch`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from redis_backup.alibaba.parsing import JobStatus
from redis_backup.reconcile.backups import Backup, is_failed_attempt
from redis_backup.reconcile.known import Attempt, KnownJobs
from redis_backup.reconcile.watch import SEND_WITHIN


class MayStart(Enum):
    """When a backup may be started, if rules 1 to 5 do not decide."""

    WHEN_CLEAR = "when clear"  # soon after a clear moment: the usual case
    UNWATCHED = "unwatched"  # at once: a watch is not possible, and one backup too many is better than none
    NEVER = "never"  # never: a dry run, or an event that was followed up for long enough


@dataclass(frozen=True)
class Satisfied:
    """There is a backup that satisfies the request. `attempts`: how many were started for it, with this one."""

    backup: Backup
    attempts: int


@dataclass(frozen=True)
class Running:
    """A backup that can satisfy the request runs: it is listed (`backup`), or known and in no list (`known`)."""

    backup: Backup | None
    known: Attempt | None
    attempts: int


@dataclass(frozen=True)
class GaveUp:
    """As many attempts have failed as are allowed."""

    failed: tuple[Backup, ...]


@dataclass(frozen=True)
class Busy:
    """A backup that started too early to satisfy the request still runs."""

    backup: Backup


@dataclass(frozen=True)
class Watch:
    """A backup may be hidden: look until none can be. `failed`: how many attempts have failed so far."""

    failed: int


@dataclass(frozen=True)
class Start:
    """A backup has to be started (with `MayStart.NEVER`: would be). `failed`: how many attempts have failed so far."""

    failed: int


Decision = Satisfied | Running | GaveUp | Busy | Watch | Start


def decide(
    backups: Sequence[Backup],
    known: KnownJobs,
    *,
    since: datetime,
    earliest_start: datetime,
    max_attempts: int,
    clear_moment: datetime | None,
    may_start: MayStart,
    now: datetime,
) -> Decision:
    """Decide, given all backups of an instance, the earliest first, and what the request knows of its own backups.

    `since`: when the event happened; `earliest_start`: `since` minus the accepted age. Both are inclusive and by
    R-KVStore's clock, like the backups. `clear_moment`: when it was last certain that no attempt was hidden, None for
    never; it and `now` are by this invocation's clock.
    """
    failed = tuple(backup for backup in backups if is_failed_attempt(backup, since))
    accepted = [backup for backup in backups if backup.began_since(earliest_start)]
    good = [backup for backup in accepted if backup.is_good]
    under_way = [backup for backup in accepted if backup.is_under_way]
    too_early = [each for each in backups if each.status is JobStatus.RUNNING and each not in under_way]
    current = known.current
    is_clear = clear_moment is not None and now - clear_moment <= SEND_WITHIN

    # 1. There is a backup that satisfies the request.
    if good:
        return Satisfied(good[0], _attempts(failed, good[0], since))
    # 2. One runs, or not all of its shards are listed yet.
    if under_way:
        return Running(under_way[0], current, _attempts(failed, under_way[0], since))
    # 3. One was started, and no list shows it: between the end of its task and its entry a job is in no list. (After
    #    ten minutes it counts as a failed attempt.)
    if current and current.missing_since:
        return Running(None, current, len(failed) + 1)
    # 4. Enough attempts have failed.
    if len(failed) >= max_attempts:
        return GaveUp(failed)
    # 5. R-KVStore runs one backup of an instance at a time.
    if too_early:
        return Busy(too_early[0])
    # 6. A backup of another delivery may be in no list: only a clear moment excludes that.
    if may_start is MayStart.WHEN_CLEAR and not is_clear:
        return Watch(len(failed))
    # 7. There is none, and none can be hidden; or the caller accepts that risk (MayStart).
    return Start(len(failed))


def _attempts(failed: Sequence[Backup], backup: Backup, since: datetime) -> int:
    """Return how many backups were started for the request; one that started before the event does not count."""
    return len(failed) + (1 if backup.began_since(since) else 0)

"""What is to be done about one instance: a pure function, read as its rules. The first that matches wins.

A *request* asks that the instance has a backup that began at `earliest_start` or later. Its event can be *delivered* several
times, and each delivery may have started a backup. An *attempt* is a backup that was started for the request; what
others started counts as one that satisfies, or is in the way, or does not matter.
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
    """On what condition a backup may be started, where rules 1 to 5 leave it open."""

    WHEN_CLEAR = "when clear"  # soon after a clear moment: the rule
    UNWATCHED = "unwatched"  # at once: a watch is not possible, and one backup too many is better than none
    NEVER = "never"  # a dry run, or an event that was followed for long enough: what would be done is only named


@dataclass(frozen=True)
class Satisfied:
    """There is a backup that satisfies the request. `attempts`: how many were started for it, this one included."""

    backup: Backup
    attempts: int


@dataclass(frozen=True)
class Running:
    """One that will satisfy it is on its way: as listed (`backup`), or known and in no list (`known`)."""

    backup: Backup | None
    known: Attempt | None
    attempts: int


@dataclass(frozen=True)
class GaveUp:
    """As many attempts as allowed have failed."""

    failed: tuple[Backup, ...]


@dataclass(frozen=True)
class Busy:
    """A backup that began too early to satisfy the request still runs."""

    backup: Backup


@dataclass(frozen=True)
class Watch:
    """Something may be hidden: look until nothing can be. `failed`: how many attempts have failed so far."""

    failed: int


@dataclass(frozen=True)
class Start:
    """A backup is to be started (with `MayStart.NEVER`: would be). `failed`: how many attempts have failed so far."""

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
    """Given all backups of an instance, the earliest first, and what the request knows of its own, decide.

    `since`: when the event happened; `earliest_start`: since less the accepted age. Both are by R-KVStore's clock, as the
    backups are, and inclusive. `clear_moment`: when it was last certain that no attempt was hidden, None for never; it
    and `now` are by this invocation's clock.
    """
    failed = tuple(backup for backup in backups if is_failed_attempt(backup, since))
    accepted = [backup for backup in backups if backup.began_since(earliest_start)]
    good = [backup for backup in accepted if backup.status is JobStatus.SUCCEEDED and backup.is_complete]
    under_way = [backup for backup in accepted if backup.is_under_way]
    too_early = [each for each in backups if each.status is JobStatus.RUNNING and each not in under_way]
    current = known.current
    is_clear = clear_moment is not None and now - clear_moment <= SEND_WITHIN

    # 1. What is asked for is there.
    if good:
        return Satisfied(good[0], _attempts(failed, good[0], since))
    # 2. It is on its way: it runs, or not all of its shards are listed yet.
    if under_way:
        return Running(under_way[0], current, _attempts(failed, under_way[0], since))
    # 3. It was started, and no list shows it: between the end of its task and its entry a job is nowhere. (After ten
    #    minutes it is no longer current, but a failed attempt.)
    if current and current.missing_since:
        return Running(None, current, len(failed) + 1)
    # 4. Trying again has not helped.
    if len(failed) >= max_attempts:
        return GaveUp(failed)
    # 5. R-KVStore takes one backup at a time.
    if too_early:
        return Busy(too_early[0])
    # 6. What another delivery has started may be where no list shows it: only a clear moment excludes that.
    if may_start is MayStart.WHEN_CLEAR and not is_clear:
        return Watch(len(failed))
    # 7. There is none, and none can be hidden; or whoever asks has said that this does not matter.
    return Start(len(failed))


def _attempts(failed: Sequence[Backup], backup: Backup, since: datetime) -> int:
    """How many backups were started for the request; one that began before the event is somebody else's."""
    return len(failed) + (1 if backup.began_since(since) else 0)

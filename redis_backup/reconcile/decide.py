"""What is to be done about one instance: a pure function, read as its rules. The first that matches wins."""

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
    """Whether a backup may be started. It matters only where nothing satisfies and nothing runs."""

    YES = "yes"  # soon after a clear moment
    UNWATCHED = "unwatched"  # without one: a watch is not possible, and one backup too many is better than none
    NO = "no"  # a dry run, or follow-ups that have ended: what would be started is only named


@dataclass(frozen=True)
class Satisfied:
    """There is a backup that satisfies the request."""

    backup: Backup
    attempts: int


@dataclass(frozen=True)
class Running:
    """One that will satisfy it is on its way; `backup` is None where no list shows it, `known` tells what it is."""

    backup: Backup | None
    known: Attempt | None
    attempts: int


@dataclass(frozen=True)
class GaveUp:
    """As many backups as allowed have failed."""

    failed: tuple[Backup, ...]


@dataclass(frozen=True)
class Busy:
    """A backup that began before the request still runs; R-KVStore takes one at a time."""

    backup: Backup


@dataclass(frozen=True)
class Watch:
    """Something may be hidden: look until it cannot be."""

    attempts: int


@dataclass(frozen=True)
class Start:
    """Start a backup, after so many of the request's own that failed."""

    attempts: int


Decision = Satisfied | Running | GaveUp | Busy | Watch | Start


def decide(
    backups: Sequence[Backup],
    known: KnownJobs,
    *,
    since: datetime,
    earliest: datetime,
    max_attempts: int,
    clear_moment: datetime | None,
    may_start: MayStart,
    now: datetime,
) -> Decision:
    """Given all backups of an instance, decide.

    `since` and `earliest` (since less the accepted age) are by R-KVStore's clock, as the backups are; `clear_moment`
    (when it was last certain that no backup of the request was hidden) and `now` by the function's own.
    """
    failed = tuple(backup for backup in backups if is_failed_attempt(backup, since))
    accepted = [backup for backup in backups if backup.began_since(earliest)]
    good = [backup for backup in accepted if backup.status is JobStatus.SUCCEEDED and backup.is_complete]
    under_way = [backup for backup in accepted if backup.runs]
    unlisted = known.current if known.current and known.current.missing_since else None
    older = [backup for backup in backups if backup.runs and backup not in under_way]
    is_clear = clear_moment is not None and now - clear_moment <= SEND_WITHIN

    # 1. What is asked for is there.
    if good:
        return Satisfied(good[0], len(failed) + good[0].began_since(since))
    # 2. It is on its way; or not all of its shards are listed yet.
    if under_way:
        return Running(under_way[0], known.current, len(failed) + under_way[0].began_since(since))
    # 3. It was started, and a list can lag behind: between the end of its task and its entry a job is nowhere.
    if unlisted:
        return Running(None, unlisted, len(failed) + 1)
    # 4. Trying again has not helped.
    if len(failed) >= max_attempts:
        return GaveUp(failed)
    # 5. R-KVStore takes one backup at a time, and this one began too early to satisfy.
    if older:
        return Busy(older[0])
    # 6. Another delivery of the event may have started one that no list shows now.
    if may_start is MayStart.YES and not is_clear:
        return Watch(len(failed))
    # 7. There is none, and none can be hidden.
    return Start(len(failed))

"""What a request knows of an instance's backups of its own, and how that travels in `jobs`.

    ["1022", "2480"]                                      two shards' jobs of one backup, which runs
    ["1022", "ended:failed", "attempt:2", "1090"]         a backup that failed, and the next one
    ["7", "cluster:cb-12", "started:1795485600.250"]      a cloud-native cluster's, whose list has no job IDs

Losing it is harmless: whoever knows less watches for a minute before it starts a backup.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from redis_backup import timestamps
from redis_backup.alibaba.parsing import JobStatus
from redis_backup.states import State

VANISHED = timedelta(minutes=10)  # a job that is nowhere for so long has failed


@dataclass(frozen=True)
class Attempt:
    """One backup that was started for the request, or adopted by it. Times are R-KVStore's.

    `shards`: how many job IDs CreateBackup answered, 0 where that is not known, as for adopted ones; `ended`: how it
    ended, None while it runs; `missing_since`: since when one of its jobs is in no list.
    """

    job_ids: tuple[str, ...] = ()
    cluster_backup_id: str = ""
    started_at: datetime | None = None
    shards: int = 0
    is_adopted: bool = False
    ended: JobStatus | None = None
    missing_since: datetime | None = None

    def has_vanished(self, now: datetime) -> bool:
        """Whether one of its jobs has been nowhere for too long."""
        return self.ended is None and self.missing_since is not None and now - self.missing_since >= VANISHED


@dataclass(frozen=True)
class StillTask:
    """An older task that is listed as running: what it showed, and since when that has not changed."""

    shows: str
    since: datetime


@dataclass(frozen=True)
class KnownJobs:
    """All that one request knows of one instance.

    `unanswered_at`: when a CreateBackup of unknown outcome was sent, where that cannot be watched; `is_starved`: only
    want of calls or time has kept it from a watch since the first invocation; `recorded`: the state and the error code
    that were last recorded.
    """

    attempts: tuple[Attempt, ...] = ()
    unanswered_at: datetime | None = None
    is_starved: bool = False
    still: StillTask | None = None
    recorded: tuple[State, str] | None = None

    @property
    def current(self) -> Attempt | None:
        """The last attempt, if it is not known to have ended."""
        last = self.attempts[-1] if self.attempts else None
        return last if last and last.ended is None else None

    def last_recorded(self) -> tuple[State, str] | None:
        """What was last recorded: what is said, or that a backup runs; None where nothing is known to have been."""
        return self.recorded or ((State.RUNNING, "") if self.current else None)

    def encode(self) -> list[str]:
        """The texts that `decode` reads."""
        texts = []
        for number, attempt in enumerate(self.attempts, 1):
            texts += [f"attempt:{number}"] if number > 1 else []
            texts += _attempt_texts(attempt)
        texts += [f"unanswered:{_epoch(self.unanswered_at)}"] if self.unanswered_at else []
        texts += ["starved:1"] if self.is_starved else []
        texts += [f"still:{self.still.shows}:{_epoch(self.still.since)}"] if self.still else []
        if self.recorded and self.recorded != ((State.RUNNING, "") if self.current else None):
            texts.append(f"recorded:{self.recorded[0].value}:{self.recorded[1]}")
        return texts

    @classmethod
    def decode(cls, texts: Iterable[str]) -> KnownJobs:
        """Read what `encode` wrote, or job IDs alone, as a person writes them. What cannot be read is left out."""
        known, attempts, current = cls(), [], Attempt()
        for text in texts:
            name, colon, value = text.partition(":")
            if not colon:
                current = replace(current, job_ids=tuple(dict.fromkeys((*current.job_ids, text))))
            elif name == "attempt":
                attempts.append(current)
                current = Attempt()
            else:
                try:
                    current = _with_mark(current, name, value)
                    known = _with_known_mark(known, name, value)
                except (ValueError, OverflowError, OSError):
                    continue
        return replace(known, attempts=tuple(each for each in (*attempts, current) if each != Attempt()))


def _attempt_texts(attempt: Attempt) -> list[str]:
    marks = {
        "cluster": attempt.cluster_backup_id,
        "started": _epoch(attempt.started_at) if attempt.started_at else "",
        "shards": str(attempt.shards) if attempt.shards else "",
        "by": "other" if attempt.is_adopted else "",
        "ended": attempt.ended.value if attempt.ended else "",
        "missing": _epoch(attempt.missing_since) if attempt.missing_since else "",
    }
    return [*attempt.job_ids, *(f"{name}:{value}" for name, value in marks.items() if value)]


def _with_mark(attempt: Attempt, name: str, value: str) -> Attempt:
    match name:
        case "cluster":
            return replace(attempt, cluster_backup_id=value)
        case "started":
            return replace(attempt, started_at=_moment(value))
        case "shards":
            return replace(attempt, shards=int(value))
        case "by":
            return replace(attempt, is_adopted=True)
        case "ended":
            return replace(attempt, ended=JobStatus(value))
        case "missing":
            return replace(attempt, missing_since=_moment(value))
    return attempt


def _with_known_mark(known: KnownJobs, name: str, value: str) -> KnownJobs:
    match name:
        case "unanswered":
            return replace(known, unanswered_at=_moment(value))
        case "starved":
            return replace(known, is_starved=True)
        case "still":
            shows, _, since = value.rpartition(":")
            return replace(known, still=StillTask(shows, _moment(since)))
        case "recorded":
            state, _, code = value.partition(":")
            return replace(known, recorded=(State(state), code))
    return known


def _epoch(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"


def _moment(text: str) -> datetime:
    return timestamps.from_epoch(float(text))

"""Hold what a request knows of its own backups of an instance; write it into the field `jobs` and read it back.

    ["1022", "2480"]                                      the jobs of two shards of one backup, which runs
    ["1022", "ended:failed", "attempt:2", "1090"]         a backup that failed, and the next one
    ["7", "cluster:cb-12", "started:1795485600.250"]      a backup of a cloud-native cluster

A string is a job ID, or a mark `NAME:VALUE`. It does no harm if they are lost: an invocation that knows less watches
for a minute before it starts a backup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from redis_backup import timestamps
from redis_backup.alibaba.parsing import JobStatus
from redis_backup.states import State

VANISHED_AFTER = timedelta(minutes=10)  # a job that is in no list for so long counts as failed


@dataclass(frozen=True)
class Attempt:
    """One backup that was started for the request, or that others started and the request adopted.

    Times are R-KVStore's. `answered_ids`: how many job IDs CreateBackup answered, 0 if that is not known, as for
    adopted ones; `ended`: how it ended, None while it runs; `missing_since`: since when one of its jobs is in no list;
    `partial_since`: since when fewer shards are listed than the cluster has, and none runs.
    """

    job_ids: tuple[str, ...] = ()
    cluster_backup_id: str = ""
    started_at: datetime | None = None
    answered_ids: int = 0
    is_adopted: bool = False
    ended: JobStatus | None = None
    missing_since: datetime | None = None
    partial_since: datetime | None = None

    def has_vanished(self, now: datetime) -> bool:
        """Return whether one of its jobs has been in no list for too long."""
        return self.ended is None and self.missing_since is not None and now - self.missing_since >= VANISHED_AFTER


@dataclass(frozen=True)
class UnchangedTask:
    """An older task that is listed as running: a hash of what the list shows of it, and since when that is the same."""

    fingerprint: str
    since: datetime


@dataclass(frozen=True)
class KnownJobs:
    """All that one request knows of one instance.

    `unanswered_at`: when a CreateBackup of unknown outcome was sent; `is_starved`: no invocation has had enough
    time or calls for a watch of it yet; `unchanged`: an older task that may be listed though it has ended;
    `recorded`: the state and the error code that an earlier invocation recorded last.
    """

    attempts: tuple[Attempt, ...] = ()
    unanswered_at: datetime | None = None
    is_starved: bool = False
    unchanged: UnchangedTask | None = None
    recorded: tuple[State, str] | None = None

    @property
    def current(self) -> Attempt | None:
        """Return the last attempt, None if it has ended or there is none."""
        last = self.attempts[-1] if self.attempts else None
        return last if last and last.ended is None else None

    def last_recorded(self) -> tuple[State, str] | None:
        """Return the state and error code that were recorded last, None if that is not known."""
        return self.recorded or ((State.RUNNING, "") if self.current else None)

    def encode(self) -> list[str]:
        """Write the strings that `decode` reads: `KnownJobs((Attempt(("1022", "2480")),))` → `["1022", "2480"]`."""
        marks = []
        for number, attempt in enumerate(self.attempts, 1):
            marks += [f"attempt:{number}"] if number > 1 else []
            marks += [*attempt.job_ids, *_encode_marks(attempt, _ATTEMPT_MARKS)]
        is_derived = self.recorded == ((State.RUNNING, "") if self.current else None)
        return marks + _encode_marks(replace(self, recorded=None) if is_derived else self, _INSTANCE_MARKS)

    @classmethod
    def decode(cls, marks: Iterable[str]) -> KnownJobs:
        """Read what `encode` wrote, or only job IDs, as a person writes them. What cannot be read is ignored.

        `["1022", "ended:failed", "attempt:2", "1090"]` →
        `KnownJobs((Attempt(("1022",), ended=FAILED), Attempt(("1090",))))`.
        """
        known, attempts = cls(), [Attempt()]
        for text in marks:
            name, colon, value = text.partition(":")
            if not colon:
                ids = (*attempts[-1].job_ids, text)
                attempts[-1] = replace(attempts[-1], job_ids=tuple(dict.fromkeys(ids)))
            elif name == "attempt":
                attempts.append(Attempt())
            else:
                with suppress(ValueError, OverflowError, OSError):
                    if mark := _ATTEMPT_MARKS.get(name):
                        attempts[-1] = replace(attempts[-1], **{mark.field: mark.read(value)})
                    elif mark := _INSTANCE_MARKS.get(name):
                        known = replace(known, **{mark.field: mark.read(value)})
        return replace(known, attempts=tuple(each for each in attempts if each != Attempt()))


@dataclass(frozen=True)
class _Mark:
    """The field that a mark `NAME:VALUE` stands for, and how its value is written and read."""

    field: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _render_epoch(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"


def _parse_epoch(text: str) -> datetime:
    return timestamps.from_epoch(float(text))


def clean_mark(text: str) -> str:
    """Return a string of at most 50 characters that the field `jobs` accepts: `"Forbidden RAM"` → `"ForbiddenRAM"`."""
    return re.sub(r"[^A-Za-z0-9_.-]", "", text)[:50]


def _write_recorded(recorded: tuple[State, str]) -> str:
    return f"{recorded[0].value}:{clean_mark(recorded[1])}"


def _read_recorded(text: str) -> tuple[State, str]:
    state, _, code = text.partition(":")
    return State(state), code


def _write_unchanged(task: UnchangedTask) -> str:
    return f"{clean_mark(task.fingerprint)}:{_render_epoch(task.since)}"


def _read_unchanged(text: str) -> UnchangedTask:
    fingerprint, _, since = text.rpartition(":")
    return UnchangedTask(fingerprint, _parse_epoch(since))


# The names of the marks, which follow-ups carry. They are shorter than the fields, and must not change.
_ATTEMPT_MARKS = {
    "cluster": _Mark("cluster_backup_id", str, str),  # cluster:cb-12
    "started": _Mark("started_at", _render_epoch, _parse_epoch),  # started:1795485600.250, in seconds since 1970
    "shards": _Mark("answered_ids", str, int),  # shards:2, the number of job IDs that CreateBackup answered
    "by": _Mark("is_adopted", lambda _: "other", bool),  # by:other, another invocation or person started it
    "ended": _Mark("ended", lambda ended: str(ended.value), JobStatus),  # ended:failed
    "missing": _Mark("missing_since", _render_epoch, _parse_epoch),  # missing:1795485600.250
    "partial": _Mark("partial_since", _render_epoch, _parse_epoch),  # partial:1795485600.250
}
_INSTANCE_MARKS = {
    "unanswered": _Mark("unanswered_at", _render_epoch, _parse_epoch),  # unanswered:1795485600.250
    "starved": _Mark("is_starved", lambda _: "1", bool),  # starved:1
    "still": _Mark("unchanged", _write_unchanged, _read_unchanged),  # still:HASH:1795485600.250, hash and time
    "recorded": _Mark("recorded", _write_recorded, _read_recorded),  # recorded:pending:Watching, state and error code
}


def _encode_marks(value: Attempt | KnownJobs, marks: Mapping[str, _Mark]) -> list[str]:
    fields = ((name, mark, getattr(value, mark.field)) for name, mark in marks.items())
    return [f"{name}:{mark.write(field)}" for name, mark, field in fields if field]

"""The words for what becomes of an instance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class State(str, Enum):
    """See "States of an instance" in docs/reference.md."""

    PLANNED = "planned"
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it. (Planned is the end of a dry run.)"""
        return self in (State.PLANNED, State.SUCCEEDED, State.FAILED)


class ErrorKind(str, Enum):
    """What the caller can do about an error."""

    PERMANENT = "permanent"  # correct something
    BUSY = "busy"  # wait: another backup runs, or the instance is being changed
    THROTTLED = "throttled"  # wait: too many calls
    TRANSIENT = "transient"  # try again
    UNKNOWN = "unknown"  # look before trying again: it may have happened
    REFUSED = "refused"  # this function's own settings forbid it


@dataclass(frozen=True)
class Problem:
    """An error as reports and records show it; free of secrets."""

    code: str
    message: str
    kind: ErrorKind
    request_id: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What is known of one instance. `progress` in percent, `backup_size` in bytes, `duration_seconds` of the backup.

    `attempts` counts the backups that were started for the request; `adopted`: it was not started by this request's
    own invocations, as far as this one knows; `started_at`: when the backup began, by R-KVStore's clock; `note`: what a
    person should know though nothing is wrong.
    """

    state: State
    job_ids: tuple[str, ...] = ()
    adopted: bool = False
    attempts: int = 0
    progress: int | None = None
    error: Problem | None = None
    backup_size: int | None = None
    duration_seconds: int | None = None
    started_at: datetime | None = None
    note: str | None = None


OUT_OF_TIME = "OutOfTime"


def out_of_time() -> Problem:
    """There was no time for an instance, or for a call."""
    return Problem(
        OUT_OF_TIME,
        "the invocation's time ran out before this instance's turn",
        ErrorKind.TRANSIENT,
        hint="it goes on in the next invocation; where that recurs, raise the function's timeout",
    )

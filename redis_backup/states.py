"""Define the states, errors and outcomes of an instance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum


class State(str, Enum):
    """The state of an instance; "States" in docs/reference.md explains each."""

    PLANNED = "planned"
    PENDING = "pending"
    RUNNING = "running"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Return whether the state does not change any more. (A dry run ends with `planned`.)"""
        return self in (State.PLANNED, State.SUCCEEDED, State.FAILED)


class Proof(IntEnum):
    """What has to be shown of a backup before it counts as good. A higher level includes the lower ones."""

    NONE = 0  # R-KVStore says so
    QUICK = 1  # each of its files begins and ends as an RDB file
    FULL = 2  # every byte was read, and the checksums are right
    COPY = 3  # as FULL, and each file was copied into the store

    @classmethod
    def from_fields(cls, verify: str, copy: bool) -> Proof:
        """Return the level that a request's fields ask for: `"none", True` → COPY. Raise ValueError for others."""
        level = {"none": cls.NONE, "quick": cls.QUICK, "full": cls.FULL}.get(verify)
        if level is None:
            raise ValueError
        return cls.COPY if copy else level

    @property
    def fields(self) -> dict[str, str | bool]:
        """Return the request's fields that ask for it: COPY → `{"verify": "full", "copy": True}`."""
        return {"verify": ("none", "quick", "full", "full")[self], "copy": self is Proof.COPY}

    @property
    def needs_store(self) -> bool:
        """Return whether receipts, and copies, have to be kept in the store."""
        return self >= Proof.FULL


class ErrorKind(str, Enum):
    """The kind of an error: what the caller can do about it."""

    PERMANENT = "permanent"  # correct something
    BUSY = "busy"  # wait: another backup runs, or the instance is being changed
    THROTTLED = "throttled"  # wait: too many calls
    TRANSIENT = "transient"  # try again
    UNKNOWN = "unknown"  # look before trying again: it may have happened
    REFUSED = "refused"  # this function's own settings forbid it


@dataclass(frozen=True)
class Problem:
    """An error as reports and records show it, without secrets."""

    code: str
    message: str
    kind: ErrorKind
    request_id: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Outcome:
    """The state of one instance, and its backup. `progress` is in percent, `backup_size` in bytes.

    `attempts` counts the backups that were started for the request. `adopted`: the backup was not started by the
    request's own invocations, as far as this one knows; the request *adopts* such a backup instead of starting another.
    `started_at`: when the backup started, by R-KVStore's clock; `duration_seconds`: how long it took. `note`: a hint
    for people though nothing is wrong. `verified`: what is proved of the backup's files, `full`, `quick` or
    `unknown-format`; `copies`: the folder with their copies, as a URL; `bytes_read`: of them, for that.
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
    verified: str | None = None
    copies: str | None = None
    bytes_read: int | None = None


@dataclass(frozen=True)
class CheckResult:
    """One result of a check. `ok`: None for a warning; `hint`: what to do, if there is anything."""

    name: str
    ok: bool | None
    detail: str
    hint: str | None = None


OUT_OF_TIME = "OutOfTime"


def out_of_time() -> Problem:
    """Return the error of an instance, or of a call, for which no time was left."""
    return Problem(
        OUT_OF_TIME,
        "no time was left in this invocation",
        ErrorKind.TRANSIENT,
        hint="the next invocation continues; if this happens often, raise the function's timeout",
    )


def unexpected(error: Exception) -> Problem:
    """Return the error for an exception that the code does not expect. Its text may have secrets."""
    return Problem(
        "UnexpectedError",
        f"internal error ({type(error).__name__})",
        ErrorKind.UNKNOWN,
        hint="check the backup list of the instance, and report this error with the function's version",
    )

"""The rules that decide about one instance: what is listed, what is known, the times, the decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from redis_backup.alibaba.parsing import JobStatus
from redis_backup.reconcile.backups import Backup
from redis_backup.reconcile.decide import Busy, Decision, GaveUp, MayStart, Running, Satisfied, Start, Watch, decide
from redis_backup.reconcile.known import Attempt, KnownJobs

SINCE = datetime(2026, 11, 24, 2, tzinfo=timezone.utc)
SUCCEEDED, FAILED, RUNNING = JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.RUNNING


def at(seconds: float) -> datetime:
    return SINCE + timedelta(seconds=seconds)


def backup(status: JobStatus, start: int | None, **more: object) -> Backup:
    return replace(Backup(status, ("1",), started_at=None if start is None else at(start)), **more)


GOOD, OLD_GOOD = backup(SUCCEEDED, 5), backup(SUCCEEDED, -1)
RUNS, OLDER_RUNS = backup(RUNNING, 5), backup(RUNNING, -5)
FIRST, SECOND = backup(FAILED, 1), backup(FAILED, 30)
PART = backup(SUCCEEDED, 5, is_complete=False)
OWN_BEHIND = backup(SUCCEEDED, -4, is_own=True)
NOWHERE = Attempt(("9",), missing_since=at(60))
LISTED = Attempt(("1",))


def decided(
    *backups: Backup,
    known: Attempt | None = None,
    age: int = 0,
    clear: float | None = 99,
    may_start: MayStart = MayStart.WHEN_CLEAR,
    attempts: int = 2,
) -> Decision:
    return decide(
        backups,
        KnownJobs((known,) if known else ()),
        since=SINCE,
        earliest=at(-age),
        max_attempts=attempts,
        clear_moment=None if clear is None else at(clear),
        may_start=may_start,
        now=at(100),
    )


TABLE: dict[str, tuple[Decision, Decision]] = {
    # 1
    "a success": (decided(GOOD), Satisfied(GOOD, 1)),
    "a success, before a running one": (decided(GOOD, RUNS), Satisfied(GOOD, 1)),
    "a success, before as many failed ones as allowed": (decided(FIRST, SECOND, GOOD), Satisfied(GOOD, 3)),
    "a success, before one that is known and nowhere": (decided(GOOD, known=NOWHERE), Satisfied(GOOD, 1)),
    "a success in since's own second": (decided(backup(SUCCEEDED, 0)), Satisfied(backup(SUCCEEDED, 0), 1)),
    "a success that began before": (decided(OLD_GOOD), Start(0)),
    "a success of the accepted age, which is nobody's attempt": (decided(OLD_GOOD, age=9), Satisfied(OLD_GOOD, 0)),
    "a success that says no start": (decided(backup(SUCCEEDED, None)), Start(0)),
    "an own success by a clock that is behind": (decided(OWN_BEHIND), Satisfied(OWN_BEHIND, 1)),
    # 2
    "a running one": (decided(RUNS), Running(RUNS, None, 1)),
    "a running one after one that failed": (decided(FIRST, RUNS), Running(RUNS, None, 2)),
    "a running one, before one that is known and nowhere": (decided(RUNS, known=NOWHERE), Running(RUNS, NOWHERE, 1)),
    "a running one, before as many failed ones as allowed": (decided(FIRST, SECOND, RUNS), Running(RUNS, None, 3)),
    "one of whose shards some are not listed": (decided(PART), Running(PART, None, 1)),
    # 3
    "a known one that is nowhere": (decided(known=NOWHERE), Running(None, NOWHERE, 1)),
    "a known one that is nowhere, after one that failed": (decided(FIRST, known=NOWHERE), Running(None, NOWHERE, 2)),
    "a known one that is nowhere, before giving up": (decided(FIRST, SECOND, known=NOWHERE), Running(None, NOWHERE, 3)),
    "a known one that is nowhere, before an older one": (decided(OLDER_RUNS, known=NOWHERE), Running(None, NOWHERE, 1)),
    "a known one that is nowhere, though nothing is clear": (
        decided(known=NOWHERE, clear=None),
        Running(None, NOWHERE, 1),
    ),
    "a known one that ended": (decided(known=replace(NOWHERE, ended=FAILED)), Start(0)),
    # 4
    "as many failed ones as allowed": (decided(FIRST, SECOND), GaveUp((FIRST, SECOND))),
    "as many failed ones as allowed, before an older one": (decided(OLDER_RUNS, FIRST, attempts=1), GaveUp((FIRST,))),
    "as many failed ones as allowed, though nothing is clear": (
        decided(FIRST, SECOND, clear=None),
        GaveUp((FIRST, SECOND)),
    ),
    "a failed one": (decided(FIRST), Start(1)),
    "a failed one of the automatic policy": (decided(backup(FAILED, 1, is_manual=False), attempts=1), Start(0)),
    "a failed one that began before": (decided(backup(FAILED, -9), age=60, attempts=1), Start(0)),
    # 5
    "an older one that runs": (decided(OLDER_RUNS), Busy(OLDER_RUNS)),
    "an older one that runs, though nothing is clear": (decided(OLDER_RUNS, clear=None), Busy(OLDER_RUNS)),
    "an older one that runs, whatever may be started": (
        decided(OLDER_RUNS, may_start=MayStart.UNWATCHED),
        Busy(OLDER_RUNS),
    ),
    "one that runs and says no start": (decided(backup(RUNNING, None)), Busy(backup(RUNNING, None))),
    # 6
    "nothing, and no moment was clear": (decided(clear=None), Watch(0)),
    "nothing, and the clear moment was too long ago": (decided(clear=87.9), Watch(0)),
    "a failed one, and no moment was clear": (decided(FIRST, clear=None), Watch(1)),
    # 7
    "nothing, 12 s after a clear moment": (decided(clear=88), Start(0)),
    "nothing, where a watch is not possible": (decided(clear=None, may_start=MayStart.UNWATCHED), Start(0)),
    "nothing, where it is only named": (decided(clear=None, may_start=MayStart.NEVER), Start(0)),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_decision_is(case: str) -> None:
    found, expected = TABLE[case]
    assert found == expected

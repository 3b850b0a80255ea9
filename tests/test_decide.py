"""`decide` as a table: what is listed, what is known, the times, and the decision. Seconds are counted from `since`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from redis_backup.alibaba.parsing import JobStatus
from redis_backup.reconcile.backups import Backup
from redis_backup.reconcile.decide import (
    Busy,
    Decision,
    GaveUp,
    MayStart,
    Running,
    Satisfied,
    Start,
    Watch,
    decide,
)
from redis_backup.reconcile.known import Attempt, KnownJobs

SINCE = datetime(2026, 11, 24, 2, tzinfo=timezone.utc)
RUNNING, SUCCEEDED, FAILED = JobStatus.RUNNING, JobStatus.SUCCEEDED, JobStatus.FAILED
WHEN_CLEAR, UNWATCHED, NEVER = MayStart.WHEN_CLEAR, MayStart.UNWATCHED, MayStart.NEVER


def at(seconds: float) -> datetime:
    return SINCE + timedelta(seconds=seconds)


def backup(status: JobStatus, start: float | None, job_id: str = "1", **more: Any) -> Backup:
    return Backup(status, (job_id,), started_at=None if start is None else at(start), **more)


GOOD, RUNS, OLDER = backup(SUCCEEDED, 3), backup(RUNNING, 3), backup(RUNNING, -60, "0")
BAD, BAD_TOO = backup(FAILED, 1, "2"), backup(FAILED, 2, "3")
NOWHERE = Attempt(("7",), missing_since=at(5))
ENDED = Attempt(("7",), ended=FAILED)
LISTED = Attempt(("1",))


def decided(
    *backups: Backup,
    known: Attempt | None = None,
    clear: float | None = 0,
    now: float = 12,
    may_start: MayStart = WHEN_CLEAR,
    max_age: float = 0,
    max_attempts: int = 2,
) -> Decision:
    return decide(
        backups,
        KnownJobs((known,) if known else ()),
        since=SINCE,
        earliest_start=at(-max_age),
        max_attempts=max_attempts,
        clear_moment=None if clear is None else at(clear),
        may_start=may_start,
        now=at(now),
    )


OWN_BY_A_SLOW_CLOCK = replace(backup(SUCCEEDED, -5), is_own=True)
OWN_BUT_TOO_OLD = replace(backup(SUCCEEDED, -6), is_own=True)
NOT_ALL_SHARDS = replace(GOOD, is_complete=False)
FAILED_SHARD = replace(BAD, is_complete=False)
TABLE: dict[str, tuple[Decision, Decision]] = {
    # 1. What is asked for is there.
    "a success": (decided(GOOD), Satisfied(GOOD, 1)),
    "a success that began in since's own second": (
        decided(backup(SUCCEEDED, 0)),
        Satisfied(backup(SUCCEEDED, 0), 1),
    ),
    "a success that began before": (decided(backup(SUCCEEDED, -1)), Start(0)),
    "a success within the maximal age": (
        decided(backup(SUCCEEDED, -60), max_age=60),
        Satisfied(backup(SUCCEEDED, -60), 0),
    ),
    "a success beyond the maximal age": (decided(backup(SUCCEEDED, -61), max_age=60), Start(0)),
    "a success that says no start": (decided(backup(SUCCEEDED, None)), Start(0)),
    "the request's own success, by a clock that is behind": (
        decided(OWN_BY_A_SLOW_CLOCK),
        Satisfied(OWN_BY_A_SLOW_CLOCK, 1),
    ),
    "an own success of another request": (decided(OWN_BUT_TOO_OLD), Start(0)),
    "the first of two that satisfy": (decided(GOOD, backup(SUCCEEDED, 90, "2")), Satisfied(GOOD, 1)),
    "a success, while another runs (1 before 2)": (decided(GOOD, backup(RUNNING, 90, "2")), Satisfied(GOOD, 1)),
    "a success, while a known job is nowhere (1 before 3)": (decided(GOOD, known=NOWHERE), Satisfied(GOOD, 1)),
    "a success after as many failed ones as allowed (1 before 4)": (
        decided(BAD, BAD_TOO, GOOD),
        Satisfied(GOOD, 3),
    ),
    "a success, and an older task that stays listed (1 before 5)": (decided(OLDER, GOOD), Satisfied(GOOD, 1)),
    "a success at no clear moment (1 before 6)": (decided(GOOD, clear=None), Satisfied(GOOD, 1)),
    # 2. It is on its way.
    "a running one": (decided(RUNS), Running(RUNS, None, 1)),
    "a running one that is known": (decided(RUNS, known=LISTED), Running(RUNS, LISTED, 1)),
    "a running one within the maximal age": (
        decided(backup(RUNNING, -9), max_age=60),
        Running(backup(RUNNING, -9), None, 0),
    ),
    "a success of which not all shards are listed": (decided(NOT_ALL_SHARDS), Running(NOT_ALL_SHARDS, None, 1)),
    "a failure of which not all shards are listed": (decided(FAILED_SHARD), Running(FAILED_SHARD, None, 1)),
    "a running one, while a known job is nowhere (2 before 3)": (
        decided(RUNS, known=NOWHERE),
        Running(RUNS, NOWHERE, 1),
    ),
    "a running one after as many failed ones as allowed (2 before 4)": (
        decided(BAD, BAD_TOO, RUNS),
        Running(RUNS, None, 3),
    ),
    "a running one, and an older task that stays listed (2 before 5)": (
        decided(OLDER, RUNS),
        Running(RUNS, None, 1),
    ),
    "a running one at no clear moment (2 before 6)": (decided(RUNS, clear=None), Running(RUNS, None, 1)),
    # 3. It was started, and no list shows it.
    "a known job that is nowhere": (decided(known=NOWHERE), Running(None, NOWHERE, 1)),
    "a known job that has ended": (decided(known=ENDED), Start(0)),
    "a known job that is nowhere, after a failed one": (decided(BAD, known=NOWHERE), Running(None, NOWHERE, 2)),
    "a known job that is nowhere, after as many failed ones as allowed (3 before 4)": (
        decided(BAD, known=NOWHERE, max_attempts=1),
        Running(None, NOWHERE, 2),
    ),
    "a known job that is nowhere, while an older one runs (3 before 5)": (
        decided(OLDER, known=NOWHERE),
        Running(None, NOWHERE, 1),
    ),
    "a known job that is nowhere, at no clear moment (3 before 6)": (
        decided(known=NOWHERE, clear=None),
        Running(None, NOWHERE, 1),
    ),
    # 4. Trying again has not helped.
    "as many failed ones as allowed": (decided(BAD, BAD_TOO), GaveUp((BAD, BAD_TOO))),
    "one failed, where one is allowed": (decided(BAD, max_attempts=1), GaveUp((BAD,))),
    "fewer failed ones": (decided(BAD), Start(1)),
    "a failed one of the automatic policy": (decided(replace(BAD, is_manual=False), max_attempts=1), Start(0)),
    "one that failed before since, within the age": (
        decided(backup(FAILED, -9), max_age=60, max_attempts=1),
        Start(0),
    ),
    "as many failed ones as allowed, while an older one runs (4 before 5)": (
        decided(OLDER, BAD, BAD_TOO),
        GaveUp((BAD, BAD_TOO)),
    ),
    "as many failed ones as allowed, at no clear moment (4 before 6)": (
        decided(BAD, BAD_TOO, clear=None),
        GaveUp((BAD, BAD_TOO)),
    ),
    # 5. R-KVStore takes one backup at a time.
    "an older one runs (5 before 7)": (decided(OLDER), Busy(OLDER)),
    "one that says no start runs": (decided(backup(RUNNING, None)), Busy(backup(RUNNING, None))),
    "an older one runs, at no clear moment (5 before 6)": (decided(OLDER, clear=None), Busy(OLDER)),
    "an older one runs, and nobody may start": (decided(OLDER, may_start=NEVER), Busy(OLDER)),
    "an older one runs, and it may be started unwatched": (decided(OLDER, may_start=UNWATCHED), Busy(OLDER)),
    "an older one has ended, of which a shard is in no list": (
        decided(replace(OLDER, status=SUCCEEDED, is_complete=False)),
        Start(0),
    ),
    # 6. Something may be hidden.
    "nothing, at no clear moment (6 before 7)": (decided(clear=None), Watch(0)),
    "nothing, more than 12 s after a clear moment": (decided(clear=0, now=12.001), Watch(0)),
    "a failed one, at no clear moment": (decided(BAD, clear=None), Watch(1)),
    "an older success, at no clear moment": (decided(backup(SUCCEEDED, -9), clear=None), Watch(0)),
    # 7. There is none, and none can be hidden.
    "nothing, 12 s after a clear moment": (decided(clear=0, now=12), Start(0)),
    "nothing, at no clear moment, where a watch is not possible": (decided(clear=None, may_start=UNWATCHED), Start(0)),
    "nothing, at no clear moment, in a dry run": (decided(clear=None, may_start=NEVER), Start(0)),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_is_listed_known_and_clear_decides(case: str) -> None:
    found, expected = TABLE[case]
    assert found == expected

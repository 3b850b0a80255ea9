"""How what is known travels in `jobs`: as texts that only the function reads and writes."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from redis_backup.alibaba.parsing import JobStatus
from redis_backup.reconcile.known import Attempt, KnownJobs, UnchangedTask
from redis_backup.states import State

NOON = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
# What a request takes in `jobs` (redis_backup.request.parsers).
TEXT = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
MARKS = (
    "attempt",
    "cluster",
    "started",
    "shards",
    "by",
    "ended",
    "missing",
    "unanswered",
    "starved",
    "still",
    "recorded",
)

moments = st.integers(0, 4_000_000_000_000).map(
    lambda number: datetime.fromtimestamp(0, timezone.utc) + timedelta(milliseconds=number)
)
ids = st.text("abcXYZ0189_.-", min_size=1, max_size=64)
codes = st.sampled_from(["", "Watching", "OutOfTime", "BackupJobExists", "OperationDenied.DBInstanceStatus"])
attempts = st.builds(
    Attempt,
    job_ids=st.lists(ids, max_size=4, unique=True).map(tuple),
    cluster_backup_id=st.just("") | ids,
    started_at=st.none() | moments,
    answered_ids=st.integers(0, 256),
    is_adopted=st.booleans(),
    ended=st.none() | st.sampled_from([JobStatus.SUCCEEDED, JobStatus.FAILED]),
    missing_since=st.none() | moments,
).filter(lambda attempt: attempt != Attempt())
knowledge = st.builds(
    KnownJobs,
    attempts=st.lists(attempts, max_size=4).map(tuple),
    unanswered_at=st.none() | moments,
    is_starved=st.booleans(),
    unchanged=st.none()
    | st.builds(UnchangedTask, fingerprint=st.text("abcXYZ0189_.-", min_size=1, max_size=60), since=moments),
    recorded=st.none() | st.tuples(st.sampled_from(State), codes),
).filter(lambda known: known.recorded != ((State.RUNNING, "") if known.current else None) or known.recorded is None)


@given(knowledge)
def test_what_is_written_is_read_again(known: KnownJobs) -> None:
    assert KnownJobs.decode(known.encode()) == known


def test_a_backup_that_runs_needs_no_mark() -> None:
    known = KnownJobs((Attempt(("1022", "2480")),), recorded=(State.RUNNING, ""))
    assert known.encode() == ["1022", "2480"]


@given(knowledge)
@example(KnownJobs(unchanged=UnchangedTask("x" * 60, NOON)))  # as long as it gets (redis_backup.reconcile.observe)
def test_a_request_takes_every_text(known: KnownJobs) -> None:
    assert [text for text in known.encode() if not TEXT.fullmatch(text)] == []


@given(st.text(max_size=100))
@example("X" * 100)  # as long as it gets (redis_backup.alibaba.api_errors)
@example("Not Found/Here")
def test_a_request_takes_any_error_code_that_was_recorded(code: str) -> None:
    known = KnownJobs(recorded=(State.PENDING, code))
    assert [text for text in known.encode() if not TEXT.fullmatch(text)] == []


@pytest.mark.parametrize(
    ("texts", "known"),
    [
        ((), KnownJobs()),
        (("1022",), KnownJobs((Attempt(("1022",)),))),
        (("1022", "2480"), KnownJobs((Attempt(("1022", "2480")),))),
        (("1022", "1022"), KnownJobs((Attempt(("1022",)),))),
        (
            ("1022", "ended:failed", "attempt:2", "1090"),
            KnownJobs((Attempt(("1022",), ended=JobStatus.FAILED), Attempt(("1090",)))),
        ),
        (
            ("7", "cluster:cb-12", f"started:{NOON.timestamp():.3f}"),
            KnownJobs((Attempt(("7",), cluster_backup_id="cb-12", started_at=NOON),)),
        ),
        (("1", "begun:x", "ended:x", "shards:many", "missing:nan", "7"), KnownJobs((Attempt(("1", "7")),))),
    ],
)
def test_job_ids_alone_are_understood_and_what_cannot_be_read_is_left_out(
    texts: tuple[str, ...], known: KnownJobs
) -> None:
    assert KnownJobs.decode(texts) == known


@given(
    st.lists(
        st.text(max_size=90)
        | st.builds("{}:{}".format, st.sampled_from(MARKS), st.text(max_size=90))
        | st.builds("{}:{}".format, st.sampled_from(MARKS), st.floats() | st.integers()),
        max_size=12,
    )
)
def test_rubbish_is_no_error(texts: list[str]) -> None:
    KnownJobs.decode(texts).encode()


@pytest.mark.parametrize(
    ("attempt", "seconds", "has_vanished"),
    [
        (Attempt(("1",)), 10_000, False),
        (Attempt(("1",), missing_since=NOON), 599, False),
        (Attempt(("1",), missing_since=NOON), 600, True),
        (Attempt(("1",), missing_since=NOON, ended=JobStatus.SUCCEEDED), 600, False),
    ],
)
def test_a_job_has_vanished_after_10_minutes_in_no_list(attempt: Attempt, seconds: int, has_vanished: bool) -> None:
    assert attempt.has_vanished(NOON + timedelta(seconds=seconds)) is has_vanished


@pytest.mark.parametrize(
    ("known", "current"),
    [
        (KnownJobs(), None),
        (KnownJobs((Attempt(("1",), ended=JobStatus.FAILED),)), None),
        (KnownJobs((Attempt(("1",), ended=JobStatus.FAILED), Attempt(("2",)))), Attempt(("2",))),
    ],
)
def test_the_current_attempt_is_the_last_one_if_it_has_not_ended(known: KnownJobs, current: Attempt | None) -> None:
    assert known.current == current


@pytest.mark.parametrize(
    ("texts", "recorded"),
    [
        ([], None),
        (["1"], (State.RUNNING, "")),
        (["1", "ended:failed"], None),
        (["recorded:pending:BackupJobExists"], (State.PENDING, "BackupJobExists")),
        (["1", "recorded:pending:Watching"], (State.PENDING, "Watching")),
    ],
)
def test_what_was_last_recorded_is_said_or_that_a_backup_runs(
    texts: list[str], recorded: tuple[State, str] | None
) -> None:
    assert KnownJobs.decode(texts).last_recorded() == recorded

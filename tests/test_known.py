"""What travels in `jobs`: one codec, both ways."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from redis_backup.alibaba.parsing import JobStatus
from redis_backup.reconcile.known import Attempt, KnownJobs, StillTask
from redis_backup.states import State

SINCE = datetime(2026, 11, 24, 2, tzinfo=timezone.utc)
MOMENTS = st.integers(0, 10**9).map(lambda ms: SINCE + timedelta(milliseconds=ms))
IDS = st.text("abcXYZ0189_.-", min_size=1, max_size=64)
ATTEMPTS = st.builds(
    Attempt,
    job_ids=st.lists(IDS, unique=True, min_size=1, max_size=4).map(tuple),
    cluster_backup_id=st.just("") | st.text("cb-0123", min_size=1, max_size=20),
    started_at=st.none() | MOMENTS,
    shards=st.integers(0, 9),
    is_adopted=st.booleans(),
    ended=st.none() | st.sampled_from([JobStatus.SUCCEEDED, JobStatus.FAILED]),
    missing_since=st.none() | MOMENTS,
)
KNOWN = st.builds(
    KnownJobs,
    attempts=st.lists(ATTEMPTS, max_size=3).map(tuple),
    unanswered_at=st.none() | MOMENTS,
    is_starved=st.booleans(),
    still=st.none() | st.builds(StillTask, st.text("abcXYZ0189_.-", max_size=40), MOMENTS),
    recorded=st.none() | st.tuples(st.sampled_from(State), st.sampled_from(["", "Watching", "OperationDenied.X"])),
)


@given(KNOWN)
def test_what_is_written_is_read_again(known: KnownJobs) -> None:
    texts = known.encode()
    assert all(re.fullmatch(r"[A-Za-z0-9_.:-]{1,80}", text) for text in texts)
    again = KnownJobs.decode(texts)
    assert again.last_recorded() == known.last_recorded()
    assert again.attempts == known.attempts
    assert (again.unanswered_at, again.is_starved, again.still) == (known.unanswered_at, known.is_starved, known.still)


@given(st.lists(st.text(max_size=80)))
def test_rubbish_is_left_out(texts: list[str]) -> None:
    KnownJobs.decode(texts).encode()


def test_job_ids_alone_are_one_backup() -> None:
    assert KnownJobs.decode(["1022", "2480", "1022"]) == KnownJobs((Attempt(("1022", "2480")),))


def test_a_backup_that_runs_needs_no_mark() -> None:
    known = KnownJobs((Attempt(("1022", "2480")),), recorded=(State.RUNNING, ""))
    assert known.encode() == ["1022", "2480"]
    assert KnownJobs.decode(known.encode()).last_recorded() == (State.RUNNING, "")


def test_attempts_are_kept_apart_with_how_they_ended() -> None:
    known = KnownJobs((Attempt(("1",), ended=JobStatus.FAILED), Attempt(("2",))))
    assert known.encode() == ["1", "ended:failed", "attempt:2", "2"]
    assert known.current == Attempt(("2",))

"""The contract's table as a pure function, and what jobs belong together."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_backup.answers import split_job_ids
from redis_backup.job import MARK, Architecture, Job, JobStatus, Known, Start, group, judge, running_tasks
from redis_backup.states import Outcome, State

SINCE = datetime(2026, 11, 24, 2, 0, 0, 700_000, tzinfo=timezone.utc)
RUNNING, SUCCEEDED, FAILED = JobStatus.RUNNING, JobStatus.SUCCEEDED, JobStatus.FAILED
SINGLE, CLOUD_NATIVE = Architecture(), Architecture(True, True, shards=2)
CLUSTER, NEW_CLUSTER, SOME_CLUSTER = (Architecture(True, False, 2, per_shard) for per_shard in (True, False, None))


def at(seconds: int) -> datetime:
    return SINCE.replace(microsecond=0) + timedelta(seconds=seconds)


def job(
    status: JobStatus, start: int, end: int | None = None, job_id: str = "1", node: str = "r-a-db-0", **more
) -> Job:
    return Job(status, at(start), None if end is None else at(end), job_id, node=node, **more)


def verdict(
    *jobs: Job,
    known: tuple[str, ...] = (),
    since_known: int | None = None,
    max_age: int = 0,
    architecture: Architecture = SINGLE,
    now: int = 10_000,
    attempts: int = 2,
    suspects: tuple[str, ...] = (),
) -> tuple:
    seen = judge(
        group(jobs, architecture, known),
        Known(known, None if since_known is None else at(since_known)),
        architecture=architecture,
        now=at(now),
        begun_since=at(-max_age),
        since=SINCE,
        max_attempts=attempts,
        suspects=frozenset(suspects),
    )
    if isinstance(seen, Start):
        return ("start", seen.after, seen.failed_ids)
    return (seen.state.value, ",".join(seen.job_ids), "adopted" if seen.adopted else "own", seen.attempts)


NOTHING = ("start", 0, ())
TABLE = {
    "nothing": (verdict(), NOTHING),
    "a success that began in since's own second": (verdict(job(SUCCEEDED, 0, 9)), ("succeeded", "1", "adopted", 1)),
    "a success that began before": (verdict(job(SUCCEEDED, -1, 9)), NOTHING),
    "a success within the maximal age": (
        verdict(job(SUCCEEDED, -50, -9), max_age=60),
        ("succeeded", "1", "adopted", 0),
    ),
    "a running one": (verdict(job(RUNNING, 5)), ("running", "1", "adopted", 1)),
    "an older running one": (verdict(job(RUNNING, -5)), NOTHING),
    "a running one that says no start": (verdict(Job(RUNNING, None, job_id="1")), NOTHING),
    "a failed one": (verdict(job(FAILED, 1, 9)), ("start", 1, ("1",))),
    "an automatic one that failed": (verdict(job(FAILED, 1, 9, is_manual=False)), NOTHING),
    "one that failed before since, within the age": (verdict(job(FAILED, -9, -2), max_age=60), NOTHING),
    "as many failed ones as allowed": (
        verdict(job(FAILED, 1, 9), job(FAILED, 20, 29, "2")),
        ("failed", "1,2", "own", 2),
    ),
    "failed ones, and a success": (
        verdict(job(FAILED, 1, 9), job(SUCCEEDED, 20, 29, "2")),
        ("succeeded", "2", "adopted", 2),
    ),
    "a failed one, and one that runs": (
        verdict(job(FAILED, 1, 9), job(RUNNING, 20, None, "2")),
        ("running", "2", "adopted", 2),
    ),
    "a known one": (verdict(job(SUCCEEDED, 3, 9), known=("1",)), ("succeeded", "1", "own", 1)),
    "a known one that is nowhere": (verdict(known=("1",)), ("running", "1", "own", 1)),
    "a known one that is nowhere after one that failed": (
        verdict(job(FAILED, 1, 9), known=("1", "2")),
        ("running", "2", "own", 2),
    ),
    "a known one by a clock that is behind": (
        verdict(job(SUCCEEDED, -4, 9), known=("1",)),
        ("succeeded", "1", "own", 1),
    ),
    "a known one of another request": (verdict(job(SUCCEEDED, -3600, -3500), known=("1",)), NOTHING),
    "all shards of a known cluster": (
        verdict(job(SUCCEEDED, 3, 9), job(SUCCEEDED, 3, 20, "2", "r-a-db-1"), known=("2", "1")),
        ("succeeded", "2,1", "own", 1),
    ),
    "one shard of a known cluster": (verdict(job(SUCCEEDED, 3, 9), known=("1", "2")), ("running", "1,2", "own", 1)),
    "one shard of a known cluster ended, the other runs": (
        verdict(job(SUCCEEDED, 3, 9), job(RUNNING, 3, None, "2", "r-a-db-1"), known=("1", "2")),
        ("running", "1,2", "own", 1),
    ),
    "a shard that failed": (
        verdict(job(SUCCEEDED, 3, 9), job(FAILED, 3, 20, "2", "r-a-db-1"), known=("1", "2")),
        ("start", 1, ("1", "2")),
    ),
    "shards of an unknown backup, without nodes": (
        verdict(job(SUCCEEDED, 3, 9, "1", ""), job(FAILED, 3, 20, "2", ""), known=("1", "2")),
        ("start", 1, ("1", "2")),
    ),
    "an unknown cluster of which a shard may not be listed yet": (
        verdict(job(SUCCEEDED, 3, 9), architecture=CLUSTER, now=60),
        ("running", "1", "adopted", 1),
    ),
    "an unknown cluster of which a shard must still come": (
        verdict(job(SUCCEEDED, 3, 9), architecture=CLUSTER, now=1000),
        ("running", "1", "adopted", 1),
    ),
    "an unknown cluster, by an API clock that is ahead": (
        verdict(job(SUCCEEDED, 3, 9), architecture=CLUSTER, now=5),
        ("running", "1", "adopted", 1),
    ),
    "a cluster of one job ID": (
        verdict(job(SUCCEEDED, 3, 9), architecture=NEW_CLUSTER, now=10),
        ("succeeded", "1", "adopted", 1),
    ),
    "a cluster of unknown age, soon": (
        verdict(job(SUCCEEDED, 3, 9), architecture=SOME_CLUSTER, now=60),
        ("running", "1", "adopted", 1),
    ),
    "a cluster of unknown age, later": (
        verdict(job(SUCCEEDED, 3, 9), architecture=SOME_CLUSTER, now=400),
        ("succeeded", "1", "adopted", 1),
    ),
    "a shard that failed before another began": (
        verdict(job(FAILED, 0, 1), job(SUCCEEDED, 2, 9, "2", "r-a-db-1"), architecture=CLUSTER),
        ("start", 1, ("1", "2")),
    ),
    "shards one after the other, the second failed": (
        verdict(job(SUCCEEDED, 0, 9), job(FAILED, 12, 19, "2", "r-a-db-1"), architecture=CLUSTER, known=("1", "2")),
        ("start", 1, ("1", "2")),
    ),
    "an automatic one that is known and failed": (
        verdict(job(FAILED, 3, 9, is_manual=False), known=("1",), attempts=1),
        NOTHING,
    ),
    "the two attempts of a cluster in one second": (
        verdict(job(FAILED, 1, 1), job(FAILED, 1, 1, "2", "r-a-db-1"), job(RUNNING, 1, None, "3")),
        ("running", "3", "adopted", 2),
    ),
    "shards without nodes, one of which runs": (
        verdict(job(SUCCEEDED, 3, 9, "1", ""), job(RUNNING, 3, None, "2", ""), architecture=CLUSTER),
        ("running", "1,2", "adopted", 1),
    ),
    "shards without nodes, one of which failed": (
        verdict(job(SUCCEEDED, 3, 9, "1", ""), job(FAILED, 3, 20, "2", ""), architecture=CLUSTER),
        ("start", 1, ("1", "2")),
    ),
    "shards without nodes, one of which may not be listed yet": (
        verdict(job(SUCCEEDED, 3, 9, "1", ""), architecture=CLUSTER, now=60),
        ("running", "1", "adopted", 1),
    ),
    "shards without nodes, known and all listed": (
        verdict(
            job(SUCCEEDED, 3, 9, "1", ""),
            job(SUCCEEDED, 3, 9, "2", ""),
            architecture=CLUSTER,
            now=10,
            known=("1", "2"),
        ),
        ("succeeded", "1,2", "own", 1),
    ),
    "two attempts of an instance without nodes": (
        verdict(job(FAILED, 1, 5, "1", ""), job(SUCCEEDED, 5, 9, "2", "")),
        ("succeeded", "2", "adopted", 2),
    ),
    "the one ID of a cluster, known": (
        verdict(job(SUCCEEDED, 3, 9), architecture=NEW_CLUSTER, now=10, known=("1",)),
        ("succeeded", "1", "own", 1),
    ),
    "a task that is listed for ever, by another name of its node": (
        verdict(job(RUNNING, -9000, None, "0", "777"), job(SUCCEEDED, 3, 9)),
        ("succeeded", "1", "adopted", 1),
    ),
    "a task that is listed for ever, without a node": (
        verdict(job(RUNNING, -9000, None, "0", ""), job(SUCCEEDED, 3, 9, "1", ""), architecture=CLUSTER),
        ("succeeded", "1", "adopted", 1),
    ),
    "a known one that says no start": (
        verdict(Job(RUNNING, None, job_id="1"), known=("1",)),
        ("running", "1", "own", 1),
    ),
    "a known one that ended and says no start": (
        verdict(Job(SUCCEEDED, None, job_id="1"), known=("1",)),
        ("succeeded", "1", "own", 1),
    ),
    "one that came up after a lost answer, by a clock that is behind": (
        verdict(job(RUNNING, -3), suspects=("1",)),
        ("running", "1", "adopted", 1),
    ),
    "an automatic one that came up after a lost answer": (
        verdict(job(RUNNING, -3, is_manual=False), suspects=("1",)),
        NOTHING,
    ),
    "a cloud-native cluster's known job, by a clock that is behind": (
        verdict(job(SUCCEEDED, -4, 9, "", "", cluster_backup_id="cb-1"), architecture=CLOUD_NATIVE, known=("7",)),
        ("succeeded", "7", "own", 1),
    ),
    "a cloud-native cluster's success": (
        verdict(job(SUCCEEDED, 3, 9, "", "", cluster_backup_id="cb-1"), architecture=CLOUD_NATIVE),
        ("succeeded", "", "adopted", 1),
    ),
    "a cloud-native cluster's known job": (
        verdict(job(SUCCEEDED, 3, 9, "", "", cluster_backup_id="cb-1"), architecture=CLOUD_NATIVE, known=("7",)),
        ("succeeded", "7", "own", 1),
    ),
    "a cloud-native cluster's known job, not listed": (
        verdict(architecture=CLOUD_NATIVE, known=("7",)),
        ("running", "7", "own", 1),
    ),
    "a cloud-native cluster's second attempt, not listed": (
        verdict(
            job(FAILED, 3, 9, "", "", cluster_backup_id="cb-1"), architecture=CLOUD_NATIVE, known=("8",), since_known=12
        ),
        ("running", "8", "own", 2),
    ),
    "a cloud-native cluster's second attempt, of which the pipeline knows both": (
        verdict(job(FAILED, 3, 9, "", "", cluster_backup_id="cb-1"), architecture=CLOUD_NATIVE, known=("7", "8")),
        ("running", "7,8", "own", 2),
    ),
    "a cloud-native cluster's older failed backup, within the age": (
        verdict(
            job(FAILED, -900, -800, "", "", cluster_backup_id="cb-0"),
            architecture=CLOUD_NATIVE,
            known=("7",),
            max_age=3600,
        ),
        ("running", "7", "own", 1),
    ),
    "a cloud-native cluster's adopted automatic backup, failed": (
        verdict(
            job(FAILED, 3, 9, "", "", cluster_backup_id="cb-1", is_manual=False),
            architecture=CLOUD_NATIVE,
            known=("7", MARK + "cb-1"),
        ),
        NOTHING,
    ),
    "a cloud-native cluster's adopted backup, lost by the listing": (
        verdict(architecture=CLOUD_NATIVE, known=(MARK + "cb-1",)),
        ("running", "", "own", 1),
    ),
    "a cloud-native cluster's adopted backup, ended": (
        verdict(
            job(SUCCEEDED, 3, 9, "", "", cluster_backup_id="cb-1", is_manual=False),
            architecture=CLOUD_NATIVE,
            known=(MARK + "cb-1",),
        ),
        ("succeeded", "", "own", 1),
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_looking_shows(case: str) -> None:
    found, expected = TABLE[case]
    assert found == expected


def test_a_success_tells_size_and_duration_and_a_running_one_its_progress() -> None:
    both = (job(SUCCEEDED, 3, 9, size=10), job(SUCCEEDED, 4, 20, "2", "r-a-db-1", size=5))
    options = {"architecture": SINGLE, "now": at(99), "begun_since": at(0), "since": SINCE, "max_attempts": 2}
    assert judge(group(both, SINGLE), Known(("1", "2")), **options) == Outcome(
        State.SUCCEEDED, ("1", "2"), attempts=1, backup_size=15, duration_seconds=17
    )
    running = [job(RUNNING, 3, None, progress=40), job(RUNNING, 3, None, "2", "r-a-db-1", progress=20)]
    assert judge(group(running, SINGLE), Known(), **options) == Outcome(State.RUNNING, ("1", "2"), True, 1, progress=20)


@pytest.mark.parametrize(
    ("task", "entry", "runs"),
    [
        (job(RUNNING, 1), job(SUCCEEDED, 1, 9), False),  # it ended between the two looks
        (job(RUNNING, 1, None, "2"), job(SUCCEEDED, 1, 9), True),
        (job(RUNNING, 1, None, "1", "r-a-db-1"), job(SUCCEEDED, 1, 9), True),  # another shard under the same ID
        (job(RUNNING, 1, None, "1", "r-a"), job(SUCCEEDED, 1, 9), False),  # tasks that do not name nodes
        (job(RUNNING, 1, None, "1", ""), job(FAILED, 1, 9), False),
        (job(RUNNING, 1), job(FAILED, 1, 9, "1", "r-a"), False),
    ],
)
def test_a_tasks_end_is_its_entry_in_the_list_of_sets(task: Job, entry: Job, runs: bool) -> None:
    assert running_tasks([task], [entry]) == ([task] if runs else [])


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("1162", ("1162",)),
        (1162, ("1162",)),
        ("10000,10001", ("10000", "10001")),
        ('"1022,2480"', ("1022", "2480")),
        (" '7' , 8,,8 ", ("7", "8")),
        ("", ()),
        (None, ()),
        ([1], ()),
    ],
)
def test_job_ids_are_split_as_the_api_may_write_them(value: object, ids: tuple[str, ...]) -> None:
    assert split_job_ids(value) == ids


@given(st.lists(st.integers(0, 10**12), unique=True), st.sampled_from(["{}", '"{}"', "'{}'", " {} ", '" {} "']))
def test_no_job_id_is_lost_or_made_up(numbers: list[int], wrapping: str) -> None:
    ids = tuple(map(str, numbers))
    assert split_job_ids(wrapping.format(",".join(ids))) == ids
    assert split_job_ids(wrapping.format(" , ".join(ids))) == ids


@given(st.text())
def test_job_ids_of_any_text_hold_no_separator(text: str) -> None:
    assert all(part and not set(part) & set(" ,\"'") for part in split_job_ids(text))


def test_what_is_known_goes_along_with_the_next_request() -> None:
    for known in (Known(), Known(("1", "2")), Known(("1", MARK + "cb"), at(0))):
        assert Known.of(known.jobs) == known
    assert Known.of(["1", "begun:x"]) == Known(("1",))

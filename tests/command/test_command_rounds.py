"""When the command sends what again, with a function that answers as the test says, and no waiting."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from redis_backup import timestamps
from redis_backup.backoff import Deadline
from redis_backup_cli import batches
from redis_backup_cli.errors import CommandError, NoAnswerError, RefusedError
from redis_backup_cli.polling import Polling
from redis_backup_cli.report import NO_CHECKSUM, NOT_READ, UNKNOWN_FORMAT, Answer, MergedReport, read_answer
from simulator import SimulatedClock

SINCE = "2026-11-24T02:00:00Z"
REGION = "cn-hangzhou"
Reply = Mapping[str, Any] | Exception


class Script:
    """Answers as `reply` says, given the fields of a request and how many it has had before; nothing is shown."""

    def __init__(self, reply: Callable[[dict[str, Any], int], Reply]) -> None:
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.notes: list[str] = []
        self.shown: list[dict[str, int]] = []
        self.clock = SimulatedClock()
        self._reply = reply

    def send(self, payload: bytes, deadline: Deadline) -> Answer:
        assert deadline.remaining() > 0
        fields = json.loads(payload)
        reply = self._reply(fields, len(self.sent))
        self.sent.append((self.clock.time(), fields))
        if isinstance(reply, Exception):
            raise reply
        return read_answer(json.dumps(reply).encode())

    def show(self) -> None:
        self.shown.append(self.report.counts)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def run(self, instances: list[str], *, wait: float | None = 3600, **fields: Any) -> MergedReport:
        now = timestamps.from_epoch(self.clock.time())
        request = batches.read_fields({"instance_ids": instances or None, "since": SINCE, **fields}, REGION, now)
        self.report = MergedReport(request)
        deadline = Deadline(self.clock, self.clock.monotonic() + (wait or 3600))
        Polling(request, self.send, self.report, self, self.clock).run(deadline, wait=wait is not None)
        return self.report


def item(instance: str, state: str, *job_ids: str) -> dict[str, Any]:
    region, _, name = instance.rpartition("/")
    return {"instance_id": name, "region": region or REGION, "state": state, "job_ids": list(job_ids), "error": None}


def watched(instance: str) -> dict[str, Any]:
    return {**item(instance, "pending"), "error": {"code": "Watching", "message": "m", "kind": "unknown"}}


def report(state: str, names: list[str], shards: list[int] | None = None) -> dict[str, Any]:
    parts = [{"task_id": "backup-1", "instances": size, "sent": "new"} for size in shards or ()]
    return {"instances": [item(name, state) for name in names], **({"shards": parts} if parts else {})}


def test_the_same_request_is_sent_again_with_the_jobs_of_the_last_answer_exactly_as_they_came() -> None:
    jobs = [
        {"cn-hangzhou/r-a": ["7", "started:1795485600.250", "recorded:running:"]},
        {"cn-hangzhou/r-a": ["7", "ended:failed", "attempt:2", "8"], "1/cn-beijing/r-b": ["of another account"]},
        {},
        {},
    ]

    def reply(_: dict[str, Any], before: int) -> Reply:
        state = ("running", "7") if before < 3 else ("succeeded", "8")
        return {"instances": [item("r-a", *state)], "jobs": jobs[before]}

    script = Script(reply)
    assert script.run(["r-a"], reason="release 42", retention_days=30, max_age_minutes=15).is_done
    first = {
        "instance_ids": ["cn-hangzhou/r-a"],
        "region": REGION,
        "since": SINCE,
        "max_age_minutes": 15,
        "retention_days": 30,
        "reason": "release 42",
    }
    assert [fields for _, fields in script.sent] == [first, first | {"jobs": jobs[0]}, first | {"jobs": jobs[1]}, first]


@pytest.mark.parametrize(
    "fields", [{}, {"verify": "none"}, {"verify": "full"}, {"copy": True}, {"verify": "quick", "copy": False}]
)
def test_what_was_said_of_proof_is_sent_each_time_and_nothing_else_is(fields: dict[str, Any]) -> None:
    states = ["running", "verifying", "verifying", "succeeded"]
    script = Script(lambda _, before: report(states[before], ["r-a"]))
    assert script.run(["r-a"], **fields).is_done
    sent = [{name: given[name] for name in ("verify", "copy") if name in given} for _, given in script.sent]
    assert sent == [fields] * 4
    assert [given.get("wait_seconds") for _, given in script.sent] == [None] * 4


def test_jobs_go_along_with_their_instances_where_an_answer_is_cut() -> None:
    names = [f"r-{number}" for number in range(250)]
    jobs = {f"cn-hangzhou/{name}": [name] for name in names}

    def reply(fields: dict[str, Any], before: int) -> Reply:
        return {**report("succeeded" if before else "running", fields.get("instance_ids", names)), "jobs": jobs}

    script = Script(reply)
    assert script.run([], tags={"app": "shop"}).is_done
    assert [len(fields["jobs"]) for _, fields in script.sent[1:]] in ([200, 50], [50, 200])
    for _, fields in script.sent[1:]:
        assert list(fields["jobs"]) == fields["instance_ids"]


def test_while_an_instance_is_watched_the_function_is_asked_to_stay_with_it() -> None:
    def reply(_: dict[str, Any], before: int) -> Reply:
        return {"instances": [item("r-a", "running", "7"), watched("r-b") if before < 2 else item("r-b", "running")]}

    script = Script(reply)
    script.run(["r-a", "r-b"], wait=300)
    assert [fields.get("wait_seconds") for _, fields in script.sent[:5]] == [None, 75, 75, None, None]


def test_the_function_is_not_asked_to_stay_for_longer_than_its_answer_is_waited_for() -> None:
    script = Script(lambda *_: {"instances": [watched("r-a")]})
    script.run(["r-a"], wait=60)
    last = script.sent[0][0] + 60
    assert len(script.sent) > 5
    assert [fields.get("wait_seconds", 0) for _, fields in script.sent[1:]] == [
        max(0, int(last - time - 5)) for time, _ in script.sent[1:]
    ]


def test_the_pause_grows_from_3_to_30_seconds_with_jitter_and_the_last_look_is_just_before_the_end() -> None:
    script = Script(lambda *_: report("running", ["r-a"]))
    assert not script.run(["r-a"], wait=600).is_done
    times = [time for time, _ in script.sent]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    for number, pause in enumerate(pauses[:-1]):
        usual = min(30, 3 * 1.5**number)
        assert 0.75 * usual <= pause <= 1.25 * usual
    assert times[-1] - times[0] == pytest.approx(597)


def test_more_than_200_instances_go_in_batches_and_those_that_are_over_are_not_sent_again() -> None:
    names = [f"r-{number}" for number in range(450)]

    def reply(fields: dict[str, Any], before: int) -> Reply:
        over = "cn-hangzhou/r-0" not in fields["instance_ids"] or before >= 3
        return report("succeeded" if over else "running", fields["instance_ids"])

    script = Script(reply)
    assert script.run([*names, "cn-hangzhou/r-7", "r-8"]).counts == {"succeeded": 450}
    assert sorted(len(fields["instance_ids"]) for _, fields in script.sent) == [50, 200, 200, 200]


@pytest.mark.parametrize(("shards", "polls"), [([200, 50], [200, 50]), ([100, 100, 50], [100, 100, 50])])
def test_what_the_function_splits_is_looked_at_by_name_in_parts_that_it_does_not(
    shards: list[int], polls: list[int]
) -> None:
    names = [f"r-{number}" for number in range(250)]

    def reply(fields: dict[str, Any], before: int) -> Reply:
        return report("succeeded", fields["instance_ids"]) if before else report("pending", names, shards)

    script = Script(reply)
    assert script.run([], tags={"app": "shop"}).counts == {"succeeded": 250}
    assert "instance_ids" not in script.sent[0][1]
    assert sorted((len(fields["instance_ids"]) for _, fields in script.sent[1:]), reverse=True) == polls
    assert all("tags" not in fields for _, fields in script.sent[1:])
    assert [fields.get("dry_run") for _, fields in script.sent] == [None, *[True] * len(polls)]
    assert {fields["since"] for _, fields in script.sent} == {SINCE}


def split(names: list[str], reply: Callable[[int], str]) -> Script:
    """A script whose function splits the request into two, and answers the looks at it with these states."""

    def answer(fields: dict[str, Any], before: int) -> Reply:
        if not before:
            return report("pending", names, [2, 2])
        assert fields["dry_run"] is True
        jobs = {key: [f"look-{before}"] for key in fields["instance_ids"]}
        return {**report(reply((before - 1) // 2), fields["instance_ids"]), "jobs": jobs}

    return Script(answer)


NAMES = ["r-a", "r-b", "r-c", "r-d"]


def test_of_a_split_request_what_a_look_would_start_has_not_begun() -> None:
    script = split(NAMES, lambda look: ["planned", "running", "planned", "succeeded"][look])
    assert script.run(NAMES).counts == {"succeeded": 4}
    assert script.shown[::2] == [{"pending": 4}, {"pending": 4}, {"running": 4}, {"pending": 4}, {"succeeded": 4}]
    assert sorted(fields["jobs"]["cn-hangzhou/r-a"] for _, fields in script.sent[3:] if "r-a" in str(fields)) == [
        ["look-1"],
        ["look-3"],
        ["look-5"],
    ]


@pytest.mark.parametrize(("unread", "state"), [({"job_ids": ["7"]}, "verifying"), ({"adopted": True}, "verifying")])
def test_of_a_split_request_what_a_look_would_read_is_being_read(unread: dict[str, Any], state: str) -> None:
    def answer(fields: dict[str, Any], before: int) -> Reply:
        assert fields["verify"] == "full"
        if not before:
            return report("pending", ["r-a", "r-b"], [2])
        items = [item("r-a", "planned") | unread, item("r-b", "planned")]
        return {"instances": items} if before == 1 else report("succeeded", ["r-a", "r-b"])

    script = Script(answer)
    assert script.run(["r-a", "r-b"], verify="full").counts == {"succeeded": 2}
    assert script.shown == [{"pending": 2}, {"pending": 1, state: 1}, {"succeeded": 2}]


@pytest.mark.parametrize("wait", [None, 3600])
def test_of_a_split_dry_run_each_instance_is_looked_at_even_without_wait(wait: float | None) -> None:
    script = split(NAMES, lambda _: "planned")
    assert script.run(NAMES, wait=wait, dry_run=True).counts == {"planned": 4}
    assert [fields["dry_run"] for _, fields in script.sent] == [True] * 3


def test_of_a_split_request_what_has_failed_is_final() -> None:
    script = split(NAMES, lambda look: ["planned", "failed"][look])
    assert script.run(NAMES).counts == {"failed": 4}
    assert len(script.sent) == 5


def test_a_split_request_is_looked_at_15_seconds_later_and_not_at_all_where_there_is_less_time() -> None:
    script = split(NAMES, lambda _: "succeeded")
    script.run(NAMES, wait=60)
    assert 15 <= script.sent[1][0] - script.sent[0][0] < 16
    script = split(NAMES, lambda _: "succeeded")
    script.run(NAMES, wait=14)
    assert (len(script.sent), script.report.counts) == (1, {"pending": 4})


@pytest.mark.parametrize(("sent", "has_pending"), [("new", False), ("repeat", False), ("failed", True)])
def test_a_part_that_could_not_be_sent_has_not_begun(sent: str, has_pending: bool) -> None:
    parts = [{"task_id": "1", "instances": 2, "sent": "new"}, {"task_id": "2", "instances": 1, "sent": sent}]
    script = Script(lambda *_: {**report("pending", ["r-a", "r-b", "r-c"]), "jobs": {}, "shards": parts})
    assert script.run(["r-a", "r-b", "r-c"], wait=None).has_pending is has_pending
    notes = ["the function could not start shards for 1 instance; see its log"] if has_pending else []
    assert script.notes == notes


def test_what_has_succeeded_stays_so_whatever_a_later_look_cannot_see() -> None:
    def reply(_: dict[str, Any], before: int) -> Reply:
        return {
            "instances": [item("r-a", ["succeeded", "pending"][before]), item("r-b", ["running", "succeeded"][before])]
        }

    script = Script(reply)
    assert script.run(["r-a", "r-b"]).counts == {"succeeded": 2}
    assert len(script.sent) == 2


def test_a_lost_answer_is_asked_for_again_and_the_api_says_when() -> None:
    script = Script(lambda _, before: report("succeeded", ["r-a"]) if before else NoAnswerError("throttled", 20.0))
    assert script.run(["r-a"], wait=None).is_done
    assert script.sent[1][0] - script.sent[0][0] >= 20
    assert script.notes == ["no answer yet: throttled; the same request is sent again"]


def test_without_wait_an_answer_is_enough_and_five_attempts_are_the_end() -> None:
    script = Script(lambda *_: report("running", ["r-a"]))
    script.run(["r-a"], wait=None)
    assert len(script.sent) == 1
    script = Script(lambda *_: NoAnswerError("broke the connection"))
    with pytest.raises(CommandError, match="no answer in 5 attempts") as raised:
        script.run(["r-a"], wait=None)
    assert raised.value.exit_code == 1


def test_one_batch_that_is_refused_does_not_keep_the_others_from_being_heard() -> None:
    def reply(fields: dict[str, Any], _: int) -> Reply:
        if "cn-hangzhou/r-0" in fields["instance_ids"]:
            return RefusedError("no")
        return report("succeeded", fields["instance_ids"])

    script = Script(reply)
    with pytest.raises(RefusedError, match="no"):
        script.run([f"r-{number}" for number in range(300)])
    assert script.report.counts == {"pending": 200, "succeeded": 100}


def test_a_fault_of_the_command_itself_ends_it() -> None:
    with pytest.raises(CommandError, match="internal error \\(ZeroDivisionError\\)"):
        Script(lambda *_: ZeroDivisionError()).run(["r-a"])


def test_nothing_is_done_before_it_is_known_what_the_tags_select() -> None:
    script = Script(lambda *_: NoAnswerError("late"))
    merged = script.run([], wait=10, tags={"app": "shop"})
    assert (merged.is_done, merged.counts) == (False, {})


def test_the_merged_report_has_the_form_of_the_functions_own() -> None:
    error = {"code": "NotFound", "message": "m", "kind": "permanent", "request_id": "1", "hint": "h"}
    own = {**item("r-a", "failed", "7"), "adopted": True, "attempts": 2, "progress": 40, "error": error}
    own |= {"verified": None, "copies": None}
    script = Script(lambda *_: {"instances": [own]})
    assert script.run(["r-a"]).to_dict(None)["instances"] == [own]


def test_where_job_ids_cannot_be_had_the_report_says_so_and_what_was_told_of_them_is_kept() -> None:
    answers = [
        [item("r-a", "running", "7"), item("r-b", "running"), item("r-c", "running", "9") | {"attempts": 1}],
        [item("r-a", "succeeded"), item("r-b", "succeeded"), item("r-c", "succeeded") | {"attempts": 2}],
    ]
    script = Script(lambda _, before: {"instances": answers[before]})
    told = script.run(["r-a", "r-b", "r-c"]).to_dict(None)["instances"]
    assert [(each["job_ids"], each.get("note")) for each in told] == [
        (["7"], None),
        ([], "job IDs: not listed by R-KVStore; see backup_started in the log store"),
        ([], "job IDs: not listed by R-KVStore; see backup_started in the log store"),  # another attempt has others
    ]


@pytest.mark.parametrize(
    ("fields", "told", "note"),
    [
        ({}, {"state": "planned"}, None),
        ({}, {"state": "planned", "job_ids": ["7"]}, NOT_READ),  # by the function's own setting
        ({"verify": "none"}, {"state": "planned"}, None),
        ({"verify": "full"}, {"state": "planned", "adopted": True}, NOT_READ),
        ({"copy": True}, {"state": "planned"}, "no good backup has started since 2026-11-24T01:00:00Z"),
        ({"verify": "full"}, {"state": "succeeded", "job_ids": ["7"], "verified": "full"}, None),
        ({}, {"state": "succeeded", "job_ids": ["7"], "verified": "unknown-format"}, UNKNOWN_FORMAT),
        ({"verify": "quick"}, {"state": "succeeded", "job_ids": ["7"], "verified": "quick"}, None),
        ({"verify": "full"}, {"state": "succeeded", "job_ids": ["7"], "verified": "quick"}, NO_CHECKSUM),
        ({}, {"state": "succeeded", "job_ids": ["7"], "verified": "quick", "copies": "oss://b/"}, NO_CHECKSUM),
    ],
)
def test_what_was_proved_is_explained_where_it_is_not_what_was_asked(
    fields: dict[str, Any], told: dict[str, Any], note: str | None
) -> None:
    script = Script(lambda *_: {"instances": [item("r-a", "") | told]})
    merged = script.run(["r-a"], wait=None, dry_run=True, max_age_minutes=60, **fields)
    [written] = merged.to_dict(None)["instances"]
    assert written.get("note") == note
    assert (written["verified"], written["copies"]) == (told.get("verified"), told.get("copies"))


def test_job_ids_of_a_backup_that_is_read_are_kept() -> None:
    script = Script(lambda _, before: {"instances": [item("r-a", *(("verifying",) if before else ("running", "7")))]})
    [outcome] = script.run(["r-a"], wait=30, verify="full").outcomes.values()
    assert (outcome.state.value, outcome.job_ids) == ("verifying", ("7",))


def test_an_error_of_the_request_as_a_whole_is_kept() -> None:
    error = {"code": "IncompleteListing", "message": "2 instances were not listed", "kind": "unknown", "hint": "h"}

    def reply(_: dict[str, Any], before: int) -> Reply:
        return report("succeeded", ["r-a"]) if before else {**report("running", ["r-a"]), "error": error}

    problem = Script(reply).run([], tags={"app": "shop"}).problem
    assert problem is not None
    assert (problem.code, problem.message) == ("IncompleteListing", "2 instances were not listed")


def test_a_moment_that_this_machines_clock_has_not_reached_is_left_to_the_function_to_judge() -> None:
    now = timestamps.parse(SINCE)
    request = batches.read_fields({"instance_ids": "r-a", "since": "2026-11-24T02:10:00Z"}, REGION, now)
    assert timestamps.render(request.since) == "2026-11-24T02:10:00Z"
    with pytest.raises(
        RefusedError, match="since is 2026-11-24T02:20:00Z, but the function's clock says 2026-11-24T02:0"
    ):
        batches.read_fields({"instance_ids": "r-a", "since": "2026-11-24T02:20:00Z"}, REGION, now)

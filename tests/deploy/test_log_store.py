"""The log store's index, saved queries, dashboard and alerts, run on what the function writes by docs/reference.md."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from deployment import PROJECT, properties, rendered
from logservice import Index, Log, fields_of
from nights import (
    BROKEN,
    CORRUPT,
    CREATE,
    DENIED,
    EVENTFUL,
    HEALTHY,
    INVOKE,
    PROVED,
    REGION,
    SHARDS,
    SLOW,
    STANDARD,
    UNREACHED,
    Night,
    Story,
    seconds,
)

from redis_backup import timestamps
from simulator import Cloud, Fleet, Instance

INDEX = Index(rendered("log-index.json"))
EMPTY = Night([], "2026-11-24T02:41:00Z")
_TYPES = {str: "text", bool: "text", int: "long", float: "double"}

QUERIES = {each["savedsearchName"]: each for each in rendered("queries.json")}
ALERTS = {each["name"]: each for each in rendered("alerts.json")}
CHARTS = {each["title"]: each for each in rendered("dashboard.json")["charts"]}
SHIPPED = {
    **{f"queries/{name}": each["searchQuery"] for name, each in QUERIES.items()},
    **{f"alerts/{name}": each["configuration"]["queryList"][0]["query"] for name, each in ALERTS.items()},
    **{f"dashboard/{title}": each["search"]["query"] for title, each in CHARTS.items()},
}
FOUND: dict[str, list[dict[str, Any]]] = {  # the rows of each saved query on the eventful night, less volatile columns
    "jobs-of-an-instance": [
        {"last_seen": "2026-11-25T15:41:01.000Z", "job_ids": "10009", "state": "backup_started"},
        {"last_seen": "2026-11-24T03:36:10.000Z", "job_ids": "10005", "state": "backup_succeeded"},
        {"last_seen": "2026-11-24T02:10:00.000Z", "job_ids": "10000", "state": "backup_succeeded"},
    ],
    "ended-requests": [
        {"trigger_id": "1-split", "instances": 2, "succeeded": 2, "failed": 0, "parts": 2, "failed_ids": None},
        {
            "trigger_id": "1-slow",
            "instances": 1,
            "succeeded": 0,
            "failed": 1,
            "parts": 1,
            "failed_ids": f"{REGION}/{SLOW}",
        },
        {"trigger_id": "release-42", "instances": 2, "succeeded": 2, "failed": 0, "parts": 1, "failed_ids": None},
        {
            "trigger_id": "nightly@2026-11-24T02:00:00Z",
            "instances": 4,
            "succeeded": 2,
            "failed": 2,
            "parts": 1,
            "failed_ids": f"{REGION}/{BROKEN},{REGION}/{DENIED}",
        },
    ],
    "failures": [
        {"instance_id": SLOW, "code": "FollowUpExpired", "time": "2026-11-24T09:40:01.000Z"},
        {"instance_id": BROKEN, "code": "BackupJobFailed", "time": "2026-11-24T02:21:00.000Z"},
        {"instance_id": DENIED, "code": "Forbidden.RAM", "time": "2026-11-24T02:00:01.400Z"},
    ],
    "backup-of-a-deployment": [
        {"instance_id": SHARDS, "state": "backup_succeeded", "job_ids": "10006,10007", "trigger_id": "release-42"},
        {"instance_id": STANDARD, "state": "backup_succeeded", "job_ids": "10005", "trigger_id": "release-42"},
    ],
    "age-of-newest-backup": [
        {"instance_id": SHARDS, "newest_since": "2026-11-24T03:26:10Z", "hours": pytest.approx(36.1, abs=0.1)},
        {"instance_id": STANDARD, "newest_since": "2026-11-24T03:26:10Z", "hours": pytest.approx(36.1, abs=0.1)},
    ],
    "no-recent-backup": [
        {"region": REGION, "instance_id": SHARDS, "found": "2026-11-25T15:40:01.100Z"},
        {"region": REGION, "instance_id": STANDARD, "found": "2026-11-25T15:40:01.000Z"},
    ],
    "open-now": [{"instance_id": STANDARD, "state": "backup_started", "job_ids": "10009", "code": None}],
    "denied": [
        {"hint": f"RAM does not allow {INVOKE}", "records": 1},
        {"hint": f"grant {INVOKE} to the function's role", "records": 1},
        {"hint": f"grant {CREATE} to the function's role", "records": 1},
    ],
    "errors-by-kind": [  # a watch is no error
        {"kind": "permanent", "code": "BackupJobFailed", "records": 2},
        {"kind": "permanent", "code": "Forbidden.RAM", "records": 2},
        {"kind": "unknown", "code": "FollowUpExpired", "records": 1},
    ],
    "expired": [{"instance_id": SLOW, "job_ids": "10008", "message": "still running 6 h after the request"}],
    "refused": [
        {"trigger_kind": "manual", "trigger_id": "1-template", "time": "2026-11-24T09:42:20.000Z"},
        {"trigger_kind": "eventbridge", "trigger_id": "release-43", "time": "2026-11-24T09:42:00.000Z"},
    ],
    "durations-and-sizes": [
        {"instance_id": SHARDS, "backups": 2, "average_seconds": 160, "longest_seconds": 160},
        {"instance_id": STANDARD, "backups": 2, "average_seconds": 95, "longest_seconds": 95},
    ],
    "warnings": [
        {"instance_id": None, "code": "Forbidden.RAM", "time": "2026-11-25T15:41:01.100Z"},
        {"instance_id": BROKEN, "code": "BackupJobFailed", "time": "2026-11-24T02:10:00.200Z"},
    ],
}
FOUND_OF_PROOF: dict[str, list[dict[str, Any]]] = {  # of the nights on which backups are read
    "verified-backups": [
        {"instance_id": DENIED, "backup": "20005", "verified": "unknown-format", "bytes_read": 18, "seconds": None},
        {"instance_id": BROKEN, "backup": "20004", "verified": "full", "bytes_read": 1048594, "seconds": 20},
        {"instance_id": STANDARD, "backup": "20001", "verified": "full", "bytes_read": 2097188, "seconds": 100},
        {"instance_id": SLOW, "backup": "19002", "verified": "full", "bytes_read": 1048594, "seconds": 60},
        {"instance_id": STANDARD, "backup": "19001", "verified": "full", "bytes_read": 1048594, "seconds": 30},
    ],
    "unverified-backups": [  # yesterday's were verified; a corrupt one was made again; what runs is no backup yet
        {"instance_id": DENIED, "backup": "20005", "state": "backup_succeeded", "code": None},
        {"instance_id": SLOW, "backup": "20002", "state": "backup_verifying", "code": "DownloadFailed"},
    ],
}

EVENTS_IN_ORDER = 'SELECT "message.event" AS event FROM log ORDER BY "message.time"'


def logs(night: Night, since: float = 0.0) -> list[Log]:
    """A night's lines as logs, from `since` on. A line that is no record came when the night is looked at."""
    known = [(seconds(fields_of(line).get("time", night.now)), line) for line in night.lines]
    return [log for log in known if log[0] >= since]


def rows(query: str, night: Night, since: float = 0.0) -> list[dict[str, Any]]:
    return INDEX.run(query, logs(night, since), seconds(night.now))


def fires(alert: dict[str, Any], night: Night) -> bool:
    """Whether its condition, `column < or > number`, holds for the first row that it finds in its span of time."""
    (severity,) = alert["configuration"]["severityConfigurations"]
    (query,) = alert["configuration"]["queryList"]
    column, comparison, limit = severity["evalCondition"]["condition"].split()
    span, unit = int(query["start"][1:-1]), query["start"][-1]
    since = seconds(night.now) - span * {"m": 60, "h": 3600, "d": 86400}[unit]
    value = rows(query["query"], night, since)[0][column]
    return {"<": value < int(limit), ">": value > int(limit)}[comparison]


def test_the_index_has_every_field_that_is_written_and_no_other() -> None:
    written = {
        name: _TYPES[type(value)]
        for line in (*EVENTFUL.lines, *HEALTHY.lines)
        for name, value in json.loads(line).items()
    }
    assert written == INDEX.fields


def test_the_index_has_every_field_that_the_function_writes_in_the_simulator() -> None:
    fleet = Fleet(
        [Instance(STANDARD), Instance(BROKEN, duration=30, outcomes=("failed",)), Instance(DENIED, denied=True)]
    )
    with Cloud(fleet, settings={"BACKUP_FOLLOW_SECONDS": "600"}) as cloud:
        cloud.invoke({"instance_ids": [STANDARD, BROKEN, DENIED], "reason": "all that can be"})
        cloud.platform.drain()
        cloud.invoke({"key1": "value1"})
        cloud.invoke({"check": True})
    with Cloud(fleet, settings={"BACKUP_SHARD_SIZE": "1"}, clock=cloud.clock) as split:
        split.invoke({"instance_ids": [STANDARD, BROKEN]})
    records = [record for each in (cloud, split) for record in each.logs.records if "event" in record]
    written = {name: _TYPES[type(value)] for record in records for name, value in record.items()}
    assert written.items() <= INDEX.fields.items()


def test_the_index_can_be_created_as_it_is() -> None:
    index = rendered("log-index.json")
    assert (set(index), index["max_text_len"]) == ({"line", "keys", "max_text_len"}, 2048)
    message = index["keys"]["message"]
    assert (message["type"], message["doc_value"], message["index_all"]) == ("json", True, True)
    assert all(each["doc_value"] for each in message["json_keys"].values())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_query_names_fields_that_exist_and_more_rows_than_the_default(name: str) -> None:
    assert set(re.findall(r"message\.(\w+)", SHIPPED[name])) <= set(INDEX.fields)
    assert " LIMIT " in SHIPPED[name] or _is_one_row(SHIPPED[name])


def _is_one_row(query: str) -> bool:
    return query.partition("| SELECT ")[2].startswith(("count(", "sum("))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_query_runs_on_an_empty_log_store_too(name: str) -> None:
    assert len(rows(SHIPPED[name], EMPTY)) <= 1


@pytest.mark.parametrize("name", FOUND)
def test_a_saved_query_finds_what_it_should(name: str) -> None:
    found = rows(QUERIES[name]["searchQuery"], EVENTFUL)
    assert [{column: row[column] for column in FOUND[name][0]} for row in found] == FOUND[name]


@pytest.mark.parametrize("name", FOUND_OF_PROOF)
def test_a_saved_query_finds_which_backups_were_read(name: str) -> None:
    found = rows(QUERIES[name]["searchQuery"], PROVED)
    assert [{column: row[column] for column in FOUND_OF_PROOF[name][0]} for row in found] == FOUND_OF_PROOF[name]


def test_the_dashboard_shows_how_many_backups_were_verified_and_what_that_read() -> None:
    assert rows(SHIPPED["dashboard/Verified in a day, in percent"], PROVED) == [{"percent": 80}]
    days = rows(SHIPPED["dashboard/Bytes read by the day"], PROVED)
    assert [day["bytes_read"] for day in days] == [2 * 1048594, 2097188 + 1048594 + 18]
    for chart, query in (
        ("Verified backups", "verified-backups"),
        ("Newest backup not verified", "unverified-backups"),
    ):
        assert SHIPPED[f"dashboard/{chart}"] == SHIPPED[f"queries/{query}"]


def test_the_story_of_an_event_holds_its_follow_ups() -> None:
    story = rows(QUERIES["story-of-an-event"]["searchQuery"], EVENTFUL)
    own = [each for each in map(json.loads, EVENTFUL.lines) if each["trigger_id"] == "nightly@2026-11-24T02:00:00Z"]
    assert [(each["time"], each["event"]) for each in story] == [(each["time"], each["event"]) for each in own]
    assert {each["trigger_kind"] for each in story} == {"timer", "follow"}


def test_what_an_audit_sees_makes_no_backup_look_newer() -> None:
    newest = rows(QUERIES["age-of-newest-backup"]["searchQuery"], HEALTHY)
    assert {each["newest_since"] for each in newest} == {"2026-11-24T02:00:00Z"}


@pytest.mark.parametrize(
    ("search", "records"),
    [
        ("message.job_ids: 10006", ["backup_started", "backup_adopted", "backup_succeeded"]),
        ("message.event: backup_adopted and message.job_ids: 10005", ["backup_adopted"]),
    ],
)
def test_a_job_id_is_found_among_several(search: str, records: list[str]) -> None:
    found = rows(f"{search} | {EVENTS_IN_ORDER}", EVENTFUL)
    assert [each["event"] for each in found] == records


def test_every_saved_query_has_its_test() -> None:
    assert set(QUERIES) == {*FOUND, *FOUND_OF_PROOF, "story-of-an-event"}


# The lines that each alert is about. All are looked at on 2026-11-24 at 03:00, a minute after most of them.
NOW, JUST_NOW, EARLIER = "2026-11-24T03:00:00Z", "2026-11-24T02:59:00.000Z", "2026-11-24T01:30:00.000Z"
ONE = Story("timer", "hourly@2026-11-24T02:10:00Z", "2026-11-24T02:10:00Z", "hourly")
NIGHTLY = Story("timer", "nightly@2026-11-24T02:00:00Z", "2026-11-24T02:00:00Z", "nightly")
PLANNED = Story("timer", "audit@2026-11-24T02:40:00Z", "2026-11-24T02:40:00Z", "audit")
DRY = Story("manual", "1-dry", "2026-11-24T01:30:00Z")
BY_HAND = Story("manual", "1-by-hand", "2026-11-24T02:15:00Z")
WATCHING = {
    "error_code": "Watching",
    "error_kind": "unknown",
    "error_message": "watched until 2026-11-24T03:00:20Z; then a backup is started",
}
DENIED_INVOKE = {
    "error_code": "AccessDenied",
    "error_message": f"the function could not invoke itself: RAM does not allow {INVOKE}",
    "hint": f"grant {INVOKE} to the function's role",
}
DENIED_CREATE = {
    "error_code": "Forbidden.RAM",
    "error_kind": "permanent",
    "error_message": f"RAM does not allow {CREATE}",
    "hint": f"grant {CREATE} to the function's role",
}
BOTH = {"instances": 2, "attempts": 2, "duration_seconds": 2940, "first_started": "2026-11-24T02:10:01Z"}
ENDED_BADLY = ONE.line(
    JUST_NOW, "request_finished", "ERROR", follow=True, succeeded=1, failed=1, failed_ids=f"{REGION}/{BROKEN}", **BOTH
)
ENDED_WELL = ONE.line(JUST_NOW, "request_finished", follow=True, succeeded=2, failed=0, **BOTH)
STILL_OPEN = ONE.report(JUST_NOW, ok=True, done=False, follow=True, pending=1, running=1, instances=2)
FAILED_AT_ONCE = ONE.state(
    JUST_NOW, "backup_failed", BROKEN, "ERROR", error_code="BackupJobFailed", error_kind="permanent"
)
PENDING_WATCHED = ONE.state(JUST_NOW, "backup_pending", STANDARD, **WATCHING)
PENDING_EARLIER = ONE.state(
    EARLIER, "backup_pending", STANDARD, "WARNING", error_code="BackupJobExists", error_kind="busy"
)
RUNNING_EARLIER = ONE.state(EARLIER, "backup_started", STANDARD, job_ids="10000", attempts=1)
NOT_READ = {"job_ids": "10000", "hint": "its newest good backup has not been read back as this request asks"}
AUDITS = {hour: Story("timer", f"audit@2026-11-{hour}:40:00Z", f"2026-11-{hour}:40:00Z") for hour in ("23T20", "24T02")}
UNREAD = {
    hour: audit.state(f"2026-11-{hour}:40:01.000Z", "backup_planned", STANDARD, **NOT_READ)
    for hour, audit in AUDITS.items()
}
VERIFYING = ONE.state(EARLIER, "backup_verifying", STANDARD, job_ids="10000", progress=0)
NOT_REACHED = ONE.state(EARLIER, "backup_verifying", STANDARD, "WARNING", job_ids="10000", **UNREACHED)
VERIFIED_BEFORE = Story("timer", "hourly@2026-11-24T01:10:00Z", "2026-11-24T01:10:00Z").state(
    "2026-11-24T01:20:00.000Z", "backup_succeeded", STANDARD, job_ids="9000", verified="full", bytes_read=1
)
AUDIT_VERIFIED = ("2026-11-24T02:40:01.000Z", "backup_succeeded", STANDARD)
EXPIRED = ONE.state(JUST_NOW, "backup_failed", SLOW, "ERROR", error_code="FollowUpExpired", error_kind="unknown")
PREFIX = "2026-11-24T02:59:00.000Z 1-6b04efa0-127fbe39cd7681596e33ebad [ERROR] "  # of what goes through logging
# What Function Compute writes when the function does not work. Each line is a log of its own (`logBeginRule: None`).
# https://www.alibabacloud.com/help/en/functioncompute/fc/user-guide/print-function-logs
BOOTSTRAP = {
    "a module that is not there": f"{PREFIX}Unable to import module 'handler'",
    "its type": f'{PREFIX}{{"errorMessage": "Unable to import module \'handler\'", "errorType": "ImportModuleError"}}',
    "its type alone": '  "errorType": "ImportModuleError",',
    "a syntax error": f"{PREFIX}Syntax error in module 'handler'",
    "a syntax error's type": '{"errorType":"UserCodeSyntaxError","errorMessage":"Syntax error in module \'handler\'"}',
    "a package that is not there": "ModuleNotFoundError: No module named 'Tea'",
    "a package for another machine": "ImportError: /lib64/libc.so.6: version `GLIBC_2.34' not found",
    "a handler without a dot": f"{PREFIX}Invalid handler 'handler'",
    "a bad setting": f"{PREFIX}redis_backup.errors.InvalidSetting: BACKUP_CONCURRENCY is 'many'",
    "a bad setting's type": f'{PREFIX}{{"errorMessage": "BACKUP_ALLOW is …", "errorType": "InvalidSetting"}}',
    "a time-out": "2026-11-24T02:59:00Z 1-1 Function timed out after 600 seconds (maxMemoryUsage: 61.00MB)",
    "a kill": "Process exited unexpectedly before completing request (duration: 9ms, maxMemoryUsage: 512.00MB)",
}
RINGS: dict[str, dict[str, list[str]]] = {
    "backup-failed": {
        "a request has ended with a failure": [ENDED_BADLY],
        "its end comes twice": [ENDED_BADLY, ENDED_BADLY],
        "a list of instances was cut short": [
            ONE.line(JUST_NOW, "warning", "WARNING", error_code="IncompleteListing", error_message="50 of 180 listed")
        ],
    },
    "not-followed": {
        "the follow-up could not be sent": [
            ONE.report(JUST_NOW, ok=True, done=False, level="WARNING", pending=1, instances=1, hint="no answer")
        ],
    },
    "left-open": {
        "pending, and silent for more than an hour": [PENDING_EARLIER],
        "running, and its follow-ups died": [
            RUNNING_EARLIER,
            ONE.report(EARLIER, ok=True, done=False, running=1, instances=1),
        ],
        "it was being read, and its follow-ups died": [VERIFYING],
    },
    "nightly-missing": {
        "nothing at all": [],
        "only other requests have ended": [ENDED_WELL],
        "it has begun, and never ended": [
            NIGHTLY.state("2026-11-24T02:00:01.000Z", "backup_started", STANDARD, job_ids="10000", attempts=1)
        ],
        "the last one ended more than 26 hours ago": [
            Story("timer", "nightly@2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z").line(
                "2026-11-23T00:10:00.000Z", "request_finished", succeeded=2, failed=0, **BOTH
            )
        ],
    },
    "backup-overdue": {"the audit found one": [PLANNED.state("2026-11-24T02:40:01.000Z", "backup_planned", STANDARD)]},
    "backup-unverified": {
        "it cannot be read": [NOT_REACHED],
        "it cannot be read, and an earlier backup was": [VERIFIED_BEFORE, NOT_REACHED],
        "it cannot be read, and the audit sees that an earlier backup was": [
            NOT_REACHED,
            PLANNED.state(*AUDIT_VERIFIED, job_ids="9000", verified="full"),
        ],
        "a cluster's cannot be read, which was adopted and has no job IDs, and an earlier one was": [
            Story("timer", "hourly@2026-11-24T01:10:00Z", "2026-11-24T01:10:00Z").state(
                "2026-11-24T01:20:00.000Z", "backup_succeeded", STANDARD, verified="full", bytes_read=1
            ),
            ONE.state(EARLIER, "backup_verifying", STANDARD, "WARNING", **UNREACHED),
        ],
        "a cluster's cannot be read, which has no job IDs, and another request has read an earlier one since": [
            ONE.state(EARLIER, "backup_verifying", STANDARD, "WARNING", **UNREACHED),
            BY_HAND.state("2026-11-24T02:50:00.000Z", "backup_succeeded", STANDARD, verified="full", bytes_read=1),
        ],
        "it was read for a while, and then not any more": [VERIFYING, NOT_REACHED],
        "it was corrupt, though another one is sound": [
            ONE.state("2026-11-24T02:50:00.000Z", "warning", STANDARD, "WARNING", job_ids="10000", **CORRUPT),
            ONE.state(JUST_NOW, "backup_succeeded", STANDARD, job_ids="10001", verified="full", bytes_read=1),
        ],
        "the audit finds the same one unread for hours": list(UNREAD.values()),
        "the audit finds a cluster's unread for hours, which has no job IDs, and one was read before": [
            Story("timer", "audit@2026-11-23T19:40:00Z", "2026-11-23T19:40:00Z").state(
                "2026-11-23T19:40:01.000Z", "backup_succeeded", STANDARD, verified="full"
            ),
            *(
                audit.state(f"2026-11-{hour}:40:01.000Z", "backup_planned", STANDARD, hint=NOT_READ["hint"])
                for hour, audit in AUDITS.items()
            ),
        ],
        "the audit cannot read it for hours": [
            audit.state(f"2026-11-{hour}:40:01.000Z", "backup_planned", STANDARD, job_ids="10000", **UNREACHED)
            for hour, audit in AUDITS.items()
        ],
    },
    "audit-missing": {"nothing at all": [], "only other requests": [STILL_OPEN]},
    "denied": {
        "the function may not invoke itself": [ONE.line(JUST_NOW, "warning", "WARNING", **DENIED_INVOKE)],
        "a look at what runs was refused": [ONE.state(JUST_NOW, "backup_started", DENIED, "WARNING", **DENIED_CREATE)],
    },
    "event-refused": {
        "a bad event of a batch": [
            ONE.line(JUST_NOW, "event_refused", "ERROR", error_code="InvalidRequest", error_message="names nothing")
        ],
        "an event that comes alone": [
            ONE.line(JUST_NOW, "report", "ERROR", ok=False, error_code="InvalidRequest", error_message="names nothing")
        ],
        "tags that could not be looked up": [
            ONE.line(JUST_NOW, "report", "ERROR", ok=False, error_code="ServiceUnavailable", error_kind="transient")
        ],
    },
    "function-broken": {
        **{name: [line] for name, line in BOOTSTRAP.items()},
        "a fault of the function": [
            ONE.state(
                JUST_NOW, "backup_pending", STANDARD, "WARNING", error_code="UnexpectedError", error_kind="unknown"
            )
        ],
    },
}
SILENT: dict[str, dict[str, list[str]]] = {
    "backup-failed": {
        "it has failed, but the request is not over": [FAILED_AT_ONCE, STILL_OPEN],
        "all went well": [ENDED_WELL],
        "it is watched": [PENDING_WATCHED],
    },
    "not-followed": {
        "it is watched, and followed": [PENDING_WATCHED, STILL_OPEN],
        "a dry run": [
            DRY.report(
                JUST_NOW, ok=True, done=False, dry_run=True, pending=1, instances=1, hint="dry runs are not followed"
            )
        ],
        "`denied` tells it": [
            ONE.line(JUST_NOW, "warning", "WARNING", **DENIED_INVOKE),
            ONE.report(JUST_NOW, ok=True, done=False, pending=1, instances=1, hint=f"RAM does not allow {INVOKE}"),
        ],
    },
    "left-open": {
        "it is watched": [PENDING_WATCHED],
        "it is followed": [RUNNING_EARLIER, STILL_OPEN],
        "it ended": [
            RUNNING_EARLIER,
            ONE.state("2026-11-24T01:40:00.000Z", "backup_succeeded", STANDARD, job_ids="10000"),
        ],
        "another request has backed it up since": [
            PENDING_EARLIER,
            NIGHTLY.state("2026-11-24T01:50:00.000Z", "backup_succeeded", STANDARD, job_ids="10001"),
        ],
        "a dry run": [
            DRY.state(EARLIER, "backup_pending", STANDARD, "WARNING", error_code="BackupJobExists", error_kind="busy"),
            DRY.report(EARLIER, ok=True, done=False, dry_run=True, pending=1, instances=1),
        ],
    },
    "nightly-missing": {
        "it has ended": [NIGHTLY.line(JUST_NOW, "request_finished", succeeded=2, failed=0, **BOTH)],
        "it has ended with a failure, which another alert tells": [
            NIGHTLY.line(JUST_NOW, "request_finished", "ERROR", follow=True, succeeded=1, failed=1, **BOTH)
        ],
    },
    "backup-overdue": {
        "the audit found backups": [PLANNED.state("2026-11-24T02:40:01.000Z", "backup_succeeded", STANDARD)],
        "somebody's dry run": [DRY.state(JUST_NOW, "backup_planned", STANDARD)],
        "there is one that is not read, which `backup-unverified` tells": [UNREAD["24T02"]],
        "there is one that cannot be read, which `backup-unverified` tells": [
            PLANNED.state("2026-11-24T02:40:01.000Z", "backup_planned", STANDARD, job_ids="10000", **UNREACHED)
        ],
    },
    "backup-unverified": {
        "it is being read": [VERIFYING, STILL_OPEN],
        "it was read": [
            VERIFYING,
            ONE.state(JUST_NOW, "backup_succeeded", STANDARD, job_ids="10000", verified="full", bytes_read=1),
        ],
        "it could not be read a minute ago": [
            ONE.state(JUST_NOW, "backup_verifying", STANDARD, "WARNING", job_ids="10000", **UNREACHED)
        ],
        "it can be read again": [
            NOT_REACHED,
            ONE.state("2026-11-24T01:31:00.000Z", "backup_verifying", STANDARD, job_ids="10000", progress=7),
        ],
        "it could not be read at first, and another request has read it": [
            NOT_REACHED,
            BY_HAND.state("2026-11-24T01:50:00.000Z", "backup_succeeded", STANDARD, job_ids="10000", verified="full"),
        ],
        "it was not read in time, which `backup-failed` tells": [
            NOT_REACHED,
            ONE.state(
                JUST_NOW,
                "backup_failed",
                STANDARD,
                "ERROR",
                job_ids="10000",
                error_code="FollowUpExpired",
                error_kind="unknown",
            ),
        ],
        "all attempts were corrupt, which `backup-failed` tells": [
            ONE.state(
                JUST_NOW,
                "backup_failed",
                STANDARD,
                "ERROR",
                job_ids="10000,10001",
                error_code="BackupCorrupt",
                error_kind="permanent",
            )
        ],
        "a backup failed and another is started, as R-KVStore says": [
            ONE.state(JUST_NOW, "warning", STANDARD, "WARNING", job_ids="10000", error_code="BackupJobFailed")
        ],
        "nobody asks for more than R-KVStore's word": [
            ONE.state(EARLIER, "backup_succeeded", STANDARD, job_ids="10000", duration_seconds=95)
        ],
        "it is encrypted, as it always was": [
            ONE.state(JUST_NOW, "backup_succeeded", STANDARD, job_ids="10000", verified="unknown-format")
        ],
        "the audit came before it was read": [UNREAD["24T02"]],
        "the audit found it unread for hours, and now it was read": [
            *UNREAD.values(),
            BY_HAND.state("2026-11-24T02:50:00.000Z", "backup_succeeded", STANDARD, job_ids="10000", verified="full"),
        ],
        "the audit found another one unread hours ago": [
            UNREAD["23T20"],
            PLANNED.state(*AUDIT_VERIFIED, job_ids="10002", verified="full"),
        ],
        "somebody's dry run": [DRY.state(JUST_NOW, "backup_planned", STANDARD, **NOT_READ)],
    },
    "audit-missing": {
        "it ran": [PLANNED.report("2026-11-24T02:40:01.000Z", ok=True, done=True, dry_run=True, planned=1, instances=1)]
    },
    "denied": {
        "a backup was refused, which `backup-failed` tells": [
            ONE.state(JUST_NOW, "backup_failed", DENIED, "ERROR", **DENIED_CREATE)
        ],
        "it is watched": [PENDING_WATCHED],
    },
    "event-refused": {
        "a report of what failed": [
            ONE.report(JUST_NOW, ok=False, done=True, level="ERROR", failed=1, instances=1),
            FAILED_AT_ONCE,
            ENDED_BADLY,
        ],
        "a list of instances was cut short, which `backup-failed` tells": [
            ONE.report(JUST_NOW, ok=False, done=False, level="ERROR", error_code="IncompleteListing", instances=50)
        ],
    },
    "function-broken": {
        "failures of instances": [FAILED_AT_ONCE, ENDED_BADLY, EXPIRED],
        "what is raised for them": [
            f"{PREFIX}Traceback (most recent call last):",
            f"{PREFIX}redis_backup.errors.BackupFailed: 1 failed of 2 instances. r-bp1: NoAnswer: timed out",
            f'{PREFIX}{{"errorMessage": "nothing is followed up: timed out", "errorType": "BackupPending"}}',
            f"{PREFIX}redis_backup.errors.InvalidRequest: key1 is no field of a request",
        ],
        "what Function Compute writes around each invocation": [
            "FC Initialize Start RequestId: 1-6b04efa0-127fbe39cd7681596e33ebad",
            "FC Initialize End RequestId: 1-6b04efa0-127fbe39cd7681596e33ebad",
            "FC Invoke Start RequestId: 1-6b04efa0-127fbe39cd7681596e33ebad",
            "FC Invoke End RequestId: 1-6b04efa0-127fbe39cd7681596e33ebad",
        ],
        "a record that speaks of such an error": [
            ONE.line(JUST_NOW, "warning", "WARNING", error_message="Function timed out after 3 seconds", hint="look")
        ],
        "it is watched": [PENDING_WATCHED],
    },
}


@pytest.mark.parametrize(("name", "why"), [(name, why) for name, cases in RINGS.items() for why in cases])
def test_an_alert_rings(name: str, why: str) -> None:
    assert fires(ALERTS[name], Night(RINGS[name][why], NOW))


@pytest.mark.parametrize(("name", "why"), [(name, why) for name, cases in SILENT.items() for why in cases])
def test_an_alert_does_not_ring(name: str, why: str) -> None:
    assert not fires(ALERTS[name], Night(SILENT[name][why], NOW))


def test_every_alert_has_lines_that_it_rings_for_and_such_that_it_does_not() -> None:
    assert set(RINGS) == set(SILENT) == set(ALERTS)


def test_no_alert_rings_for_a_night_on_which_nothing_goes_wrong() -> None:
    assert [name for name, alert in ALERTS.items() if fires(alert, HEALTHY)] == []


def test_a_request_that_failed_is_told_once_by_one_alert() -> None:
    told = {
        name: fires(alert, Night([ENDED_BADLY, ENDED_BADLY, FAILED_AT_ONCE], NOW)) for name, alert in ALERTS.items()
    }
    assert [name for name, rings in told.items() if rings and not name.endswith("-missing")] == ["backup-failed"]
    assert rows(SHIPPED["alerts/backup-failed"], Night([ENDED_BADLY, ENDED_BADLY], NOW)) == [
        {
            "cnt": 1,
            "failed": 1,
            "trigger_id": "hourly@2026-11-24T02:10:00Z",
            "failed_ids": f"{REGION}/{BROKEN}",
            "code": None,
        }
    ]


def test_the_function_s_own_nights_ring_what_they_should() -> None:
    fleet = Fleet([Instance(STANDARD, duration=95), Instance(BROKEN, duration=30, outcomes=("failed",))])
    rings = []
    for ids in ([STANDARD], [STANDARD, BROKEN]):
        with Cloud(fleet, settings={"BACKUP_FOLLOW_SECONDS": "600"}) as cloud:
            payload = json.dumps({"instance_ids": ids})
            cloud.invoke({"triggerName": "nightly", "triggerTime": "2026-11-24T02:00:00Z", "payload": payload})
            cloud.platform.drain()
            night = Night(
                [log.message for log in cloud.logs if log.message.startswith("{")],
                timestamps.render(timestamps.from_epoch(cloud.clock.time())),
            )
        rings.append([name for name, alert in ALERTS.items() if name != "audit-missing" and fires(alert, night)])
    assert rings == [[], ["backup-failed"]]


def test_an_audit_with_verify_rings_for_backups_that_nobody_reads_and_not_for_missing_ones() -> None:
    fleet = Fleet([Instance(STANDARD, duration=95), Instance(SHARDS, kind="cloud-native", shards=2)])
    settings = {"BACKUP_STORE": "oss://backups/redis"}

    def at(hour: int, name: str, **fields: Any) -> dict[str, str]:
        payload = json.dumps({"instance_ids": [STANDARD, SHARDS], **fields})
        return {"triggerName": name, "triggerTime": f"2026-11-24T{hour:02}:00:00Z", "payload": payload}

    rings = []
    for level in ("none", "full"):
        with Cloud(fleet, settings=settings) as cloud:
            cloud.invoke(at(2, "nightly", verify=level))
            cloud.platform.drain()
            for hour in (3, 10):
                cloud.clock.advance(hour * 3600 + seconds("2026-11-24T00:00:01Z") - cloud.clock.time())
                cloud.invoke(at(hour, "audit", verify="full", dry_run=True, max_age_minutes=1560))
            night = Night([log.message for log in cloud.logs], "2026-11-24T10:10:00Z")
        rings.append({name: fires(ALERTS[name], night) for name in ("backup-unverified", "backup-overdue")})
    assert rings == [
        {"backup-unverified": True, "backup-overdue": False},
        {"backup-unverified": False, "backup-overdue": False},
    ]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_s_text_uses_its_query_s_columns_and_names_its_place_in_the_runbook(name: str) -> None:
    configuration = ALERTS[name]["configuration"]
    (query,) = configuration["queryList"]
    texts = " ".join(each["value"] for each in configuration["annotations"])
    assert set(re.findall(r"\$\{(\w+)\}", texts)) <= set(re.findall(r" AS (\w+)", query["query"]))
    assert f"Runbook: {name}" in texts
    assert f"\n### {name}\n" in (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_about_the_log_store_of_s_yaml(name: str) -> None:
    (query,) = ALERTS[name]["configuration"]["queryList"]
    log = properties()["logConfig"]
    assert (query["region"], query["project"], query["store"]) == (
        properties()["region"],
        log["project"],
        log["logstore"],
    )


def test_charts_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for chart in CHARTS.values():
        display = chart["display"]
        cells = {
            (x, y)
            for x in range(display["xPos"], display["xPos"] + display["width"])
            for y in range(display["yPos"], display["yPos"] + display["height"])
        }
        assert not taken & cells
        taken |= cells

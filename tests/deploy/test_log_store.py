"""The log store's index, saved queries, dashboard and alerts, run on what the function wrote in the simulator."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import pytest
from deployment import PROJECT, properties, rendered
from logservice import Index, Log

from redis_backup import timestamps
from simulator import Cloud, Fleet, Instance

INDEX = Index(rendered("log-index.json"))
HOUR = 3600.0
STANDARD, SHARDS, SLOW, BROKEN, DENIED = (
    "r-bp1zxszhcgatnx01",
    "r-bp1cluster2shards",
    "r-bp1tenhours00001",
    "r-bp1alwaysfails01",
    "r-bp1notyours00001",
)
PRODUCTION = {"env": "production"}
FLEET = Fleet(
    [
        Instance(STANDARD, duration=95, tags=PRODUCTION),
        Instance(SHARDS, kind="classic-cluster", shards=2, duration=140, shard_lag=20, tags=PRODUCTION),
        Instance(SLOW, duration=10 * HOUR),
        Instance(BROKEN, duration=30, outcomes=("failed",)),
        Instance(DENIED, denied=True),
    ]
)
# One call at a time, so that job IDs come in the order in which instances are named.
SETTINGS = {"BACKUP_CONCURRENCY": "1", "BACKUP_FOLLOW_SECONDS": "600"}


class History(NamedTuple):
    """What the log store holds, and when it is looked at."""

    logs: list[Log]
    now: float
    records: list[dict[str, Any]]


def timer(name: str, time: str, **payload: Any) -> dict[str, str]:
    return {"triggerName": name, "triggerTime": time, "payload": json.dumps(payload)}


def audit(time: str) -> dict[str, str]:
    """The event of the timer `audit` in s.yaml."""
    (trigger,) = [each for each in properties()["triggers"] if each["triggerName"] == "audit"]
    return {"triggerName": "audit", "triggerTime": time, "payload": trigger["triggerConfig"]["payload"]}


def predeploy(time: str) -> dict[str, Any]:
    """A pipeline's event."""
    return {
        "id": "release-42",
        "source": "acme.pipeline",
        "specversion": "1.0",
        "type": "deploy:Release:Pending",
        "time": time,
        "data": {"instance_ids": [STANDARD, SHARDS], "reason": "release 42 of shop/web"},
    }


def cloud_time(cloud: Cloud) -> str:
    return timestamps.render(timestamps.from_epoch(cloud.clock.time()))


def history(*clouds: Cloud) -> History:
    logs = [(log.time, log.message) for cloud in clouds for log in cloud.logs]
    records = [each for cloud in clouds for each in cloud.logs.records if "event" in each]
    return History(logs, clouds[-1].clock.time(), records)


@pytest.fixture(scope="module")
def eventful() -> History:
    """A night on which everything goes wrong that alerts are for, and a deployment. Beginning 2026-11-24T02:00:00Z."""
    with Cloud(FLEET, settings=SETTINGS) as cloud:
        platform = cloud.platform
        cloud.invoke(timer("nightly", "2026-11-24T02:00:00Z", instance_ids=[STANDARD, SHARDS, BROKEN, DENIED]))
        platform.drain()
        cloud.clock.advance(HOUR)
        deployment = predeploy(cloud_time(cloud))
        cloud.invoke(deployment)
        cloud.clock.advance(30)
        cloud.invoke(deployment)  # a repeat: it adopts what runs
        platform.drain()
        cloud.invoke({"instance_ids": SLOW, "reason": "by hand"})
        platform.drain()
        cloud.invoke({"key1": "value1", "key2": "value2", "key3": "value3"})
        cloud.clock.advance(30 * HOUR)
        cloud.invoke(audit(cloud_time(cloud)))
        cloud.invoke({"instance_ids": STANDARD, "reason": "the last one"})
    with Cloud(FLEET, settings={**SETTINGS, "BACKUP_SHARD_SIZE": "1"}, clock=cloud.clock) as sharded:
        sharded.invoke({"instance_ids": [STANDARD, SHARDS], "reason": "the last one"})
    with Cloud(FLEET, settings={"BACKUP_CONCURRENCY": "many"}, clock=cloud.clock) as misconfigured:
        misconfigured.invoke({"instance_ids": STANDARD})
    return history(cloud, sharded, misconfigured)


@pytest.fixture(scope="module")
def healthy() -> History:
    """A night on which nothing goes wrong, and its audit."""
    with Cloud(FLEET, settings=SETTINGS) as cloud:
        cloud.invoke(timer("nightly", "2026-11-24T02:00:00Z", tags=PRODUCTION))
        cloud.platform.drain()
        cloud.invoke(audit(cloud_time(cloud)))
    return history(cloud)


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
        {"last_seen": "2026-11-25T15:42:20.000Z", "job_ids": "10009", "state": "backup_started"},
        {"last_seen": "2026-11-24T03:36:10.000Z", "job_ids": "10005", "state": "backup_succeeded"},
        {"last_seen": "2026-11-24T02:10:00.000Z", "job_ids": "10000", "state": "backup_succeeded"},
    ],
    "failures": [
        {"instance_id": SLOW, "code": "FollowUpExpired", "time": "2026-11-24T09:42:20.000Z"},
        {"instance_id": BROKEN, "code": "BackupJobFailed", "time": "2026-11-24T02:26:10.000Z"},
        {"instance_id": DENIED, "code": "Forbidden.RAM", "time": "2026-11-24T02:00:00.000Z"},
    ],
    "backup-of-a-deployment": [
        {"instance_id": SHARDS, "state": "backup_succeeded", "job_ids": "10006,10007", "trigger_id": "release-42"},
        {"instance_id": STANDARD, "state": "backup_succeeded", "job_ids": "10005", "trigger_id": "release-42"},
    ],
    "age-of-newest-backup": [
        {"instance_id": SHARDS, "newest_since": "2026-11-24T03:26:10Z", "hours": pytest.approx(36.1, abs=0.01)},
        {"instance_id": STANDARD, "newest_since": "2026-11-24T03:26:10Z", "hours": pytest.approx(36.1, abs=0.01)},
    ],
    "no-recent-backup": [
        {"region": "cn-hangzhou", "instance_id": SHARDS, "found": "2026-11-25T15:42:20.000Z"},
        {"region": "cn-hangzhou", "instance_id": STANDARD, "found": "2026-11-25T15:42:20.000Z"},
    ],
    "open-now": [{"instance_id": STANDARD, "state": "backup_started", "job_ids": "10009", "code": None}],
    "denied": [
        {
            "hint": "grant kvstore:DescribeInstanceAttribute on "
            f"acs:kvstore:cn-hangzhou:1234567890123456:instance/{DENIED} to the function's role",
            "records": 1,
        }
    ],
    "errors-by-kind": [
        {"kind": "permanent", "code": "BackupJobFailed"},
        {"kind": "unknown", "code": "FollowUpExpired"},
        {"kind": "permanent", "code": "Forbidden.RAM"},
    ],
    "expired": [{"instance_id": SLOW, "job_ids": "10008", "message": "still running 6 h after the request"}],
    "refused": [{"trigger_kind": "manual", "time": "2026-11-24T09:42:20.000Z"}],
    "durations-and-sizes": [
        {"instance_id": SHARDS, "backups": 2, "average_seconds": 160, "longest_seconds": 160},
        {"instance_id": STANDARD, "backups": 2, "average_seconds": 95, "longest_seconds": 95},
    ],
}

EVENTS_IN_ORDER = 'SELECT "message.event" AS event FROM log ORDER BY "message.time"'


def rows(query: str, past: History) -> list[dict[str, Any]]:
    return INDEX.run(query, past.logs, past.now)


def fires(alert: dict[str, Any], past: History) -> bool:
    """Whether its condition, `column < or > number`, holds for the first row of its query."""
    (severity,) = alert["configuration"]["severityConfigurations"]
    column, comparison, limit = severity["evalCondition"]["condition"].split()
    value = rows(alert["configuration"]["queryList"][0]["query"], past)[0][column]
    return {"<": value < int(limit), ">": value > int(limit)}[comparison]


def test_the_index_has_every_field_that_is_written_and_no_other(eventful: History) -> None:
    types = {str: "text", bool: "text", int: "long", float: "double"}
    written = {name: types[type(value)] for record in eventful.records for name, value in record.items()}
    assert written == INDEX.fields


def test_the_index_can_be_created_as_it_is() -> None:
    index = rendered("log-index.json")
    assert (set(index), index["max_text_len"]) == ({"line", "keys", "max_text_len"}, 2048)
    message = index["keys"]["message"]
    assert (message["type"], message["doc_value"], message["index_all"]) == ("json", True, True)
    assert all(each["doc_value"] for each in message["json_keys"].values())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_query_names_fields_that_exist_and_more_rows_than_the_default(name: str) -> None:
    assert set(re.findall(r"message\.(\w+)", SHIPPED[name])) <= set(INDEX.fields)
    assert " LIMIT " in SHIPPED[name] or "GROUP BY" not in SHIPPED[name]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_query_runs_on_an_empty_log_store_too(name: str) -> None:
    assert len(rows(SHIPPED[name], History([], 0.0, []))) <= 1


@pytest.mark.parametrize("name", FOUND)
def test_a_saved_query_finds_what_it_should(name: str, eventful: History) -> None:
    found = rows(QUERIES[name]["searchQuery"], eventful)
    assert [{column: row[column] for column in FOUND[name][0]} for row in found] == FOUND[name]


def test_the_story_of_an_event_holds_its_follow_ups(eventful: History) -> None:
    story = rows(QUERIES["story-of-an-event"]["searchQuery"], eventful)
    own = [each for each in eventful.records if each.get("trigger_id") == "nightly@2026-11-24T02:00:00Z"]
    assert [(each["time"], each["event"]) for each in story] == [(each["time"], each["event"]) for each in own]
    assert {each["trigger_kind"] for each in story} == {"timer", "follow"}


def test_what_an_audit_sees_makes_no_backup_look_newer(healthy: History) -> None:
    seen = [each for each in healthy.records if each["event"] == "backup_succeeded"]
    assert {each["reason"] for each in seen if each["trigger"] == "timer"} == {"audit"}
    newest = rows(QUERIES["age-of-newest-backup"]["searchQuery"], healthy)
    assert {each["newest_since"] for each in newest} == {"2026-11-24T02:00:00Z"}


@pytest.mark.parametrize(
    ("search", "records"),
    [
        ("message.job_ids: 10006", ["backup_started", "backup_adopted", "backup_succeeded"]),
        ("message.event: backup_adopted and message.job_ids: 10005", ["backup_adopted"]),
    ],
)
def test_a_job_id_is_found_among_several(search: str, records: list[str], eventful: History) -> None:
    found = rows(f"{search} | {EVENTS_IN_ORDER}", eventful)
    assert [each["event"] for each in found] == records


def test_every_saved_query_has_its_test() -> None:
    assert set(QUERIES) == {*FOUND, "story-of-an-event"}


def test_alerts_fire_on_a_bad_night_and_only_then(eventful: History, healthy: History) -> None:
    assert {name: (fires(each, eventful), fires(each, healthy)) for name, each in ALERTS.items()} == {
        "backup-failed": (True, False),
        "backup-overdue": (True, False),
        "audit-missing": (False, False),
        "follow-up-expired": (True, False),
        "denied": (True, False),
        "event-refused": (True, False),
        "function-broken": (True, False),
    }


def test_an_audit_that_does_not_run_is_noticed() -> None:
    assert fires(ALERTS["audit-missing"], History([], 0.0, []))


def test_a_failure_is_told_by_one_alert(eventful: History) -> None:
    (failed,) = rows(SHIPPED["alerts/backup-failed"], eventful)
    assert failed == {"cnt": 1, "instance_id": BROKEN, "code": "BackupJobFailed"}


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

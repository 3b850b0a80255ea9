"""Every sample in events/ goes through the function, on the default fleet, to its end."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from simulator import Cloud, Fleet, SimulatedClock

EVENTS = Path(__file__).resolve().parent.parent / "events"
STANDARD, SHARDS, CLOUD_NATIVE = "r-bp1zxszhcgatnx01", "r-bp1cluster2shards", "r-bp1cloudnative01"
CREATING, DENIED = "r-bp1beingcreated1", "r-bp1notyours00001"
REQUEST_ID = "1-6b04efa0-127fbe39cd7681596e33ebad"  # of 02:00:00, as FC 3.0 makes them


def seen(records: list[dict[str, Any]]) -> dict[str, str]:
    """What the records say last of each instance. (The lines of a raised error's text are no records.)"""
    found = [each for each in records if "instance_id" in each and "event" in each]
    return {each["instance_id"]: each["event"].removeprefix("backup_") for each in found}


def outcome(cloud: Cloud, event: bytes) -> dict[str, Any]:
    """What one event came to: the answer to it, and where its instances ended up."""
    first = cloud.invoke(event, request_id=REQUEST_ID)
    cloud.platform.drain()
    report = first.records[-1]
    fields = ("trigger", "trigger_id", "since", "reason", "dry_run")
    return {
        "answer": first.error["errorType"] if first.error else first.result.get("statusCode", "report"),
        **{name: report[name] for name in fields if name in report},
        "at first": seen(first.records),
        "in the end": seen(cloud.logs.records),
    }


def expected(
    trigger: str,
    trigger_id: str,
    since: str,
    *instances: str,
    answer: str | int = "report",
    reason: str | None = None,
    dry_run: bool = False,
    at_first: str | dict[str, str] = "started",
    in_the_end: str | dict[str, str] = "succeeded",
) -> dict[str, Any]:
    """An `outcome`; a state alone is that of all the instances."""
    return {
        "answer": answer,
        "trigger": trigger,
        "trigger_id": trigger_id,
        "since": since,
        **({"reason": reason} if reason else {}),
        "dry_run": dry_run,
        "at first": dict.fromkeys(instances, at_first) if isinstance(at_first, str) else at_first,
        "in the end": dict.fromkeys(instances, in_the_end) if isinstance(in_the_end, str) else in_the_end,
    }


BATCH = expected(
    "eventbridge",
    "0c5f2a30-1111-4476-bdef-5d6fb57f0046,0c5f2a30-2222-4476-bdef-5d6fb57f0047",
    "2026-11-24T10:00:04Z",
    STANDARD,
    SHARDS,
    CLOUD_NATIVE,
    reason="release 46 of shop/web,release 47 of shop/api",
)
SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {  # the clock at the event's arrival, and the outcome
    "manual.json": (
        "2026-11-24T02:00:00Z",
        expected("manual", REQUEST_ID, "2026-11-24T02:00:00Z", STANDARD, SHARDS, reason="before release 42"),
    ),
    "manual-list.json": (
        "2026-11-24T02:00:00Z",
        expected("manual", REQUEST_ID, "2026-11-24T02:00:00Z", STANDARD, SHARDS),
    ),
    "manual-ids.txt": (
        "2026-11-24T02:00:00Z",
        expected("manual", REQUEST_ID, "2026-11-24T02:00:00Z", STANDARD, SHARDS),
    ),
    "tags.json": (
        "2026-11-24T02:00:00Z",
        expected("manual", REQUEST_ID, "2026-11-24T02:00:00Z", STANDARD, reason="before the sale"),
    ),
    "timer.json": (
        "2026-11-24T02:00:01Z",
        expected(
            "timer",
            "nightly@2026-11-24T02:00:00Z",
            "2026-11-24T02:00:00Z",
            answer="BackupFailed",
            reason="nightly",
            at_first={
                STANDARD: "started",
                SHARDS: "started",
                CLOUD_NATIVE: "started",
                CREATING: "pending",
                DENIED: "failed",
            },
            in_the_end={**dict.fromkeys((STANDARD, SHARDS, CLOUD_NATIVE, CREATING), "succeeded"), DENIED: "failed"},
        ),
    ),
    "timer-text.json": (
        "2026-11-24T03:00:01Z",
        expected("timer", "hourly@2026-11-24T03:00:00Z", "2026-11-24T03:00:00Z", STANDARD, CLOUD_NATIVE),
    ),
    "audit.json": (
        "2026-11-24T02:30:01Z",
        expected(
            "timer",
            "audit@2026-11-24T02:30:00Z",
            "2026-11-24T02:30:00Z",
            STANDARD,
            SHARDS,
            CLOUD_NATIVE,
            reason="audit",
            dry_run=True,
            at_first="planned",
            in_the_end="planned",
        ),
    ),
    "eventbridge-predeploy.json": (
        "2026-11-24T09:15:02Z",
        expected(
            "eventbridge",
            "7adc8c1a-645d-4476-bdef-5d6fb57f0042",
            "2026-11-24T09:15:00.25Z",
            STANDARD,
            SHARDS,
            reason="release 42 of shop/web",
        ),
    ),
    "eventbridge-json-text.json": (
        "2026-11-24T09:20:02Z",
        expected(
            "eventbridge",
            "7adc8c1a-645d-4476-bdef-5d6fb57f0043",
            "2026-11-24T09:20:00Z",
            STANDARD,
            CLOUD_NATIVE,
            reason="release 43 of shop/web",
        ),
    ),
    "eventbridge-base64.json": (
        "2026-11-24T09:25:02Z",
        expected(
            "eventbridge",
            "7adc8c1a-645d-4476-bdef-5d6fb57f0044",
            "2026-11-24T09:25:00Z",
            SHARDS,
            reason="release 44 of shop/web",
        ),
    ),
    "eventbridge-odd-time.json": (
        "2026-11-24T09:30:02Z",
        expected(
            "eventbridge",
            "7adc8c1a-645d-4476-bdef-5d6fb57f0045",
            "2026-11-24T09:30:01.204Z",
            STANDARD,
            reason="release 45 of shop/web",
        ),
    ),
    "eventbridge-kvstore-maintenance.json": (
        "2026-11-24T06:00:03Z",
        expected("eventbridge", "45ef4dewdwe1-7c35-447a-bd93-fab2cdb3", "2026-11-24T06:00:00Z", STANDARD),
    ),
    "batch-objects.json": ("2026-11-24T10:00:05Z", BATCH),
    "batch-texts.json": ("2026-11-24T10:00:05Z", BATCH),
    "http.json": (
        "2026-11-24T11:00:01Z",
        expected(
            "http",
            "1-6b056e30-127fbe39cd7681596e33ebad",
            "2026-11-24T11:00:00.5Z",
            STANDARD,
            CLOUD_NATIVE,
            answer=202,
            reason="by hand, ticket OPS-7",
        ),
    ),
    "http-base64.json": (
        "2026-11-24T11:00:01Z",
        expected(
            "http",
            "1-6b056e30-127fbe39cd7681596e33ebae",
            "2026-11-24T11:00:00.5Z",
            STANDARD,
            CLOUD_NATIVE,
            answer=202,
            reason="by hand, ticket OPS-7",
        ),
    ),
    "console-template.json": (
        "2026-11-24T02:00:00Z",
        {"answer": "InvalidRequest", "trigger": "manual", "trigger_id": REQUEST_ID, "at first": {}, "in the end": {}},
    ),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_event_comes_to_what_it_asks_for(name: str) -> None:
    arrival, wanted = SAMPLES[name]
    clock = SimulatedClock(datetime.fromisoformat(arrival.replace("Z", "+00:00")).timestamp())
    with Cloud(clock=clock) as cloud:
        assert outcome(cloud, (EVENTS / name).read_bytes()) == wanted


def test_the_timer_sample_names_the_whole_default_fleet() -> None:
    payload = json.loads(json.loads((EVENTS / "timer.json").read_text())["payload"])
    assert set(payload["instance_ids"]) == {each.id for each in Fleet.load()}


def test_every_file_has_its_test() -> None:
    assert {path.name for path in EVENTS.iterdir()} == set(SAMPLES)

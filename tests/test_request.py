"""From bytes to requests: every event shape, every field, every fault."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_backup.context import request_time
from redis_backup.errors import EXAMPLE, InvalidRequest
from redis_backup.followups.payload import read_follow_up
from redis_backup.request.events import JsonObject, TriggerKind, read_events
from redis_backup.request.instances import InstanceRef
from redis_backup.request.reader import Defaults, read_request
from redis_backup.request.request import FollowUpInfo, Request, SharedInstance, Totals, merge

NOW = datetime(2026, 11, 24, 2, 0, 0, tzinfo=timezone.utc)
REQUEST_ID = "1-6b04ef9f-127fbe39cd7681596e33ebad"  # a second before
A, B, C = InstanceRef("cn-hangzhou", "r-a"), InstanceRef("cn-beijing", "r-b"), InstanceRef("cn-hangzhou", "r-c")
MANUAL = Request(TriggerKind.MANUAL, REQUEST_ID, NOW - timedelta(seconds=1), (A,), region="cn-hangzhou")


def read(event: Any, **settings: Any) -> list[Request]:
    raw = event if isinstance(event, bytes) else (event if isinstance(event, str) else json.dumps(event)).encode()
    defaults = Defaults("cn-hangzhou", since=request_time(REQUEST_ID, NOW), **settings)
    return [read_request(each, defaults, NOW, read_follow_up) for each in read_events(raw, REQUEST_ID)]


def same(requests: list[Request], *expected: Request) -> bool:
    """Whether they have the same fields. (Two requests are never equal: each event of a batch has its own.)"""
    return [vars(each) for each in requests] == [vars(each) for each in expected]


def cloud_event(data: Any = None, **attributes: Any) -> dict[str, Any]:
    event = {"id": "e1", "source": "s", "type": "t", "specversion": "1.0", "time": "2026-11-24T01:00:00.250Z"}
    return {**event, **({} if data is None else {"data": data}), **attributes}


def b64(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


EVENTBRIDGE = replace(MANUAL, kind=TriggerKind.EVENTBRIDGE, trigger_id="e1", since=NOW - timedelta(seconds=3599.75))
ASK: dict[str, Any] = {"instance_ids": ["r-a"]}
ARN = "acs:kvstore:cn-hangzhou:1234567890123456:instance/r-a"


@pytest.mark.parametrize(
    "event",
    [ASK, ["r-a"], '"r-a"', "r-a", " r-a\n", {"InstanceId": "r-a"}, {"instance-ids": ["r-a", "cn-hangzhou/r-a"]}, ARN],
)
def test_a_manual_event_is_an_object_a_list_or_a_bare_text(event: Any) -> None:
    assert same(read(event), MANUAL)


BOM = "\ufeff"
MARKED = BOM + json.dumps(ASK)


@pytest.mark.parametrize(
    "event",
    [
        b"\xef\xbb\xbfr-a",
        MARKED,
        MARKED.encode(),
        json.dumps(MARKED),
        {"triggerTime": "2026-11-24T01:00:00Z", "triggerName": "nightly", "payload": MARKED},
        cloud_event(MARKED),
        cloud_event(base64.b64encode(MARKED.encode()).decode()),
        cloud_event(BOM + base64.b64encode(MARKED.encode()).decode()),
        cloud_event(data_base64=base64.b64encode(MARKED.encode()).decode()),
        [BOM + json.dumps(cloud_event(MARKED))],
        {"body": MARKED, "requestContext": {}},
        {"body": base64.b64encode(MARKED.encode()).decode(), "isBase64Encoded": True, "requestContext": {}},
        {"body": BOM + json.dumps(cloud_event(MARKED)), "requestContext": {}},
    ],
)
def test_a_byte_order_mark_does_not_hurt_wherever_there_is_json(event: Any) -> None:
    assert read(event)[0].instances == (A,)


@pytest.mark.parametrize("payload", [json.dumps(ASK), "r-a", "r-a,r-a", ASK])
def test_a_timers_request_is_its_payload(payload: Any) -> None:
    event = {"triggerTime": "2026-11-24T01:00:00Z", "triggerName": "nightly", "payload": payload}
    since = NOW - timedelta(hours=1)
    trigger_id = "nightly@2026-11-24T01:00:00Z"
    assert same(read(event), replace(MANUAL, kind=TriggerKind.TIMER, trigger_id=trigger_id, since=since))


@pytest.mark.parametrize(
    "data",
    [
        ASK,
        json.dumps(ASK),
        b64(ASK),
        b64(ASK)[:20] + "\n" + b64(ASK)[20:],
        json.dumps(json.dumps(ASK)),
        ["r-a"],
        "r-a",
        {**ASK, "name": "own", "scope": 100},
    ],
)
def test_a_cloud_events_request_is_its_data_in_any_form(data: Any) -> None:
    assert same(read(cloud_event(data)), EVENTBRIDGE)


@pytest.mark.parametrize(
    "data", [None, {}, {"name": "x"}, "some text", 5, True, "", [], {"instance_ids": []}, {"instance_id": ""}]
)
def test_a_cloud_event_that_names_none_means_the_instance_of_its_subject(data: Any) -> None:
    assert same(read(cloud_event(data, subject=ARN)), EVENTBRIDGE)


def test_a_cloud_events_data_base64_counts_too() -> None:
    assert same(read(cloud_event(data_base64=b64(ASK))), EVENTBRIDGE)


@pytest.mark.parametrize(
    ("attributes", "since"),
    [
        ({"time": "2026-11-24T01:00:00Z"}, "2026-11-24T01:00:00Z"),
        ({"time": "2026-11-24T01:00:00Z", "aliyunpublishtime": "2026-11-24T01:00:02Z"}, "2026-11-24T01:00:00Z"),
        ({"time": "2026-11-24T01:00:03Z", "aliyunpublishtime": "2026-11-24T01:00:02Z"}, "2026-11-24T01:00:02Z"),
        (
            {"time": "2026-11-24T09:00:00.1Asia/Shanghai", "aliyunpublishtime": "2026-11-24T09:00:02PRC"},
            "2026-11-24T01:00:02Z",
        ),
        ({"time": None, "aliyunpublishtime": "2026-11-24T01:00:02.5Z"}, "2026-11-24T01:00:02.5Z"),
        ({"time": "nonsense"}, "2026-11-24T02:00:00Z"),
        ({"time": 5, "aliyunpublishtime": "PRC"}, "2026-11-24T02:00:00Z"),
    ],
)
def test_since_is_a_time_that_is_the_same_at_every_delivery(attributes: dict[str, Any], since: str) -> None:
    event = cloud_event(ASK, **attributes)
    assert same(read(event), *read({**event, "data": {**ASK, "since": since}}))
    assert bool(read_events(json.dumps(event), "")[0].warning) == (since == "2026-11-24T02:00:00Z")


@pytest.mark.parametrize("wrap", [lambda event: event, json.dumps])
def test_a_batch_is_one_fan_out_in_which_the_strictest_event_has_an_instance(wrap: Any) -> None:
    later = cloud_event({"instance_ids": ["r-a", "r-c"]}, id="e2", time="2026-11-24T01:30:00Z")
    requests, shared = merge(read([wrap(cloud_event({"instance_ids": "r-a,cn-beijing/r-b"})), wrap(later)]))
    first, second = replace(EVENTBRIDGE, instances=(B,)), replace(EVENTBRIDGE, trigger_id="e2", instances=(A, C))
    assert same(requests, first, replace(second, since=NOW - timedelta(minutes=30)))
    assert shared == [SharedInstance(requests[0], requests[1], A)]


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize(
    ("strict", "lenient"),
    [
        ({"since": "2026-11-24T01:00:00Z"}, {"since": "2026-11-24T01:59:00Z", "max_age_minutes": 60}),
        ({"since": "2026-11-24T01:59:00Z"}, {"since": "2026-11-24T01:58:59Z"}),
        ({"since": "2026-11-24T01:00:00Z"}, {"since": "2026-11-24T01:59:00Z", "dry_run": True}),
    ],
    ids=["one accepts older backups", "one is older", "one only asks"],
)
def test_the_latest_earliest_begin_is_the_strictest_and_no_max_age_is_lent(
    strict: dict[str, Any], lenient: dict[str, Any], is_reversed: bool
) -> None:
    asked = [cloud_event({**ASK, **strict}, id="strict"), cloud_event({**ASK, **lenient}, id="lenient")]
    requests, shared = merge(read(asked[::-1] if is_reversed else asked))
    by_id = {request.trigger_id: request for request in requests}
    assert {each: request.instances for each, request in by_id.items()} == {"strict": (A,), "lenient": ()}
    assert (by_id["strict"].max_age, by_id["strict"].dry_run) == (timedelta(0), False)
    assert [(each.request.trigger_id, each.owner.trigger_id, each.instance) for each in shared] == [
        ("lenient", "strict", A)
    ]


@pytest.mark.parametrize(
    ("first", "second", "known"), [(["1", "2"], ["2", "3"], ("1", "2")), ([], ["2", "3"], ("2", "3"))]
)
def test_the_event_that_has_an_instance_knows_its_own_jobs_or_another_s(
    first: list[str], second: list[str], known: tuple[str, ...]
) -> None:
    """Never both: as one list they would be jobs of one backup."""
    batch = [{**ASK, "jobs": {"r-a": first}}, {**ASK, "jobs": {"r-a": second}}]
    requests, _ = merge(read([cloud_event(data, id=str(number)) for number, data in enumerate(batch)]))
    assert [request.jobs for request in requests] == [{"cn-hangzhou/r-a": known}, {}]


def test_more_instances_than_allowed_are_refused_in_each_event_by_itself() -> None:
    with pytest.raises(
        InvalidRequest, match=r"names 3 instances but must name at most 2; raise BACKUP_MAX_INSTANCES in"
    ):
        read(["r-a", "r-b", "r-c"], max_instances=2)
    assert len(read([cloud_event("r-a, r-b"), cloud_event("r-c")], max_instances=2)) == 2


@pytest.mark.parametrize("is_base64", [False, True])
def test_an_http_triggers_request_is_its_body(is_base64: bool) -> None:
    body = {**ASK, "own": "field"}
    event = {
        "version": "v1",
        "body": b64(body) if is_base64 else json.dumps(body),
        "isBase64Encoded": is_base64,
        "headers": {"Authorization": "secret"},
        "requestContext": {"http": {"method": "POST"}, "requestId": "1-x", "timeEpoch": "1795481999500"},
    }
    since = NOW - timedelta(seconds=3600.5)
    assert same(read(event), replace(MANUAL, kind=TriggerKind.HTTP, trigger_id="1-x", since=since))


POSTED = {
    "structured": ({"Content-Type": "application/cloudevents+json"}, json.dumps(cloud_event(ASK))),
    "structured, data in text": ({}, json.dumps(cloud_event(json.dumps(ASK)))),
    "structured, for its subject": ({}, json.dumps(cloud_event({"own": 1}, subject=ARN))),
    "binary": (
        {
            "ce-id": "e1",
            "ce-source": "s",
            "ce-type": "t",
            "Ce-SpecVersion": "1.0",
            "CE-Time": "2026-11-24T01:00:00.25Z",
        },
        json.dumps({**ASK, "own": 1}),
    ),
    "binary, headers in lists": (
        {"Ce-Id": ["e1"], "Ce-Specversion": ["1.0"], "Ce-Time": ["2026-11-24T01:00:00.25Z"], "Accept": ["*/*"]},
        json.dumps(ASK),
    ),
    "binary, for its subject": (
        {"ce-id": "e1", "ce-specversion": "1.0", "ce-time": "2026-11-24T01:00:00.25Z", "ce-subject": ARN},
        "",
    ),
}


@pytest.mark.parametrize("is_base64", [False, True])
@pytest.mark.parametrize("name", POSTED)
def test_a_cloud_event_that_is_posted_is_read_as_one(name: str, is_base64: bool) -> None:
    headers, body = POSTED[name]
    event = {
        "version": "v1",
        "headers": headers,
        "body": base64.b64encode(body.encode()).decode() if is_base64 else body,
        "isBase64Encoded": is_base64,
        "requestContext": {"http": {"method": "POST"}, "requestId": "1-x", "timeEpoch": "1795485599000"},
    }
    assert same(read(event), replace(EVENTBRIDGE, kind=TriggerKind.HTTP))


def test_a_posted_cloud_event_without_a_time_has_that_of_its_http_request() -> None:
    body = {"id": "e1", "source": "s", "type": "t", "specversion": "1.0", "data": ASK}
    event = {"body": json.dumps(body), "requestContext": {"requestId": "1-x", "timeEpoch": "1795485599000"}}
    assert read(event)[0].since == NOW - timedelta(seconds=1)


def test_an_http_body_with_fields_like_a_cloud_event_s_is_none_without_specversion() -> None:
    body = {**ASK, "id": "e1", "time": "2026-11-24T01:00:00Z", "data": {"instance_ids": ["r-c"]}}
    (request,) = read({"body": json.dumps(body), "requestContext": {"requestId": "1-x"}})
    assert (request.instances, request.trigger_id, request.since) == ((A,), "1-x", NOW)


def test_an_http_event_without_epoch_has_its_time() -> None:
    event = {"body": "r-a", "requestContext": {"time": "2026-11-24T01:00:00Z", "requestId": "1-x"}}
    assert read(event)[0].since == NOW - timedelta(hours=1)


def test_every_field_is_read_however_it_is_spelt() -> None:
    event = {
        "InstanceIds": "r-a, cn-beijing/r-b\nr-a",
        "Tags": {"env": "prod"},
        "Region": "cn-shanghai",
        "SINCE": "2026-11-24T01:00:00Z",
        "maxAgeMinutes": 90,
        "retention-days": 30,
        "WaitSeconds": 5,
        "dryRun": True,
        "reason": " before\nrelease  42 ",
        "jobs": {"r-a": [1, "2"], "cn-beijing/r-b": "3,4"},
    }
    shanghai = InstanceRef("cn-shanghai", "r-a")
    assert same(
        read(event),
        Request(
            TriggerKind.MANUAL,
            REQUEST_ID,
            NOW - timedelta(hours=1),
            (shanghai, B),
            {"env": "prod"},
            "cn-shanghai",
            timedelta(minutes=90),
            30,
            5,
            True,
            "before release 42",
            {"cn-shanghai/r-a": ("1", "2"), "cn-beijing/r-b": ("3", "4")},
        ),
    )
    assert read(event)[0].earliest_start == NOW - timedelta(minutes=150)


def test_the_settings_retention_is_the_default() -> None:
    assert [
        read(ASK, retention_days=9)[0].retention_days,
        read({**ASK, "retention_days": -1}, retention_days=9)[0].retention_days,
    ] == [9, -1]


def test_a_follow_up_carries_what_it_follows() -> None:
    follow_up = {
        "first": "2026-11-24T01:00:00Z",
        "due": "2026-11-24T02:00:00Z",
        "trigger": "timer",
        "trigger_id": "nightly@x",
        "total": 7,
        "finished": {"succeeded": 2, "failed": 1, "attempts": 4, "failed_ids": ["cn-hangzhou/r-x"]},
    }
    request = read({"follow": follow_up, **ASK, "since": "2026-11-24T01:00:00Z"})[0]
    assert (request.kind, request.trigger_id, request.total) == (TriggerKind.FOLLOW, "nightly@x", 7)
    totals = Totals(succeeded=2, failed=1, attempts=4, failed_ids=("cn-hangzhou/r-x",))
    first = NOW - timedelta(hours=1)
    assert request.follow_up == FollowUpInfo(first, NOW, TriggerKind.TIMER, "nightly@x", 7, totals=totals)


@pytest.mark.parametrize("length", [256, 257, 140_000])
def test_a_cloud_event_s_id_is_cut_where_it_is_long_and_stays_its_own(length: int) -> None:
    one, same_again, other = (
        read(cloud_event(ASK, id="x" * (length - 1) + end))[0].trigger_id for end in ("a", "a", "b")
    )
    assert one == same_again != other
    assert len(one) == 256


FAULTS = [
    ({}, ["instance_ids is missing: the event names no instance"]),
    ("", ["instance_ids is missing"]),
    ({"instance_ids": []}, ["instance_ids is missing"]),
    (
        {"triggerTime": "2026-11-24T01:00:00Z", "triggerName": "n", "payload": ""},
        ["the timer payload names no instance"],
    ),
    (cloud_event({"name": "x"}, subject="acs:oss:x"), ["the CloudEvent data names no instance"]),
    ({"key1": "v", "key2": "v"}, ["unknown fields: key1, key2. Known fields: instance_ids, tags"]),
    ({"instance_idz": ["r-a"], **ASK}, ["unknown field: instance_idz. Known fields: instance_ids, tags"]),
    ("not an id", ["the event is neither JSON nor instance IDs (9 characters)"]),
    ('{"instance_ids": ["r-a"]', ["the event is not valid JSON (line 1, column 25: Expecting"]),
    ({"instance_ids": ["r-a", "bad id"]}, ['not "bad", "id"']),
    (b"\xff\xfe\x00", ["the event is 3 bytes that are not UTF-8"]),
    ("9" * 5000, ["the event is neither JSON nor instance IDs (5000 characters)"]),
    (
        '{"instance_ids": ["r-a"], "wait_seconds": ' + "9" * 5000 + "}",
        ["the event is JSON with a number that is too long"],
    ),
    ({**ASK, "tags": {"env": "\ud800"}}, ['tags must be an object of 1 to 5 strings, not {"env": "\\ud800"}']),
    ({**ASK, "tags": {"\udfff": "production"}}, ["tags must be an object of 1 to 5 strings"]),
    ({**ASK, "\ud800": 1}, ["unknown field: ?. Known fields: "]),
    ({"instance_ids": ["r-a\ud800"]}, ['not "r-a\\ud800"']),
    ("17", ["the event is a number; send a JSON object or instance IDs"]),
    ("true", ["the event is a boolean; send"]),
    ("[" * 100_000, ["the event is JSON that is nested too deeply"]),
    ({"instance_ids": ["R-A", 5, "x/y/r-a", "acs:ecs:a:b:instance/i-1", "r-a"]}, ['not "R-A", 5, "x/y/r-a", "acs:ecs']),
    ({"instance_ids": ["r-A"] * 7}, ['"r-A" and 2 more']),
    ({**ASK, "tags": {}}, ["tags must be an object of 1 to 5 strings, not {}"]),
    ({**ASK, "tags": {"a": 1}}, ['tags must be an object of 1 to 5 strings, not {"a": 1}']),
    ({**ASK, "tags": dict.fromkeys("abcdef", "x")}, ["tags must be"]),
    ({**ASK, "region": "cn-" + "x" * 2500}, ["region must be a region such as cn-hangzhou, not"]),
    (
        cloud_event("r-a, R-TYPO", subject=ARN),
        [
            "instance_ids must be r-… (lower-case letters, digits and hyphens), REGION/r-… or acs",
        ],
    ),
    ({**ASK, "region": "Hangzhou"}, ['region must be a region such as cn-hangzhou, not "Hangzhou"']),
    ({**ASK, "since": "yesterday"}, ['since must be an RFC 3339 time such as 2026-11-24T02:00:00Z, not "yesterday"']),
    ({**ASK, "since": 5}, ["since must be an RFC 3339 time"]),
    (
        {**ASK, "since": "2026-11-24T02:00:31Z"},
        ["since is 2026-11-24T02:00:31Z, but the function's clock says 2026-11-24T02:00:00Z; use a time at most"],
    ),
    ({**ASK, "since": "1999-12-31T23:59:59Z"}, ["but must be in the year 2000 or later"]),
    ({**ASK, "max_age_minutes": -1}, ["max_age_minutes must be an integer from 0 to 5256000, not -1"]),
    ({**ASK, "max_age_minutes": 10**9}, ["max_age_minutes must be"]),
    (
        {**ASK, "retention_days": 6},
        ["retention_days must be 7 to 730, or -1 to keep the backup as long as the instance lives, not 6"],
    ),
    ({**ASK, "retention_days": "30"}, ["retention_days must be"]),
    ({**ASK, "retention_days": True}, ["retention_days must be"]),
    ({**ASK, "wait_seconds": 1.5}, ["wait_seconds must be an integer of 0 or more, not 1.5"]),
    ({**ASK, "dry_run": "yes"}, ['dry_run must be true or false, not "yes"']),
    ({**ASK, "reason": "x" * 201}, ["reason must be a string of at most 200 characters, not"]),
    ({**ASK, "reason": 5}, ["reason must be a string"]),
    ({**ASK, "jobs": {"r-a": ["<"]}}, ["jobs must be an object with a list of job IDs for each REGION/r-…"]),
    ({**ASK, "jobs": {"x": ["1"]}}, ["jobs must be"]),
    ({**ASK, "jobs": ["1"]}, ["jobs must be"]),
    ({**ASK, "dry_run": True, "DryRun": False}, ["dry_run is given twice"]),
    ({"follow": {}, **ASK}, ["follow must be an object with first, due and trigger_id"]),
    ({"follow": "x", **ASK}, ["follow must be"]),
    (
        {"wait_seconds": -1, "dry_run": 1, "x": 1},
        ["unknown field: x. Known", "wait_seconds must be", "dry_run must be"],
    ),
    ({"body": "%", "isBase64Encoded": True, "requestContext": {}}, ["the HTTP body is not base64"]),
    ({"body": "/w==", "isBase64Encoded": True, "requestContext": {}}, ["the HTTP body is not UTF-8"]),
    ({"body": "[" * 100_000, "requestContext": {}}, ["the HTTP body is JSON that is nested too deeply"]),
    ({"body": "x" * 1_000_001, "requestContext": {}}, ["HTTP body is 1000001 characters long"]),
]


@pytest.mark.parametrize(("event", "faults"), FAULTS)
def test_all_faults_are_named_at_once(event: Any, faults: list[str]) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read(event)
    found = raised.value.errors
    assert len(found) == len(faults), found
    for fault, expected in zip(found, faults, strict=True):
        assert expected in fault
    assert str(raised.value).endswith(f". Nothing was started. An event that works: {EXAMPLE}")
    assert len(str(raised.value)) < 3000


def test_many_faults_are_counted() -> None:
    with pytest.raises(InvalidRequest, match=r"field19 and 20 more\. Known fields: "):
        read({f"field{number}": 1 for number in range(40)})
    error = InvalidRequest(
        [f"event {number} of 120: instance_ids must be r-… (lower-case" * 2 for number in range(120)]
    )
    assert (len(error.errors), len(str(error).encode()) <= 8192) == (120, True)
    assert re.search("; and [0-9]+ more. Nothing was started", str(error))


def test_a_very_long_wait_is_as_long_as_there_is_time() -> None:
    assert read({**ASK, "wait_seconds": 10**300})[0].wait_seconds == 86_400


def test_an_http_body_is_read_as_it_is() -> None:
    body = json.dumps({"tags": {"app": "a  b"}})
    assert read({"body": body, "requestContext": {}})[0].tags == {"app": "a  b"}
    assert read({"body": {"tags": {"app": "x"}}, "requestContext": {}})[0].tags == {"app": "x"}


def test_an_empty_region_before_an_id_is_refused() -> None:
    """As a pipeline writes it whose variable is not set: `$REGION/r-a`."""
    with pytest.raises(InvalidRequest, match='instance/r-…, not "/r-a"'):
        read({"instance_ids": ["/r-a", "r-b"]})


def test_a_region_must_come_from_somewhere() -> None:
    nowhere = Defaults(region="")
    (unnamed,), (named,) = read_events(b"r-a", REQUEST_ID), read_events(b"cn-beijing/r-b", "")
    with pytest.raises(InvalidRequest, match="region is missing, and the runtime names none"):
        read_request(unnamed, nowhere, NOW, read_follow_up)
    assert read_request(named, nowhere, NOW, read_follow_up).instances == (B,)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FIELD = st.sampled_from(
    [
        "instance_ids",
        "InstanceId",
        "tags",
        "region",
        "since",
        "max_age_minutes",
        "retention_days",
        "wait_seconds",
        "dry_run",
        "reason",
        "jobs",
        "follow",
        "payload",
        "triggerTime",
        "triggerName",
        "id",
        "source",
        "type",
        "specversion",
        "data",
        "subject",
        "time",
        "aliyunpublishtime",
        "body",
        "isBase64Encoded",
        "requestContext",
        "key1",
    ]
)
VALUE = JSON | st.sampled_from(
    ["r-a", "cn-beijing/r-b", ARN, "2026-11-24T02:00:00Z", {"r-a": ["1"]}, ["r-a"], 7, {"http": 1}]
)
SHAPED = st.dictionaries(FIELD, VALUE, max_size=7)


@given(
    st.binary()
    | JSON.map(json.dumps)
    | SHAPED.map(json.dumps)
    | st.lists(SHAPED.map(json.dumps) | SHAPED).map(json.dumps)
)
def test_whatever_the_bytes_it_is_requests_or_an_invalid_request(raw: bytes | str) -> None:
    try:
        requests = read(raw)
    except InvalidRequest as error:
        str(error).encode()
        faults = error.errors
        requests = []
    else:
        faults = ()
        assert all(request.instances or request.tags for request in requests)
        assert all(request.since - NOW <= timedelta(seconds=30) for request in requests)
        merge(requests)
    assert bool(faults) != bool(requests)


@pytest.mark.parametrize(
    ("event", "errors"),
    [
        ('{"instance_ids": "r-a", "region": "cn-beijing", "region": "cn-hangzhou"}', ["region is given twice"]),
        ('{"instance_ids": ["r-a"], "instance_ids": ["r-b"]}', ["instance_ids is given twice"]),
        ('{"tags": {"env": "production", "env": "staging"}}', ["tags.env is given twice"]),
        (
            '{"specversion": "1.0", "data": {"tags": {"a": "b"}, "region": "x", "region": "y"}}',
            ["region is given twice"],
        ),
        (
            {"triggerTime": "", "payload": '{"tags": {"a": "b"}, "dry_run": true, "dry_run": false}'},
            ["dry_run is given twice"],
        ),
        ('{"instance_ids": "r-a", "dry_run": 1, "dry_run": true}', ["dry_run is given twice"]),
        ('{"tags": {"a": "1", "a": "2"}, "tags": {"a": "2"}}', ["tags is given twice"]),
        (
            '{"specversion": "1.0", "time": "2026-11-24T01:00:00Z", "time": "2026-11-24T02:00:00Z", "data": "r-a"}',
            ["the CloudEvent has time twice, with different values; send one"],
        ),
        (
            {"body": '{"specversion": "1.0", "data": "r-a", "data": "r-b"}', "requestContext": {}},
            ["the CloudEvent has data twice, with different values; send one"],
        ),
        (
            '{"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "n", "payload": "r-a", "payload": "r-b"}',
            ["the timer event has payload twice, with different values; send one"],
        ),
    ],
)
def test_a_field_that_is_given_twice_with_two_values_is_refused(event: Any, errors: list[str]) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read(event)
    assert list(raised.value.errors) == errors


@pytest.mark.parametrize(
    "event",
    [
        '{"instance_ids": "r-a", "region": "cn-hangzhou", "region": "cn-hangzhou"}',  # one meaning
        '{"instance_ids": "r-a", "region": "cn-hangzhou", "Region": "cn-hangzhou"}',
        '{"instance_ids": "r-a", "InstanceId": null}',
        '{"specversion": "1.0", "id": 1, "id": 2, "data": {"instance_ids": "r-a", "theirs": 1, "theirs": 2}}',
        '{"specversion": "1.0", "data": {"instance_ids": "r-a", "theirs": {"region": "a", "region": "b"}, "x": NaN}}',
    ],
)
def test_what_is_not_a_field_of_the_request_may_be_given_twice(event: str) -> None:
    assert read(event)[0].instances == (A,)


def test_a_number_that_is_not_equal_to_itself_is_not_given_twice() -> None:
    assert JsonObject.from_pairs([("a", float("nan")), ("b", 1), ("b", 1.0)]).repeated == ()

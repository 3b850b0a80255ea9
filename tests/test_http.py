"""The HTTP trigger's answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator import Fault, Instance, ram


def post(cloud: Any, body: Any, method: str = "POST", **fields: Any) -> tuple[int, Any]:
    event = {
        "version": "v1",
        "rawPath": "/",
        "body": body if isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
        "headers": {"Authorization": "SECRETKEY-http"},
        "queryParameters": {},
        "requestContext": {"http": {"method": method}, "requestId": "1-http", "timeEpoch": "1795485600000"},
        **fields,
    }
    invocation = cloud.invoke(event)
    assert invocation.error is None
    assert "SECRETKEY" not in invocation.everything()
    answer = invocation.result
    assert answer["headers"]["Content-Type"] == "application/json; charset=utf-8"
    assert answer["isBase64Encoded"] is False
    return answer["statusCode"], json.loads(answer["body"])


def test_not_done_is_202_then_done_is_200(make_cloud) -> None:
    cloud = make_cloud()
    status, report = post(cloud, {"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"})
    assert (status, report["counts"], report["trigger"]) == (202, {"running": 1}, {"kind": "http", "id": "1-http"})
    cloud.clock.advance(100)
    assert post(cloud, {"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"})[0] == 200


def test_failed_is_502_with_the_report(make_cloud) -> None:
    status, report = post(make_cloud(), {"instance_ids": "r-1 r-gone"})
    assert (status, report["counts"]) == (502, {"running": 1, "failed": 1})


def test_pending_that_nothing_follows_is_202(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", status="Changing"), policy=ram.allow(["kvstore:*"], ["*"]))
    assert post(cloud, {"instance_ids": "r-1"})[0] == 202


@pytest.mark.parametrize("body", ["", "{}", "hello world", {"instance_ids": "?"}, "[1]", "x" * 1_000_001])
def test_an_invalid_request_is_400(make_cloud, body: Any) -> None:
    status, answer = post(make_cloud(), body)
    assert (status, answer["error"]["type"]) == (400, "InvalidRequest")
    assert answer["error"]["errors"]


def test_too_many_instances_are_400(make_cloud) -> None:
    status, answer = post(make_cloud(), {"instance_ids": [f"r-{number}" for number in range(1001)]})
    assert (status, "at most 1000" in answer["error"]["message"]) == (400, True)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_another_method_is_405_with_a_hint(make_cloud, method: str) -> None:
    cloud = make_cloud()
    status, answer = post(cloud, "", method)
    assert (status, answer["error"]["errors"]) == (
        405,
        [f"the HTTP method is {method} but must be POST; send a JSON object"],
    )
    assert cloud.calls == []


def test_tags_that_cannot_be_looked_up_are_502(make_cloud) -> None:
    cloud = make_cloud()
    cloud.faults.plan("DescribeInstances", [Fault("reset")] * 16)
    status, answer = post(cloud, {"tags": {"a": "b"}})
    assert (status, answer["error"]["type"]) == (502, "NoAnswer")


def test_tags_are_not_said_to_select_none_where_a_list_could_not_be_had(make_cloud) -> None:
    """The list of type Tair is empty; the one of all types, which would show the instance, gave no answer."""
    cloud = make_cloud(Instance("r-1", tags={"a": "b"}))
    cloud.faults.plan("DescribeInstances", [Fault("reset")] * 6)
    assert post(cloud, {"tags": {"a": "b"}})[0] == 502


@pytest.mark.parametrize("is_structured", [True, False])
def test_a_cloud_event_that_is_posted_is_answered_as_any_http_request(make_cloud, is_structured: bool) -> None:
    cloud = make_cloud()
    since = "2026-11-24T01:59:55Z"
    attributes = {"id": "release-42", "source": "pipeline", "type": "release", "specversion": "1.0", "time": since}
    data = {"instance_ids": ["r-1"], "release": 42}
    if is_structured:
        status, report = post(cloud, {**attributes, "data": data})
    else:
        status, report = post(cloud, data, headers={f"Ce-{name.title()}": text for name, text in attributes.items()})
    assert (status, report["counts"]) == (202, {"running": 1})
    assert (report["trigger"], report["since"]) == ({"kind": "http", "id": "release-42"}, since)
    status, answer = post(cloud, {**attributes, "data": {"release": 42}})
    assert (status, answer["error"]["type"]) == (400, "InvalidRequest")
    assert "the CloudEvent data names no instance" in answer["error"]["message"]

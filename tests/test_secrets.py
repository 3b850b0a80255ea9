"""Recognisable secrets are planted wherever there are any; then everything that left the process is searched."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_backup.api_errors import redact
from simulator import Cloud, Faults, FunctionConfig, Instance, ram
from simulator.faults import KINDS

MARKS = ("SECRETKEY", "SECRETTOKEN", "SECRETURLSIGNATURE", "SECRETDIAGNOSTIC", "STS.", "Signature=", "FC STS")


def searched(cloud: Cloud) -> list[str]:
    """What secrets got out, by any way: stdout, stderr, logging, the answers and the errors."""
    assert cloud.platform.invocations
    text = "\n".join(invocation.everything() for invocation in cloud.platform.invocations)
    return [mark for mark in MARKS if mark in text]


@pytest.fixture
def _loud() -> Any:
    """As a runtime whose root logger has a handler and lets everything through."""
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.DEBUG)
    logging.disable(logging.NOTSET)
    yield
    root.setLevel(level)


@pytest.mark.usefixtures("_loud")
@pytest.mark.parametrize("generation", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_no_fault_lets_a_secret_out(make_cloud, kind: str, generation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", "sdk")
    faults = Faults(0.5, seed=1, kinds=[kind])
    cloud = make_cloud(
        Instance("r-1"),
        Instance("r-n", kind="cloud-native"),
        faults=faults,
        function=FunctionConfig(generation=generation),
    )
    cloud.invoke_async({"instance_ids": "r-1 r-n", "reason": "why"})
    cloud.platform.drain(100)
    assert searched(cloud) == []


@pytest.mark.usefixtures("_loud")
@pytest.mark.parametrize("generation", [2, 3])
def test_no_denial_lets_a_secret_out(make_cloud, generation: int) -> None:
    cloud = make_cloud(
        Instance("r-1", denied=True), function=FunctionConfig(generation=generation), policy=ram.allow([], [])
    )
    cloud.invoke({"instance_ids": "r-1"})
    cloud.invoke({"tags": {"a": "b"}})
    assert searched(cloud) == []


@pytest.mark.usefixtures("_loud")
@pytest.mark.parametrize("generation", [2, 3])
def test_a_refused_signature_or_token_lets_no_secret_out(make_cloud, generation: int) -> None:
    """The API's own message quotes what was signed, the token included."""
    cloud = make_cloud(function=FunctionConfig(generation=generation))
    genuine = cloud.credentials.find

    def find(access_key_id: str) -> Any:
        from dataclasses import replace

        return replace(genuine(access_key_id), access_key_secret="another")

    cloud.credentials.find = find
    state = cloud.invoke({"instance_ids": "r-1"}).result["instances"][0]
    assert (state["error"]["code"], state["error"]["kind"]) == ("SignatureDoesNotMatch", "permanent")
    assert searched(cloud) == []


@pytest.mark.parametrize(
    "event",
    [
        "SECRETKEY not json",
        {"password": "SECRETKEY"},
        {"body": "SECRETKEY", "headers": {"Authorization": "SECRETTOKEN"}, "requestContext": {"requestId": "1-x"}},
        {"id": "1", "source": "s", "type": "t", "data": "SECRETKEY", "specversion": "1.0"},
        {"triggerTime": "x", "triggerName": "t", "payload": "SECRETKEY !"},
    ],
)
def test_an_event_is_not_quoted(make_cloud, event: Any) -> None:
    cloud = make_cloud()
    cloud.invoke(event)
    assert searched(cloud) == []


def test_download_urls_stay_where_they_are(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-c", kind="classic-cluster", shards=2))
    cloud.invoke_async({"instance_ids": "r-1 r-c"})
    cloud.platform.drain()
    assert "backup_succeeded" in json.dumps([record["event"] for record in cloud.logs.records])
    assert searched(cloud) == []


@given(st.text(alphabet="ABCabc0189+/=_-%", min_size=40), st.text(max_size=50), st.text(max_size=50))
def test_what_looks_like_a_key_is_not_shown(token: str, before: str, after: str) -> None:
    assert token not in redact(f"{before} {token} {after}", ())
    assert "s3cret" not in redact(f"{before}s3cret{after} https://host/x?Signature=s3cret", ("s3cret",))


def test_names_that_people_need_are_shown() -> None:
    text = "acs:kvstore:cn-hangzhou:1234567890123456:instance/r-bp1zxszhcgatnx01 2FF6158E-3394-4A90-B634-79C49184ABCD"
    assert redact(text, ("secret",)) == text

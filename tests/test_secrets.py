"""Recognisable secrets are planted wherever there are any; then everything that left the process is searched."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_backup.alibaba.api_errors import redact
from simulator import Behaviour, Cloud, Fault, Faults, Fleet, FunctionConfig, Instance, ram
from simulator.faults import KINDS

MARKS = ("SECRETKEY", "SECRETTOKEN", "SECRETDIAGNOSTIC", "STS.", "Signature=", "FC STS")


def searched(cloud: Cloud) -> list[str]:
    """What secrets got out, by any way: stdout, stderr, logging, the answers and the errors."""
    assert cloud.platform.invocations
    text = "\n".join(invocation.everything() for invocation in cloud.platform.invocations)
    return [mark for mark in (*MARKS, *cloud.addresses.secrets) if mark in text]


@pytest.fixture
def _loud() -> Any:
    """As a runtime whose root logger has a handler and lets everything through."""
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.DEBUG)
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
        Instance("r-n", kind="cloud-native", shards=2),
        faults=faults,
        behaviour=Behaviour(always_shards=True),
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
    """Even where R-KVStore shows the files of a cloud-native cluster's shards unasked."""
    cloud = make_cloud(
        Instance("r-1"),
        Instance("r-c", kind="classic-cluster", shards=2),
        Instance("r-n", kind="cloud-native", shards=2),
        behaviour=Behaviour(always_shards=True),
    )
    answers: list[Any] = []
    genuine = cloud.kvstore.operations["DescribeClusterBackupList"]
    cloud.kvstore.operations["DescribeClusterBackupList"] = lambda *call: answers.append(genuine(*call)) or answers[-1]
    cloud.invoke_async({"instance_ids": "r-1 r-c r-n"})
    cloud.platform.drain()
    done = [record["instance_id"] for record in cloud.logs.records if record["event"] == "backup_succeeded"]
    assert sorted(done) == ["r-1", "r-c", "r-n"]
    assert cloud.addresses.secrets
    assert searched(cloud) == []


@given(st.text(alphabet="ABCabc0189+/=_-%", min_size=40), st.text(max_size=50), st.text(max_size=50))
def test_what_looks_like_a_key_is_not_shown(token: str, before: str, after: str) -> None:
    assert token not in redact(f"{before} {token} {after}", ())
    assert "s3cret" not in redact(f"{before}s3cret{after} https://host/x?Signature=s3cret", ("s3cret",))


def test_names_that_people_need_are_shown() -> None:
    text = "acs:kvstore:cn-hangzhou:1234567890123456:instance/r-bp1zxszhcgatnx01 2FF6158E-3394-4A90-B634-79C49184ABCD"
    assert redact(text, ("secret",)) == text


@pytest.mark.usefixtures("_loud")
@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize(("operation", "generation"), [("*", 3), ("InvokeFunction", 2), ("InvokeFunction", 3)])
def test_a_redirect_hands_nothing_to_another_host(
    make_cloud, operation: str, generation: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBUG", "sdk")
    cloud = make_cloud(
        Instance("r-1", tags={"a": "b"}),
        Instance("r-n", kind="cloud-native"),
        function=FunctionConfig(generation=generation),
    )
    operations = [*cloud.kvstore.operations, "InvokeFunction"] if operation == "*" else [operation]
    for each in operations:
        cloud.faults.plan(each, [Fault(f"redirect-{status}")] * (1 if operation == "*" else 20))
    cloud.invoke({"instance_ids": "r-1 r-n"})
    cloud.invoke({"tags": {"a": "b"}})
    cloud.platform.drain(100)
    struck = {call.operation for call in cloud.calls if call.fault}
    assert struck == set(operations)
    assert cloud.redirected == []
    assert searched(cloud) == []


def test_what_redirects_is_told_and_is_no_success(make_cloud) -> None:
    cloud = make_cloud()
    cloud.faults.plan("InvokeFunction", [Fault("redirect-302")] * 20)
    timer = {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "t", "payload": "r-1"}
    invocation = cloud.invoke(timer)
    assert invocation.error
    assert invocation.error["errorType"] == "BackupPending"
    assert "answered with a redirect (HTTP 302), which is never followed" in invocation.error["errorMessage"]


PROJECT = Path(__file__).parents[1]
# As Function Compute's runtime does it: a handler on the root logger, and what escapes the function is logged.
RUNTIME = """
import logging, os, sys
from types import SimpleNamespace
logging.basicConfig(stream=sys.stderr, level=logging.DEBUG, format="LOGGED %(name)s %(levelname)s %(message)s")
import handler
handler.initialize(None)

def invoke(event):
    service = os.environ.get("FC_SERVICE_NAME")
    context = SimpleNamespace(request_id="1-00000000-0", region="cn-hangzhou", account_id="1234567890123456",
                              function=SimpleNamespace(name="redis-backup", timeout=60),
                              service=SimpleNamespace(name=service, qualifier="LATEST") if service else None)
    try:
        return handler.handler(event, context)
    except Exception:
        for name in (None, "fc", "FunctionCompute.runtime", "bootstrap"):
            logging.getLogger(name).exception("escaped")

assert invoke(b"r-1")["counts"] == {"running": 1}  # so that the instance is warm
invoke(b"no request")
"""
LOGGERS = """
import logging, os, sys
import alibabacloud_credentials.client, alibabacloud_r_kvstore20150101.client, alibabacloud_tea_openapi.client, fc2
import aiohttp, apscheduler.schedulers.background, websocket, requests, alibabacloud_credentials.provider.oauth
from redis_backup.alibaba import sdk
harmless = {"charset_normalizer", "tzlocal", *sys.stdlib_module_names}  # they never log what they work on
ours = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] not in harmless]
logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(name)s")
sdk.silence()
for name in [*ours, "asyncio"]:
    logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger(name).error("SECRETKEY")
for folder in ("fc2", "darabonba", "Tea"):
    there = os.path.join("code", folder, "client.py")
    logging.root.handle(logging.LogRecord("root", logging.ERROR, there, 1, "SECRETKEY", (), None))
"""


def run(script: str, environ: dict[str, str]) -> tuple[str, str]:
    """What a fresh process writes to standard output and to standard error."""
    usual = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env={**usual, **environ}, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("generation", [2, 3])
def test_what_escapes_a_warm_instance_is_logged_and_nothing_that_the_libraries_log(generation: int) -> None:
    """`aliyun-fc2` logs on the root logger when a call fails, others by names of their own, or where DEBUG=sdk is."""
    no_follow_ups = ram.allow(["kvstore:*"], ["*"])
    config = FunctionConfig(generation=generation)
    with Cloud(Fleet([Instance("r-1")]), function=config, user_policy=no_follow_ups) as cloud:
        out, said = run(RUNTIME, {**cloud.environ(), "DEBUG": "sdk"})
        assert [call.status for call in cloud.calls if call.operation == "InvokeFunction"] == [403]
    logged = [line.split()[1:] for line in said.splitlines() if line.startswith("LOGGED ")]
    names = ("root", "fc", "FunctionCompute.runtime", "bootstrap")
    assert logged == [[name, "ERROR", "escaped"] for name in names]
    assert said.count("\nredis_backup.errors.InvalidRequest: the event is ") == len(names)
    assert "HTTP/1.1" not in said  # as darabonba writes to a handler of its own
    assert [mark for mark in MARKS if mark in said + out] == []


def test_no_logger_of_a_library_is_heard_whatever_its_level() -> None:
    assert run(LOGGERS, {}) == ("", "")

"""s.yaml where its schema is lax: what Function Compute and the component make of it, and what the function reads."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment import PROJECT, properties, rendered, serverless

from redis_backup.endpoints import Folder
from redis_backup.request.events import TriggerKind, read_events
from redis_backup.request.reader import Defaults, read_request
from redis_backup.request.request import Request
from redis_backup.settings import Settings

NOW = datetime(2026, 11, 24, 2, 0, 1, tzinfo=timezone.utc)
SERVERLESS_DEVS = PROJECT / "build" / "serverless-devs"
VERSION = "3.1.10"


def triggers(kind: str) -> list[dict[str, Any]]:
    return [each for each in properties()["triggers"] if each["triggerType"] == kind]


def timer_request(trigger: Mapping[str, Any]) -> Request:
    """What the function makes of the timer's event."""
    event = {
        "triggerTime": "2026-11-24T02:00:00Z",
        "triggerName": trigger["triggerName"],
        "payload": trigger["triggerConfig"]["payload"],
    }
    settings = Settings.from_environ(properties()["environmentVariables"])
    (read,) = read_events(json.dumps(event), "request")
    return read_request(read, Defaults("cn-hangzhou", settings.retention_days), NOW)


def test_edition_and_component() -> None:
    document = serverless()
    resources = [each["component"] for each in document["resources"].values()]
    assert (document["edition"], resources) == ("3.0.0", ["fc3"])


def test_the_package_is_built_before_it_is_deployed() -> None:
    resource = serverless()["resources"]["backup"]
    assert resource["actions"] == {"pre-deploy": [{"run": "make package", "path": "./"}]}
    assert resource["props"]["code"] == "./build/package"


def test_the_handlers_are_there() -> None:
    import handler

    names = [properties()["handler"], properties()["instanceLifecycleConfig"]["initializer"]["handler"]]
    assert names == ["handler.handler", "handler.initialize"]
    assert all(callable(getattr(handler, name.partition(".")[2])) for name in names)


def test_time_and_size() -> None:
    props = properties()
    assert props["runtime"] == "python3.10"
    assert (props["timeout"], props["diskSize"]) == (600, 512)  # unset, the time-out is 3 seconds
    assert 1 <= props["memorySize"] / 1024 / props["cpu"] <= 4  # a vCPU takes 1 to 4 GB
    assert (props["memorySize"] % 64, round(props["cpu"] * 100) % 5) == (0, 0)
    assert "instanceConcurrency" not in props  # for custom runtimes alone


def test_lines_that_are_json_stay_apart_in_the_log_store() -> None:
    assert properties()["logConfig"] == {
        "project": "redis-backup-logs",
        "logstore": "redis-backup",
        "enableRequestMetrics": True,
        "enableInstanceMetrics": True,
        "logBeginRule": "None",  # the text; a YAML null would be the default rule
    }


def test_follow_ups_are_one_chain_that_lasts_no_longer_than_the_event() -> None:
    props = properties()
    settings = Settings.from_environ(props["environmentVariables"])
    assert props["asyncInvokeConfig"] == {
        "asyncTask": True,
        "maxAsyncRetryAttempts": 3,
        "maxAsyncEventAgeInSeconds": 86400,
    }
    assert timedelta(hours=settings.follow_hours) < timedelta(seconds=86400)


def test_the_environment_is_what_the_settings_read() -> None:
    environment = properties()["environmentVariables"]
    known = set(re.findall(r'"(BACKUP_[A-Z_]+)"', (PROJECT / "redis_backup" / "settings.py").read_text()))
    assert set(environment) <= known
    assert all(isinstance(value, str) for value in environment.values())
    assert Settings.from_environ(environment) == Settings(allow=("cn-hangzhou/r-*",))


def test_proof_and_copies_are_switched_on_by_the_vars_alone() -> None:
    environment = properties(
        verify="full", copy="true", store="oss://backups/redis", storeRegion="cn-shanghai", download="internet"
    )["environmentVariables"]
    assert Settings.from_environ(environment) == Settings(
        allow=("cn-hangzhou/r-*",),
        verify="full",
        copy=True,
        store=Folder("backups", "redis/"),
        store_region="cn-shanghai",
        download="internet",
    )


def test_the_function_and_its_role_are_narrowed_alike() -> None:
    (pattern,) = Settings.from_environ(properties()["environmentVariables"]).allow
    region, _, instances = pattern.partition("/")
    assert rendered("role-policy.json")["Statement"][0]["Resource"] == (
        f"acs:kvstore:{region}:1234567890123456:instance/{instances}"
    )


def test_triggers_have_their_fields_and_eventbridge_comes_last() -> None:
    listed = properties()["triggers"]
    assert [(each["triggerName"], each["triggerType"]) for each in listed] == [
        ("nightly", "timer"),
        ("hourly", "timer"),
        ("audit", "timer"),
        ("maintenance", "eventbridge"),
    ]
    fields = {
        "timer": {"enable", "cronExpression", "payload"},
        "eventbridge": {"triggerEnable", "asyncInvocationType", "eventRuleFilterPattern", "eventSourceConfig"},
    }
    assert all(set(each["triggerConfig"]) == fields[each["triggerType"]] for each in listed)


@pytest.mark.parametrize("trigger", triggers("timer"), ids=lambda each: each["triggerName"])
def test_a_timer_s_cron_expression_has_six_fields_and_a_time_zone(trigger: dict[str, Any]) -> None:
    zone, *fields = trigger["triggerConfig"]["cronExpression"].split()
    assert (zone, len(fields)) == ("CRON_TZ=Asia/Shanghai", 6)
    limits = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
    assert all(text == "*" or low <= int(text) <= high for text, (low, high) in zip(fields, limits, strict=True))


def test_a_timer_s_payload_is_a_request() -> None:
    requests = {each["triggerName"]: timer_request(each) for each in triggers("timer")}
    assert all(request.kind is TriggerKind.TIMER for request in requests.values())
    told = {
        name: (
            sorted(target.key for target in request.instances) or dict(request.tags),
            request.retention_days,
            request.max_age,
            request.dry_run,
            request.reason,
        )
        for name, request in requests.items()
    }
    production = {"env": "production"}
    assert told == {
        "nightly": (production, 30, timedelta(0), False, "nightly"),
        "hourly": (
            ["cn-hangzhou/r-bp1cloudnative01", "cn-hangzhou/r-bp1zxszhcgatnx01"],
            7,
            timedelta(0),
            False,
            "hourly",
        ),
        "audit": (production, None, timedelta(hours=26), True, "audit"),
    }


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """EventBridge's pattern: of each field, one of the values listed."""
    return isinstance(event, dict) and all(event.get(name) in values for name, values in pattern.items())


def taken(pattern: Mapping[str, Any]) -> list[str]:
    """The sample events that a pattern takes."""
    return [
        path.name
        for path in sorted((PROJECT / "events").glob("*.json"))
        if matches(pattern, json.loads(path.read_text(encoding="utf-8")))
    ]


def test_the_maintenance_trigger_takes_its_sample_event_and_no_others() -> None:
    (trigger,) = triggers("eventbridge")
    assert trigger["triggerName"] == "maintenance"
    pattern = json.loads(trigger["triggerConfig"]["eventRuleFilterPattern"])
    assert taken(pattern) == ["eventbridge-kvstore-maintenance.json"]
    assert "sourceArn" not in trigger  # a rule on the bus `default`, which Function Compute makes


def test_the_rule_of_the_pipelines_bus_takes_their_sample_events_and_no_others() -> None:
    assert taken(rendered("event-pattern.json")) == [
        "eventbridge-base64.json",
        "eventbridge-json-text.json",
        "eventbridge-odd-time.json",
        "eventbridge-predeploy.json",
    ]


def test_the_rule_sends_the_whole_event_to_the_function_that_s_yaml_deploys() -> None:
    (target,) = rendered("event-targets.json")
    props = properties()
    assert target["Endpoint"] == f"acs:fc:{props['region']}:1234567890123456:functions/{props['functionName']}"
    parameters = {each["ResourceKey"]: (each["Form"], each.get("Value")) for each in target["ParamList"]}
    assert parameters == {
        "functionName": ("CONSTANT", "redis-backup"),
        "Qualifier": ("CONSTANT", "LATEST"),
        "InvocationType": ("CONSTANT", "Async"),
        "Body": ("ORIGINAL", None),  # without `time` each delivery would be a new request
    }


def test_what_is_commented_out_is_valid_yaml() -> None:
    text = (PROJECT / "s.yaml").read_text(encoding="utf-8")
    http = re.search(r"((?: +# .*\n)+)", text[text.index("        # - triggerName: http\n") :])
    assert http
    trigger = yaml.safe_load(re.sub(r"^ +# ", "", http[1], flags=re.MULTILINE).split("\n\n")[0])
    assert trigger[0]["triggerConfig"] == {"authType": "function", "methods": ["POST"], "disableURLInternet": True}


@pytest.fixture(scope="module")
def serverless_devs() -> Path:
    """The command `s`, installed into build/. Skips where npm or its registry is not to be had."""
    npm = shutil.which("npm")
    command = SERVERLESS_DEVS / "node_modules" / ".bin" / "s"
    if not npm:
        pytest.skip("npm is not installed, so Serverless Devs cannot be")
    if not command.exists():
        wanted = f"@serverless-devs/s@{VERSION}"
        options = ["--prefix", str(SERVERLESS_DEVS), "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]
        SERVERLESS_DEVS.mkdir(parents=True, exist_ok=True)
        try:
            done = subprocess.run([npm, "install", *options, wanted], capture_output=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm could not install {wanted} within two minutes")
        if done.returncode:
            pytest.skip(f"npm could not install {wanted}; is there a network?")
    return command


def test_serverless_devs_previews_it(serverless_devs: Path, tmp_path: Path) -> None:
    """`s preview` alone needs neither the component fc3 nor an account, so it can be tried anywhere."""
    preview = subprocess.run(
        [str(serverless_devs), "preview", "--template", str(PROJECT / "s.yaml"), "--output-format", "json", "--silent"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "NO_COLOR": "1"},
        capture_output=True,
        timeout=120,
        check=False,
        text=True,
    )
    sys.stderr.write(preview.stderr)
    assert json.loads(preview.stdout[preview.stdout.index("{") :]) == serverless()

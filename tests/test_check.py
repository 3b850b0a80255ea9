"""The check: each of its results, good and bad, on the simulated cloud; and that it never starts a backup."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_backup.check.patterns import Probe, probes, regions, useless
from redis_backup.errors import InvalidSetting
from redis_backup.request.instances import InstanceRef
from redis_backup.runtime import Runtime, SystemClock
from simulator import Cloud, FunctionConfig, Instance, ScaledClock
from simulator.fc.state import Invocation
from simulator.ram import OPERATIONS, Policy, allow
from simulator.server import Request, Response, Server

ACCOUNT = "1234567890123456"
FUNCTION_ARN = FunctionConfig().resource
PERMISSIONS = [f"kvstore:{operation} cn-hangzhou" for operation in OPERATIONS]
HEALTHY = {
    "settings": True,
    "timeout": True,
    "memory": True,
    "r-kvstore cn-hangzhou": True,
    **dict.fromkeys(PERMISSIONS, True),
    "credentials": True,
    "clock": True,
    "fc:InvokeFunction": True,
    "task ID": True,
    "log store": None,
}
LEFT_OUT = "left out"
MakeCloud = Callable[..., Cloud]


def result_of(invocation: Invocation) -> dict[str, bool | None]:
    """The results of a check by their names, which its records have too."""
    checks = invocation.result["checks"]
    records = [record for record in invocation.records if record["event"] == "check"]
    assert [(each["name"], each["detail"]) for each in checks] == [(r["name"], r["detail"]) for r in records]
    levels = {True: "INFO", False: "ERROR", None: "WARNING"}
    assert [levels[each["ok"]] for each in checks] == [record["level"] for record in records]
    assert all(each["hint"] for each in checks if not each["ok"])
    assert invocation.result["ok"] is not any(each["ok"] is False for each in checks)
    return {each["name"]: each["ok"] for each in checks}


def detail(invocation: Invocation, name: str) -> dict[str, Any]:
    return next(each for each in invocation.result["checks"] if each["name"] == name)


def without(action: str, instances: str = "*") -> Policy:
    """The policy of the role without an action; R-KVStore's actions on these instances alone."""
    actions = [f"kvstore:{name}" for name in OPERATIONS]
    granted = [each for each in actions if each != action]
    policy = allow(granted, [f"acs:kvstore:*:{ACCOUNT}:instance/{instances}"])
    itself = [] if action == "fc:InvokeFunction" else allow(["fc:InvokeFunction"], [FUNCTION_ARN])["Statement"]
    listing = allow([each for each in granted if each == "kvstore:DescribeInstances"], ["*"])["Statement"]
    return {"Version": "1", "Statement": [*policy["Statement"], *itself, *listing]}


def assert_no_backup(cloud: Cloud) -> None:
    assert [backup for state in cloud.kvstore.instances for backup in state.backups if backup.by_api] == []
    asked = {call.instance for call in cloud.calls if call.operation == "CreateBackup"}
    assert asked & {state.config.id for state in cloud.kvstore.instances} == set()


def test_a_healthy_function_passes_and_says_what_to_look_for(make_cloud: MakeCloud) -> None:
    cloud = make_cloud()
    invocation = cloud.invoke({"check": True})
    assert result_of(invocation) == HEALTHY
    assert invocation.result["trigger"] == {"kind": "manual", "id": invocation.request_id}
    assert invocation.request_id in detail(invocation, "log store")["hint"]
    assert f"account {ACCOUNT}" in detail(invocation, "credentials")["detail"]
    assert [record["event"] for record in invocation.records] == ["check"] * len(HEALTHY) + ["report"]
    assert invocation.records[-1] | {"time": ""} == {
        "time": "",
        "level": "INFO",
        "event": "report",
        "request_id": invocation.request_id,
        "trigger": "manual",
        "trigger_id": invocation.request_id,
        "ok": True,
    }
    assert_no_backup(cloud)


KVSTORE_DOWN = {
    "r-kvstore cn-hangzhou": False,
    **dict.fromkeys(PERMISSIONS, LEFT_OUT),
    "credentials": None,
    "clock": None,
}


NO_INSTANCE = {"settings": False, **dict.fromkeys(PERMISSIONS, None), "kvstore:DescribeInstances cn-hangzhou": True}
NOWHERE = {
    "settings": False,
    "r-kvstore cn-hangzhou": LEFT_OUT,
    **dict.fromkeys(PERMISSIONS, LEFT_OUT),
    "r-kvstore": None,
    "credentials": None,
    "clock": None,
}


@pytest.mark.parametrize(
    ("settings", "options", "expected"),
    [
        ({"BACKUP_CONCURRENCY": "many"}, {}, {"settings": False}),
        ({"BACKUP_CONCURENCY": "4"}, {}, {"settings": None}),
        ({"BACKUP_FOLLOW_SECONDS": "0"}, {}, {"settings": None}),
        ({"BACKUP_FOLLOW_HOURS": "0"}, {}, {"settings": None}),
        ({"BACKUP_ALLOW": "r-bp1"}, {}, NOWHERE),
        ({"BACKUP_ALLOW": "cn-hangzhou/*, r-bp1"}, {}, {"settings": False}),
        ({"BACKUP_ALLOW": "cn-hangzhou/R-*"}, {}, NO_INSTANCE),
        ({}, {"function": FunctionConfig(timeout="60")}, {"timeout": None}),
        ({}, {"function": FunctionConfig(timeout=120)}, {}),
        ({}, {"function": FunctionConfig(memory=128)}, {"memory": None}),
        ({}, {"function": FunctionConfig(memory=256)}, {}),
        ({"BACKUP_ENDPOINT": "http://127.0.0.1:1"}, {}, KVSTORE_DOWN),
        *(
            (
                {},
                {"policy": without(f"kvstore:{name}")},
                {f"kvstore:{name} cn-hangzhou": False},
            )
            for name in OPERATIONS
        ),
        ({}, {"api_clock_offset": 1.0}, {}),
        ({}, {"api_clock_offset": 9.0}, {"clock": None}),
        ({}, {"api_clock_offset": -9.0}, {"clock": None}),
        ({}, {"api_clock_offset": -60.0}, {"clock": False}),
        ({}, {"policy": without("fc:InvokeFunction")}, {"fc:InvokeFunction": False, "task ID": LEFT_OUT}),
        (
            {"BACKUP_FOLLOW_SECONDS": "0"},
            {"policy": without("fc:InvokeFunction")},
            {"settings": None, "fc:InvokeFunction": None, "task ID": LEFT_OUT},
        ),
        (
            {"BACKUP_FC_ENDPOINT": "http://127.0.0.1:1"},
            {"function": FunctionConfig(timeout=120)},
            {"fc:InvokeFunction": False, "task ID": LEFT_OUT},
        ),
        ({}, {"function": FunctionConfig(async_task=False)}, {"task ID": None}),
        ({}, {"function": FunctionConfig(duplicate_status=400)}, {}),
        ({}, {"function": FunctionConfig(generation=2)}, {}),
        ({}, {"function": FunctionConfig(context_credentials=False)}, {}),
    ],
)
def test_each_result_says_what_is_wrong(
    settings: dict[str, str], options: Any, expected: dict[str, Any], make_cloud: MakeCloud
) -> None:
    cloud = make_cloud(settings=settings, **options)
    found = result_of(cloud.invoke({"check": True}))
    assert found == {name: ok for name, ok in (HEALTHY | expected).items() if ok is not LEFT_OUT}
    assert_no_backup(cloud)


@pytest.mark.parametrize("name", [*(f"kvstore:{operation}" for operation in OPERATIONS), "fc:InvokeFunction"])
def test_a_denial_names_the_action_and_the_resource_as_a_policy_has_it(name: str, make_cloud: MakeCloud) -> None:
    invocation = make_cloud(policy=without(name)).invoke({"check": True})
    resource = FUNCTION_ARN if name.startswith("fc:") else f"acs:kvstore:cn-hangzhou:{ACCOUNT}:instance/*"
    (wrong,) = (each for each in invocation.result["checks"] if each["ok"] is False)
    assert f"grant {name} on {resource} to the function's role" in wrong["hint"]
    assert f"RAM does not allow {name} on {resource}" in wrong["detail"]


def test_a_role_for_fewer_instances_than_backup_allow_admits_is_wrong(make_cloud: MakeCloud) -> None:
    policy = without("", instances="r-bp*")
    assert result_of(make_cloud(policy=policy).invoke({"check": True}))["kvstore:CreateBackup cn-hangzhou"] is False
    narrow = {"BACKUP_ALLOW": "cn-hangzhou/r-bp*"}
    invocation = make_cloud(policy=policy, settings=narrow).invoke({"check": True})
    assert result_of(invocation) == HEALTHY
    assert detail(invocation, "kvstore:CreateBackup cn-hangzhou")["detail"] == "not denied on r-bp*"


def test_without_a_wildcard_create_backup_cannot_be_tried(make_cloud: MakeCloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings={"BACKUP_ALLOW": "cn-hangzhou/r-1"})
    assert result_of(cloud.invoke({"check": True})) == HEALTHY | {"kvstore:CreateBackup cn-hangzhou": None}
    assert_no_backup(cloud)


def test_every_region_that_the_settings_or_the_request_name_is_tried(make_cloud: MakeCloud) -> None:
    cloud = make_cloud(
        Instance("r-1", region="cn-shanghai"), settings={"BACKUP_ALLOW": "cn-beijing/*, cn-shanghai/r-1"}
    )
    found = result_of(cloud.invoke({"check": True, "instance_ids": ["cn-shanghai/r-1", "cn-qingdao/r-2"]}))
    assert [name for name in found if name.startswith("r-kvstore")] == [
        f"r-kvstore {region}" for region in ("cn-beijing", "cn-shanghai", "cn-qingdao")
    ]
    asks_for = [found[f"kvstore:CreateBackup {region}"] for region in ("cn-beijing", "cn-shanghai", "cn-qingdao")]
    assert asks_for == [True, None, None]
    assert (found["instance cn-qingdao/r-2"], found["instances"]) == (False, False)
    assert_no_backup(cloud)


@pytest.mark.parametrize(
    ("request_fields", "expected"),
    [
        ({"instance_ids": "r-1"}, {"instances": True}),
        ({"tags": {"env": "production"}}, {"instances": True}),
        ({"tags": {"env": "nowhere"}}, {"instances": False}),
        ({"instance_ids": "r-1, r-9"}, {"instance cn-hangzhou/r-9": False, "instances": False}),
        ({"instance_ids": "r-denied"}, {"instance cn-hangzhou/r-denied": False, "instances": False}),
        ({"instance_ids": "r-new, r-1"}, {"instance cn-hangzhou/r-new": None, "instances": None}),
    ],
)
def test_the_instances_that_are_named_are_looked_at(
    request_fields: Any, expected: dict[str, Any], make_cloud: MakeCloud
) -> None:
    cloud = make_cloud(
        Instance("r-1", tags={"env": "production"}),
        Instance("r-denied", denied=True),
        Instance("r-new", status="Creating"),
    )
    invocation = cloud.invoke({"check": True, **request_fields})
    assert result_of(invocation) == HEALTHY | expected
    assert {record["event"] for record in invocation.records} == {"check", "report"}
    assert_no_backup(cloud)


def test_credentials_that_r_kvstore_refuses(make_cloud: MakeCloud) -> None:
    cloud = make_cloud()
    cloud.platform.plan_lifetimes([-1.0])
    cloud.invoke_async({"check": True, "instance_ids": "r-1"})
    invocation = cloud.platform.run_due()
    assert invocation is not None
    found = result_of(invocation)
    assert (found["credentials"], found["instances"]) == (False, None)
    assert not set(found) & set(PERMISSIONS)


def handle(event: Any, environ: dict[str, str]) -> tuple[dict[str, Any], str]:
    """Call the function as it is, without a runtime's context: its answer, and what it has written."""
    from handler import handler

    lines: list[str] = []

    class Out:
        def write(self, text: str) -> None:
            lines.append(text)

        def flush(self) -> None:
            pass

    return handler(json.dumps(event).encode(), None, Runtime(environ, SystemClock(), Out())), "".join(lines)


def test_a_function_without_credentials_is_told_about_its_role() -> None:
    answer, _ = handle({"check": True}, {"FC_REGION": "cn-hangzhou"})
    assert {each["name"]: each["ok"] for each in answer["checks"]} == {
        "settings": True,
        "timeout": None,
        "memory": None,
        "credentials": False,
        "log store": None,
    }
    assert "`role` in s.yaml" in next(each["hint"] for each in answer["checks"] if each["name"] == "credentials")


def test_a_permanent_key_in_the_environment_is_a_warning(make_cloud: MakeCloud) -> None:
    cloud = make_cloud()
    answer, written = handle({"check": True}, {**cloud.environ(), "FC_FUNCTION_MEMORY_SIZE": "512"})
    found = {each["name"]: each["ok"] for each in answer["checks"]}
    assert found["credentials"] is None
    assert cloud.credentials.user.access_key_secret not in written + json.dumps(answer)
    assert cloud.credentials.user.access_key_id not in written + json.dumps(answer)


@pytest.mark.parametrize(("early_rate", "ok"), [(0.0, True), (1.0, None)])
def test_a_later_record_says_whether_the_delay_is_honoured(
    early_rate: float, ok: bool | None, make_cloud: MakeCloud
) -> None:
    from simulator import Faults

    cloud = make_cloud(faults=Faults(early_rate=early_rate))
    first = cloud.invoke({"check": True, "reason": "evening"})
    (later,) = cloud.platform.drain()
    assert result_of(later) == {"delay": ok}
    record = later.records[0]
    assert (record["trigger"], record["trigger_id"], record["name"]) == ("follow", first.request_id, "delay")
    assert_no_backup(cloud)


def timer(payload: str) -> dict[str, str]:
    return {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "check", "payload": payload}


def http(body: Any) -> dict[str, Any]:
    return {"requestContext": {"requestId": "1-a", "http": {"method": "POST"}}, "body": json.dumps(body)}


def test_every_trigger_but_eventbridge_can_ask_for_a_check(make_cloud: MakeCloud) -> None:
    cloud = make_cloud()
    assert result_of(cloud.invoke('{"Check": true}')) == HEALTHY
    assert result_of(cloud.invoke([{"check": True}])) == HEALTHY
    assert result_of(cloud.invoke(timer('{"check": true}'))) == HEALTHY
    answer = cloud.invoke(http({"check": True})).result
    assert (answer["statusCode"], json.loads(answer["body"])["ok"]) == (200, True)
    assert_no_backup(cloud)


def test_a_check_that_fails_is_raised_for_a_timer_and_502_for_http(make_cloud: MakeCloud) -> None:
    cloud = make_cloud(policy=without("kvstore:CreateBackup"))
    error = cloud.invoke(timer('{"check": true}')).error
    assert error is not None
    assert error["errorType"] == "BackupFailed"
    assert "kvstore:CreateBackup cn-hangzhou: RAM does not allow" in error["errorMessage"]
    assert cloud.invoke(http({"check": True})).result["statusCode"] == 502


def cloud_event(data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "e", "source": "s", "type": "t", "time": "2026-11-24T02:00:00Z", "data": data}


@pytest.mark.parametrize(
    "event",
    [
        cloud_event({"check": True, "instance_ids": "r-1"}),
        http({"check": True, "instance_ids": "r-1", "pipeline": 7}),
        http({"check": True, "Check": False, "instance_ids": "r-1", "pipeline": 7}),
        cloud_event({"check": True, "Check": {"id": 1}, "instance_ids": "r-1"}),
        http(cloud_event({"check": True, "instance_ids": "r-1"})),
        {"check": False, "instance_ids": "r-1"},
    ],
)
def test_a_field_of_the_sender_s_own_does_not_replace_a_backup(event: Any, make_cloud: MakeCloud) -> None:
    """Where fields of others may be, `check` can be one of them: the backup must not be left out."""
    cloud = make_cloud(Instance("r-1"))
    cloud.invoke(event)
    assert len(cloud.kvstore.instance("r-1").backups) == 1


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"check": "yes"}, 'check must be true or false, not "yes"'),
        ({"check": True, "chekc": True}, "unknown field: chekc"),
        ({"check": True, "instance_ids": "R_1"}, "instance_ids must be r-…"),
        ({"check": False}, "instance_ids is missing"),
        ([{"check": True}, {"instance_ids": "r-1"}], "check must be sent alone"),
    ],
)
def test_a_check_that_is_not_valid_is_refused(event: Any, text: str, make_cloud: MakeCloud) -> None:
    cloud = make_cloud(Instance("r-1"))
    error = cloud.invoke(event).error
    assert error is not None
    assert error["errorType"] == "InvalidRequest"
    assert text in error["errorMessage"]


def test_an_answer_that_does_not_tell_is_a_warning(make_cloud: MakeCloud) -> None:
    cloud = make_cloud(limits={"DescribeBackups": 0.001}, limit_hint=False)
    cloud.invoke({"instance_ids": "r-1"})  # uses up the quota
    invocation = cloud.invoke({"check": True})
    assert result_of(invocation)["kvstore:DescribeBackups cn-hangzhou"] is None
    assert detail(invocation, "kvstore:DescribeBackups cn-hangzhou")["detail"].startswith("not clear, since")
    assert invocation.duration < 60


def test_a_list_of_tagged_instances_that_is_not_complete_is_wrong(make_cloud: MakeCloud) -> None:
    cloud = make_cloud(*(Instance(f"r-{number:03}", tags={"app": "shop"}) for number in range(60)))
    genuine = cloud.kvstore.operations["DescribeInstances"]

    def first_page_alone(parameters: Any, region: Any) -> Any:
        answer = genuine(parameters, region)
        return {**answer, "Instances": {"KVStoreInstance": []}} if parameters.get("PageNumber") == "2" else answer

    cloud.kvstore.operations["DescribeInstances"] = first_page_alone
    result = detail(cloud.invoke({"check": True, "tags": {"app": "shop"}}), "instances")
    assert result["ok"] is False
    assert result["detail"].startswith("50 of 50 can be looked at; the list of instances is not complete")
    assert result["hint"] is not None


def test_two_checks_at_one_time_have_a_later_record_each(make_cloud: MakeCloud) -> None:
    cloud = make_cloud()
    checks = [cloud.invoke({"check": True}) for _ in range(2)]
    later = cloud.platform.drain()
    assert [each.records[0]["trigger_id"] for each in later] == [each.request_id for each in checks]


def test_a_function_without_credentials_refuses_every_other_event() -> None:
    with pytest.raises(InvalidSetting, match="no credentials: give it a RAM role"):
        handle({"instance_ids": "r-1"}, {"FC_REGION": "cn-hangzhou"})


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("InvalidTimeStamp.Expired", ["credentials"]),
        ("Forbidden.AccessKeyDisabled", PERMISSIONS),
        ("OperationDenied.AccountArrears", PERMISSIONS),
        ("InternalError", PERMISSIONS),
        ("SignatureDoesNotMatch", ["credentials"]),
    ],
)
def test_an_api_that_refuses_every_call_is_wrong(code: str, names: list[str], make_cloud: MakeCloud) -> None:
    def refuse(_: Request) -> Response:
        body = json.dumps({"Code": code, "Message": "no", "RequestId": "1"}).encode()
        return Response(400, body, {"Content-Type": "application/json", "Date": "Tue, 24 Nov 2026 04:00:00 GMT"})

    server = Server(refuse)
    server.start()
    try:
        cloud = make_cloud(settings={"BACKUP_ENDPOINT": server.url})
        found = result_of(cloud.invoke({"check": True}))
    finally:
        server.stop()
    assert [found[name] for name in names] == [False] * len(names)
    assert found["clock"] is False  # two hours


def test_an_api_that_never_answers_is_not_reached(make_cloud: MakeCloud) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        cloud = make_cloud(
            settings={"BACKUP_ENDPOINT": endpoint}, function=FunctionConfig(timeout=2), clock=ScaledClock()
        )
        invocation = cloud.invoke({"check": True})
    assert result_of(invocation)["r-kvstore cn-hangzhou"] is False


@pytest.mark.parametrize("kind", ["throttled", "server_error", "html", "reset", "timeout"])
def test_no_fault_of_the_cloud_breaks_a_check(kind: str, make_cloud: MakeCloud) -> None:
    from simulator import Faults

    cloud = make_cloud(Instance("r-1"), faults=Faults(seed=3, rate=0.5, kinds=(kind,)))
    invocation = cloud.invoke({"check": True, "instance_ids": "r-1"})
    assert not any(ok is False for name, ok in result_of(invocation).items() if name.startswith("kvstore:"))
    assert_no_backup(cloud)


def test_a_cloud_that_starts_a_backup_of_anything_is_reported(make_cloud: MakeCloud) -> None:
    """No instance can have the ID that is tried. If R-KVStore answers a job all the same, a person has to look."""
    cloud = make_cloud(Instance("r-no-such-instance"))
    invocation = cloud.invoke({"check": True})
    assert detail(invocation, "kvstore:CreateBackup cn-hangzhou")["ok"] is False
    assert "10000" in detail(invocation, "kvstore:CreateBackup cn-hangzhou")["detail"]


@pytest.mark.parametrize(
    ("allow", "expected"),
    [
        ("*", [("r-no-such-instance", "*", True)]),
        ("cn-hangzhou/*", [("r-no-such-instance", "*", True)]),
        ("cn-*/r-bp*", [("r-bpno-such-instance", "r-bp*", True)]),
        ("cn-hangzhou/r-?p*x", [("r-0pno-such-instancex", "r-?p*x", True)]),
        ("cn-hangzhou/r-[bc]p1*", [("r-bp1no-such-instance", "r-[bc]p1*", True)]),
        ("cn-hangzhou/r-bp1", [("r-bp1", "r-bp1", False)]),
        ("cn-hangzhou/r-bp?", [("r-bp0", "r-bp?", False)]),  # such an instance may be there
        ("cn-hangzhou/r-[!a]1", [("r-01", "r-[!a]1", False)]),
        ("cn-hangzhou/r-[!0-9]*", [("r-ano-such-instance", "r-[!0-9]*", True)]),
        ("cn-hangzhou/r-[!*]", [("r-0", "r-[!*]", False)]),  # the filler is in the brackets, and not in the ID
        ("cn-hangzhou/r-bp1[a*]", [("r-bp1a", "r-bp1[a*]", False)]),
        ("cn-beijing/*", []),
        ("nothing", []),
        ("cn-hangzhou/*_*", []),  # no ID has that
    ],
)
def test_ids_to_try_come_from_the_patterns(allow: str, expected: list[tuple[str, str, bool]]) -> None:
    found = [Probe(InstanceRef("cn-hangzhou", name), pattern, sure) for name, pattern, sure in expected]
    assert probes([allow], "cn-hangzhou") == found


@given(st.text("rbp1-*?[]!a0/", max_size=12).map("cn-hangzhou/r-{}".format))
def test_an_id_that_cannot_exist_says_so_itself(pattern: str) -> None:
    for probe in probes([pattern], "cn-hangzhou"):
        assert probe.cannot_exist is ("no-such-instance" in probe.instance.instance_id)
        assert fnmatchcase(probe.instance.key, pattern)


@pytest.mark.parametrize(
    ("pattern", "is_useless"),
    [
        ("*", False),
        ("cn-*/r-*", False),
        ("us-*/r-bp?", False),
        ("cn-hangzhou/r-bp1", False),
        ("[ce]n-hangzhou/r-*", False),
        ("r-bp1", True),
        ("CN-HANGZHOU/*", True),
        ("cn-hangzhou", True),
        ("cn-hangzhou/R-*", True),
        ("1234567890123456/cn-hangzhou/r-*", True),
    ],
)
def test_a_pattern_that_admits_nothing_is_found(pattern: str, is_useless: bool) -> None:
    assert bool(useless([pattern], "cn-hangzhou")) is is_useless


def test_regions_come_from_the_patterns() -> None:
    assert regions(["cn-beijing/*", "cn-shanghai/r-1", "cn-beijing/r-2"], "cn-hangzhou") == [
        "cn-beijing",
        "cn-shanghai",
    ]
    assert regions(["*", "cn-beijing/r-1"], "cn-hangzhou") == ["cn-hangzhou", "cn-beijing"]
    assert regions(["*"], "") == []

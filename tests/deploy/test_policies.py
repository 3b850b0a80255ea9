"""The shipped policies are enough, and nothing in them is too much: the simulator enforces them on every call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from deployment import ACCOUNT, FUNCTION, REGION, rendered

from redis_backup.alibaba import function_compute
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.backoff import Deadline
from redis_backup.credentials import Credentials
from simulator import Cloud, Fleet, FunctionConfig, Instance, ram
from simulator.oss.operations import OPERATIONS as OSS_OPERATIONS
from simulator.ram import is_allowed

STANDARD, SHARDS, CLOUD_NATIVE = "r-bp1standard", "r-bp1shards", "r-bp1cloudnative"
UNLISTED = "r-bp1gone"  # DescribeInstances leaves it out, so it is asked for by itself
FLEET = Fleet(
    [
        Instance(STANDARD, tags={"env": "production"}),
        Instance(SHARDS, kind="classic-cluster", shards=2),
        Instance(CLOUD_NATIVE, kind="cloud-native"),
    ]
)
BY_ID = {"instance_ids": [STANDARD, SHARDS, CLOUD_NATIVE, UNLISTED]}
BY_TAG = {"tags": {"env": "production"}}
BY_FUNCTION_COMPUTE = "log:PostLogStoreLogs"  # done by Function Compute, not by the function: the simulator cannot tell


def instance_arn(instance_id: str) -> str:
    return f"acs:kvstore:{REGION}:{ACCOUNT}:instance/{instance_id}"


FUNCTION_ARN = f"acs:fc:{REGION}:{ACCOUNT}:functions/{FUNCTION}"
# The denials that the function's answer names when an action is left out of the policy.
DENIALS = {
    "kvstore:CreateBackup": {instance_arn(each) for each in (STANDARD, SHARDS, CLOUD_NATIVE)},
    "kvstore:DescribeBackupTasks": {instance_arn(each) for each in (STANDARD, SHARDS)},
    "kvstore:DescribeBackups": {instance_arn(each) for each in (STANDARD, SHARDS)},
    "kvstore:DescribeClusterBackupList": {instance_arn(CLOUD_NATIVE)},
    "kvstore:DescribeInstanceAttribute": {instance_arn(UNLISTED)},
    "kvstore:DescribeInstances": {instance_arn("*")},
    "fc:InvokeFunction": {FUNCTION_ARN},
}


def actions(policy: Mapping[str, Any]) -> list[str]:
    """Every action that a policy grants."""
    granted = [statement["Action"] for statement in policy["Statement"]]
    return [action for each in granted for action in ([each] if isinstance(each, str) else each)]


def without(policy: Mapping[str, Any], action: str) -> dict[str, Any]:
    """The policy less one action."""
    kept = []
    for statement in policy["Statement"]:
        named = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if left := [each for each in named if each != action]:
            kept.append({**statement, "Action": left})
    return {**policy, "Statement": kept}


def run(policy: Mapping[str, Any]) -> Cloud:
    """Requests by ID and by tag, and all that follows from them, under a policy of the role."""
    with Cloud(FLEET, policy=policy) as cloud:
        for request in (BY_ID, BY_TAG):
            cloud.invoke(request)
            cloud.platform.drain()
            cloud.clock.advance(60)
    return cloud


def denied(cloud: Cloud) -> set[tuple[str, str]]:
    """The actions and resources that answers and records tell the reader to grant."""
    texts = [invocation.everything() for invocation in cloud.platform.invocations]
    found = re.findall(r"grant (\S+) on (\S+) to the function's role", "\n".join(texts))
    return {(action, resource) for action, resource in found}


def test_with_the_role_s_policy_everything_is_allowed() -> None:
    cloud = run(rendered("role-policy.json"))
    assert (denied(cloud), [call for call in cloud.calls if call.status == 403]) == (set(), [])
    assert all(cloud.kvstore.instance(each).backups[0].succeeded for each in (STANDARD, SHARDS, CLOUD_NATIVE))


def test_the_role_s_policy_grants_what_the_function_calls_and_nothing_else() -> None:
    called = {
        f"{'fc' if call.operation == 'InvokeFunction' else 'kvstore'}:{call.operation}"
        for call in run(rendered("role-policy.json")).calls
    }
    assert called == set(actions(rendered("role-policy.json"))) - {BY_FUNCTION_COMPUTE} == set(DENIALS)


@pytest.mark.parametrize("action", DENIALS)
def test_the_answer_names_the_action_that_a_policy_lacks(action: str) -> None:
    cloud = run(without(rendered("role-policy.json"), action))
    assert denied(cloud) == {(action, resource) for resource in DENIALS[action]}


def test_a_narrower_pattern_covers_its_instances_alone() -> None:
    cloud = run(rendered("role-policy.json", instancePattern="r-bp1s*"))
    # (What an instance is, DescribeInstanceAttribute, only helps to know: the first call that decides is refused.)
    assert denied(cloud) - {("kvstore:DescribeInstanceAttribute", instance_arn(UNLISTED))} == {
        ("kvstore:DescribeClusterBackupList", instance_arn(CLOUD_NATIVE)),
        ("kvstore:DescribeBackupTasks", instance_arn(UNLISTED)),
    }
    assert [bool(cloud.kvstore.instance(each).backups) for each in (STANDARD, SHARDS, CLOUD_NATIVE)] == [
        True,
        True,
        False,
    ]


STORE = {"storeBucket": "backups", "storePrefix": "redis/prod"}
PROVED = {"instance_ids": [STANDARD, SHARDS, CLOUD_NATIVE], "copy": True}


def with_store(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The role's policy with the statements of another one, as deploy/render.py puts them together."""
    return {"Version": "1", "Statement": rendered("role-policy.json")["Statement"] + list(policy["Statement"])}


def run_with_store(policy: Mapping[str, Any]) -> Cloud:
    """Check and copy under a policy of the role. A reading that ended has left an upload behind in the store."""
    folder = f"{STORE['storePrefix']}/{ACCOUNT}/{REGION}/{STANDARD}/20261124T020000Z-"
    settings = {"BACKUP_STORE": "oss://backups/redis/prod", "BACKUP_FOLLOW_HOURS": "0.05"}
    with Cloud(FLEET, policy=policy, settings=settings) as cloud:
        for instance in cloud.invoke(PROVED).result["instances"]:
            if instance["instance_id"] == STANDARD:
                cloud.store.initiate(f"{folder}{instance['job_ids'][0]}/left.rdb", {})
        cloud.platform.drain()
        cloud.invoke({"instance_ids": [STANDARD], "check": True})
    return cloud


def test_with_the_store_s_policy_backups_are_copied_and_nothing_is_refused() -> None:
    cloud = run_with_store(with_store(rendered("role-policy-store.json", **STORE)))
    assert (denied(cloud), [call for call in cloud.calls if call.status == 403]) == (set(), [])
    receipts = [key.split("/")[4] for key in cloud.store.objects if key.endswith("/copy.json")]
    assert sorted(receipts) == sorted([STANDARD, SHARDS, CLOUD_NATIVE])
    assert not cloud.store.uploads


def test_the_store_s_policy_grants_what_the_function_calls_and_nothing_else() -> None:
    policy = rendered("role-policy-store.json", **STORE)
    calls = run_with_store(with_store(policy)).calls
    called = {OSS_OPERATIONS[call.operation].action for call in calls if call.operation in OSS_OPERATIONS}
    assert called == set(actions(policy))
    assert not is_allowed([policy], "oss:GetObject", "acs:oss:*:*:backups/redis/production/x")
    assert not is_allowed([policy], "oss:PutObject", "acs:oss:*:*:backups/other")


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("oss:GetObject", "backups/redis/prod/"),
        ("oss:PutObject", "backups/redis/prod/"),
        ("oss:AbortMultipartUpload", "backups/redis/prod/"),
        ("oss:ListMultipartUploads", "backups"),
        ("oss:ListObjects", "backups"),
    ],
)
def test_the_answer_names_what_the_store_s_policy_lacks(action: str, resource: str) -> None:
    cloud = run_with_store(with_store(without(rendered("role-policy-store.json", **STORE), action)))
    told = denied(cloud)
    assert {each for each, _ in told} == {action}
    assert all(each.startswith(f"acs:oss:*:{ACCOUNT}:{resource}") for _, each in told)


def test_the_owner_of_another_account_s_bucket_grants_the_role_the_same() -> None:
    """The role's own policy and the bucket's both have to allow it.

    https://www.alibabacloud.com/help/en/oss/user-guide/oss-bucket-policy/
    """
    granted = rendered("store-bucket-policy.json", **STORE)["Statement"]
    assert {principal for each in granted for principal in each.pop("Principal")} == {
        f"arn:sts::{ACCOUNT}:assumed-role/redis-backup/*"
    }
    own = rendered("role-policy-store.json", **STORE)["Statement"]
    assert granted == [{**each, "Resource": [each["Resource"]]} for each in own]


ALIASES = [FunctionConfig(qualifier="prod"), FunctionConfig(qualifier="prod", generation=2)]


def run_by_alias(function: FunctionConfig, *resources: str) -> tuple[int, set[tuple[str, str]], set[str]]:
    """Invoke by an alias. The role may invoke `resources`. Return the follow-ups that were sent, denials, task states.

    The request is split, so its shards and their follow-ups are sent.
    """
    backups = [each for each in rendered("role-policy.json")["Statement"] if each["Action"] != "fc:InvokeFunction"]
    policy = {"Version": "1", "Statement": [*backups, *ram.allow(["fc:InvokeFunction"], resources)["Statement"]]}
    with Cloud(FLEET, function=function, policy=policy, settings={"BACKUP_SHARD_SIZE": "1"}) as cloud:
        answer = cloud.invoke({"instance_ids": [STANDARD, SHARDS]}).result
        cloud.platform.drain()
    statuses = {each["sent"] for each in answer["shards"]} if answer.get("shards") else set()
    accepted = [call for call in cloud.calls if call.operation == "InvokeFunction" and call.status == 202]
    return len(accepted), denied(cloud), statuses


@pytest.mark.parametrize("function", ALIASES, ids=["3.0", "2.0"])
def test_shards_and_follow_ups_stay_on_the_alias_by_which_the_event_came(function: FunctionConfig) -> None:
    sent, denials, shards = run_by_alias(function, function.resource)
    assert (denials, shards) == (set(), {"new"})
    assert sent > 2  # the shards' own follow-ups, too
    plain = replace(function, qualifier="LATEST").resource
    sent, denials, _ = run_by_alias(function, plain)
    assert (sent, denials) == (0, {("fc:InvokeFunction", function.resource)})


def test_the_role_s_policy_covers_the_function_by_any_alias() -> None:
    (invoking,) = [each for each in rendered("role-policy.json")["Statement"] if each["Action"] == "fc:InvokeFunction"]
    assert run_by_alias(ALIASES[0], *invoking["Resource"])[1:] == (set(), {"new"})


def test_function_compute_alone_may_take_the_role_on() -> None:
    assert rendered("role-trust-policy.json")["Statement"] == [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["fc.aliyuncs.com"]}}
    ]


@pytest.mark.parametrize(
    ("generation", "qualifier"),
    [(3, ""), (3, "prod"), (3, "LATEST"), (2, ""), (2, "prod"), (2, "LATEST")],
)
def test_a_pipeline_may_invoke_the_one_function(generation: int, qualifier: str) -> None:
    config = FunctionConfig(generation=generation)
    with Cloud(FLEET, function=config, user_policy=rendered("caller-policy.json")) as cloud:
        user = cloud.credentials.user
        name = function_compute.FunctionName(
            REGION, ACCOUNT, FUNCTION, service=config.service if generation == 2 else "", qualifier=qualifier
        )
        credentials = Credentials(user.access_key_id, user.access_key_secret, user.security_token or "")
        deadline = Deadline(cloud.clock, cloud.clock.monotonic() + 60)

        def invoke(target: function_compute.FunctionName) -> function_compute.Reply:
            return function_compute.invoke(
                target, cloud.endpoint, credentials, json.dumps(BY_TAG).encode(), {}, deadline=deadline, read_timeout=30
            )

        assert json.loads(invoke(name).body)["counts"] == {"running": 1}
        other = function_compute.FunctionName(REGION, ACCOUNT, "other", service=name.service)
        if generation == 3:
            with pytest.raises(ApiError):
                invoke(other)
        assert not is_allowed([rendered("caller-policy.json")], "fc:InvokeFunction", other.resource)
        assert is_allowed([rendered("caller-policy.json")], "fc:InvokeFunction", name.resource)


# The API calls of the component fc3 (devsapp/fc3, 2026-05-28, src/subCommands and src/resources) for what s.yaml has,
# as RAM names them. What it only tries, and goes on without, is left out: ListVpcBindings, GetScalingConfig.
FC3 = {
    "s deploy": {
        *("fc:GetFunction", "fc:CreateFunction", "fc:UpdateFunction", "fc:GetTempBucketToken", "ram:PassRole"),
        *("fc:GetTrigger", "fc:CreateTrigger", "fc:UpdateTrigger"),
        *("fc:GetFunctionAsyncInvokeConfig", "fc:PutFunctionAsyncInvokeConfig"),
        *("fc:GetConcurrencyConfig", "fc:DeleteConcurrencyConfig"),
        *("ram:CheckServiceLinkedRoleExistence", "ram:CreateServiceLinkedRole"),  # for each trigger of EventBridge
    },
    "s invoke": {"fc:InvokeFunction", "ram:CheckServiceLinkedRoleExistence", "ram:CreateServiceLinkedRole"},
    "s remove": {
        *("fc:GetFunction", "fc:DeleteFunction", "fc:ListTriggers", "fc:DeleteTrigger"),
        *("fc:ListFunctionAsyncInvokeConfigs", "fc:DeleteFunctionAsyncInvokeConfig"),
        *("fc:ListAliases", "fc:DeleteAlias", "fc:ListFunctionVersions", "fc:DeleteFunctionVersion"),
    },
}


def test_the_deployer_may_do_what_serverless_devs_calls_and_nothing_else() -> None:
    granted = {each for each in actions(rendered("deployer-policy.json")) if not each.startswith("eventbridge:")}
    assert granted == set().union(*FC3.values())


def test_the_deployer_may_create_the_service_linked_roles_of_an_eventbridge_trigger_alone() -> None:
    (creating,) = [
        each
        for each in rendered("deployer-policy.json")["Statement"]
        if each["Action"] == "ram:CreateServiceLinkedRole"
    ]
    assert creating["Condition"]["StringEquals"]["ram:ServiceName"] == [
        "sendevent-fc.eventbridge.aliyuncs.com",
        "source-cms.eventbridge.aliyuncs.com",
        "source-actiontrail.eventbridge.aliyuncs.com",
    ]


@pytest.mark.parametrize(
    "name", ["role-policy.json", "role-policy-store.json", "caller-policy.json", "deployer-policy.json"]
)
def test_no_policy_grants_a_whole_service(name: str) -> None:
    policy = rendered(name)
    assert not [action for action in actions(policy) if "*" in action]
    assert len(json.dumps(policy)) < 6144  # what RAM takes


def test_the_deployer_may_pass_the_one_role_to_function_compute() -> None:
    passing = [each for each in rendered("deployer-policy.json")["Statement"] if each["Action"] == "ram:PassRole"]
    assert [(each["Resource"], each["Condition"]) for each in passing] == [
        (f"acs:ram::{ACCOUNT}:role/redis-backup", {"StringEquals": {"acs:Service": "fc.aliyuncs.com"}})
    ]

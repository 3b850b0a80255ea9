"""deploy/terraform: a real `terraform` validates, plans and applies it, against the provider's schemas.

What it makes is compared with what s.yaml and deploy/*.json say, as Serverless Devs deploys them.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import terraform_schemas
from deployment import ACCOUNT, FUNCTION, PROJECT, REGION, properties, rendered, serverless
from terraform_provider import Provider
from terraform_workspace import MODULE, PACKAGE, Workspace, resources

needs_terraform = pytest.mark.skipif(
    shutil.which("terraform") is None,
    reason="TERRAFORM IS NOT ON THIS MACHINE: deploy/terraform is not validated, not planned and not applied here",
)
VARS = serverless()["vars"]
TAGS = json.loads(VARS["tags"])
READ = {  # the properties of s.yaml's function
    *("region", "functionName", "description", "runtime", "handler", "code", "role", "timeout", "cpu", "memorySize"),
    *("diskSize", "internetAccess", "instanceLifecycleConfig", "environmentVariables", "logConfig"),
    *("asyncInvokeConfig", "triggers"),
}
WEBHOOK = "https://oapi.dingtalk.com/robot/send?access_token=planted"
LOG_PROJECT = f"{FUNCTION}-{ACCOUNT}-{REGION}"
STORE = {"storeBucket": "payments-redis-copies", "storePrefix": "redis/shanghai"}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A copy of the module, and a provider that accepts everything."""
    with Provider(terraform_schemas.schemas(), tmp_path) as provider:
        yield Workspace(tmp_path, provider.environ)


def source() -> str:
    """All files of the module."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(MODULE.glob("*.tf")))


def pruned(value: Any) -> Any:
    """A value without what is null or an empty list: Terraform shows what nobody has set."""
    if isinstance(value, dict):
        return {name: pruned(each) for name, each in value.items() if each not in (None, [])}
    return [pruned(each) for each in value] if isinstance(value, list) else value


def in_blocks(value: Any, *, is_top: bool = True) -> Any:
    """A JSON document as Terraform has it: names in snake case, each object in a block."""
    if isinstance(value, dict):
        block = {
            re.sub(r"([A-Z])", r"_\1", name).lower(): in_blocks(each, is_top=False) for name, each in value.items()
        }
        return block if is_top else [block]
    return [in_blocks(each) for each in value] if isinstance(value, list) else value


@needs_terraform
def test_it_is_formatted() -> None:
    command = ["terraform", f"-chdir={MODULE}", "fmt", "-check", "-recursive"]
    assert subprocess.run(command, check=False).returncode == 0


@needs_terraform
@pytest.mark.parametrize("example", ["minimal", "complete"])
def test_the_module_and_its_examples_are_valid(workspace: Workspace, example: str) -> None:
    assert "Success! The configuration is valid." in workspace.run("validate", example=example)


@needs_terraform
@pytest.mark.parametrize(
    ("file", "old", "new", "error"),
    [
        ("function.tf", "max_async_retry_attempts ", "max_async_retries ", 'named "max_async_retries" is not expected'),
        ("function.tf", "  log_config {", "  logging_config {", 'type "logging_config" are not expected'),
        (
            "log.tf",
            'resource "alicloud_sls_index"',
            'resource "alicloud_sls_indexes"',
            'resource type "alicloud_sls_indexes"',
        ),
        ("role.tf", '  policy_type = "Custom"\n', "", 'The argument "policy_type" is required'),
    ],
    ids=["argument", "block", "resource", "missing"],
)
def test_what_the_provider_does_not_know_is_refused(
    workspace: Workspace, file: str, old: str, new: str, error: str
) -> None:
    workspace.edit(file, old, new)
    done = workspace.attempt("validate")
    assert done.returncode == 1
    assert error in " ".join(done.stderr.split())


@needs_terraform
def test_it_makes_what_the_files_say_and_removes_it_again(workspace: Workspace) -> None:
    given = {"region": REGION, "tags": TAGS}
    applied = workspace.run("apply", "-auto-approve", variables=given)
    assert "Nobody is told of the alerts." in applied
    assert (
        f"redis-backup --check --tag 'env=production' --function {FUNCTION} --region {REGION} --account {ACCOUNT}\n"
        in applied
    )
    made = resources(json.loads(workspace.run("show", "-json"))["values"])
    _compare_role(made)
    _compare_log_store(made)
    _compare_function(made)
    _compare_triggers(made)
    workspace.run("plan", "-detailed-exitcode", variables=given)  # fails if there is anything left to change
    searches = workspace.run("output", "-raw", "saved_searches").splitlines()
    assert [json.loads(line) for line in searches] == rendered("queries.json")
    removed = workspace.run("destroy", "-auto-approve", variables=given)
    assert f"Destroy complete! Resources: {len(made)} destroyed." in removed


def _compare_role(made: dict[str, Any]) -> None:
    role, policy = made["alicloud_ram_role.function"], made["alicloud_ram_policy.function"]
    assert json.loads(role["assume_role_policy_document"]) == rendered("role-trust-policy.json")
    assert json.loads(policy["policy_document"]) == rendered("role-policy.json", logProject=LOG_PROJECT)
    assert not [address for address in made if "oss" in address]
    attached = made["alicloud_ram_role_policy_attachment.function"]
    assert (attached["role_name"], attached["policy_name"], attached["policy_type"]) == (
        role["role_name"],
        policy["policy_name"],
        "Custom",
    )


def _compare_log_store(made: dict[str, Any]) -> None:
    index, dashboard = made["alicloud_sls_index.backup"], made["alicloud_log_dashboard.backup"]
    wanted = rendered("log-index.json")
    assert made["alicloud_log_project.backup"]["project_name"] == LOG_PROJECT
    assert made["alicloud_log_store.backup"]["logstore_name"] == VARS["logstore"]
    assert (json.loads(index["keys"]), index["max_text_len"]) == (wanted["keys"], wanted["max_text_len"])
    assert pruned(index["line"]) == [in_blocks(wanted["line"])]
    wanted = rendered("dashboard.json", logProject=LOG_PROJECT)
    assert (json.loads(dashboard["char_list"]), json.loads(dashboard["attribute"])) == (
        wanted["charts"],
        wanted["attribute"],
    )
    assert (dashboard["dashboard_name"], dashboard["display_name"]) == (wanted["dashboardName"], wanted["displayName"])
    for alert in rendered("alerts.json", logProject=LOG_PROJECT, actionPolicy=""):
        rule = made[f'alicloud_sls_alert.backup["{alert["name"]}"]']
        assert pruned(rule["configuration"]) == [pruned(in_blocks(alert["configuration"]))]
        assert pruned(rule["schedule"]) == [in_blocks(alert["schedule"])]
        assert (rule["display_name"], rule["status"]) == (alert["displayName"], "ENABLED")


def _compare_function(made: dict[str, Any]) -> None:
    function, wanted = made["alicloud_fcv3_function.backup"], properties()
    assert set(wanted) == READ, "s.yaml has a property that the module does not read, or the other way round"
    for name in ("handler", "runtime", "description", "timeout", "cpu"):
        assert function[name] == wanted[name]
    assert (function["memory_size"], function["disk_size"]) == (wanted["memorySize"], wanted["diskSize"])
    assert (function["function_name"], function["internet_access"]) == (FUNCTION, True)
    assert function["role"] == f"acs:ram::{ACCOUNT}:role/{VARS['role']}"
    assert function["environment_variables"] == {n: v for n, v in wanted["environmentVariables"].items() if v}
    assert pruned(function["instance_lifecycle_config"]) == [in_blocks(wanted["instanceLifecycleConfig"])]
    assert function["log_config"] == [in_blocks({**wanted["logConfig"], "project": LOG_PROJECT})]
    assert base64.b64decode(function["code"][0]["zip_file"]) == PACKAGE
    assert function["vpc_config"] == []
    asynchronous = {"function_name": FUNCTION, "qualifier": "LATEST", **in_blocks(wanted["asyncInvokeConfig"])}
    assert pruned(made["alicloud_fcv3_async_invoke_config.backup"]).items() >= asynchronous.items()


def _compare_triggers(made: dict[str, Any]) -> None:
    wanted = {trigger["triggerName"]: trigger for trigger in properties()["triggers"]}
    triggers = {
        values["trigger_name"]: values for name, values in made.items() if name.startswith("alicloud_fcv3_trigger.")
    }
    assert set(wanted) == {"nightly", "hourly", "audit", "maintenance"}
    assert set(triggers) == {"nightly", "audit", "maintenance"}  # no instance is backed up every hour
    for name, trigger in triggers.items():
        assert _parsed(json.loads(trigger["trigger_config"])) == _parsed(wanted[name]["triggerConfig"])
        assert (trigger["trigger_type"], trigger["description"], trigger["qualifier"]) == (
            wanted[name]["triggerType"],
            wanted[name]["description"],
            "LATEST",
        )
    rule = made["alicloud_event_bridge_rule.pipeline[0]"]
    assert json.loads(rule["filter_pattern"]) == rendered("event-pattern.json")
    assert made["alicloud_event_bridge_event_bus.pipeline[0]"]["event_bus_name"] == rule["event_bus_name"]
    assert (rule["event_bus_name"], rule["rule_name"], rule["status"]) == (
        VARS["eventBus"],
        VARS["eventRule"],
        "ENABLE",
    )
    assert [_target(target) for target in rule["targets"]] == rendered("event-targets.json")


def _target(target: dict[str, Any]) -> dict[str, Any]:
    """A rule's target as EventBridge's API has it."""
    fields = {"ResourceKey": "resource_key", "Form": "form", "Value": "value"}
    parameters = [
        {name: each[field] for name, field in fields.items() if each[field] is not None}
        for each in target["param_list"]
    ]
    return {
        "Id": target["target_id"],
        "Type": target["type"],
        "Endpoint": target["endpoint"],
        "PushRetryStrategy": target["push_retry_strategy"],
        "ParamList": parameters,
    }


def _parsed(config: dict[str, Any]) -> dict[str, Any]:
    """A trigger's configuration, the JSON in it read."""
    return {
        name: json.loads(value) if name in ("payload", "eventRuleFilterPattern") else value
        for name, value in config.items()
    }


@needs_terraform
def test_every_variable_arrives_where_it_belongs_and_no_secret_is_shown(workspace: Workspace) -> None:
    workspace.edit("examples/complete/main.tf", "= var.alert_webhook\n", f'= "{WEBHOOK}"\n')
    made, shown = workspace.planned("complete", {"alert_webhook": WEBHOOK})
    _compare_values(made)
    _compare_records(made)
    assert "zip_file" in shown
    assert base64.b64encode(PACKAGE).decode() not in shown
    assert WEBHOOK not in shown


def _compare_values(made: dict[str, Any]) -> None:
    name, region = "redis-backup-shanghai", "cn-shanghai"
    queue = f"acs:mns:{region}:{ACCOUNT}:/queues/redis-backup-failed/messages"
    changed = {
        "region": region,
        "functionName": name,
        "role": name,
        "instancePattern": "r-bp1*",
        "logProject": "payments-redis-backup",
        "actionPolicy": name,
        "maxAgeMinutes": "1500",
    }
    statement = {"Effect": "Allow", "Action": "mns:SendMessage", "Resource": queue}
    policy = rendered("role-policy.json", **changed)
    policy["Statement"] += [*rendered("role-policy-store.json", **STORE)["Statement"], statement]
    assert json.loads(made["alicloud_ram_policy.function"]["policy_document"]) == policy
    _compare_bucket(made, name)
    function = made["alicloud_fcv3_function.backup"]
    assert [function[each] for each in ("timeout", "cpu", "memory_size", "internet_access")] == [900, 1, 2048, False]
    assert function["environment_variables"] == {
        **{name: value for name, value in properties()["environmentVariables"].items() if value},
        "BACKUP_ALLOW": f"{region}/r-bp1*",
        "BACKUP_VERIFY": "full",
        "BACKUP_COPY": "true",
        "BACKUP_STORE": "oss://payments-redis-copies/redis/shanghai",
        "BACKUP_ENDPOINT": "r-kvstore-vpc.{region}.aliyuncs.com",
        "BACKUP_FC_ENDPOINT": "{account}.{region}-internal.fc.aliyuncs.com",
        "BACKUP_MAX_INSTANCES": "5000",
    }
    assert function["vpc_config"][0]["vpc_id"] == "vpc-bp1aevy8sofi8mh1q1234"
    asynchronous = made["alicloud_fcv3_async_invoke_config.backup"]
    assert pruned(asynchronous["destination_config"]) == [{"on_failure": [{"destination": queue}]}]
    timers = {
        trigger: json.loads(made[f'alicloud_fcv3_trigger.timer["{trigger}"]']["trigger_config"])
        for trigger in ("nightly", "hourly", "audit")
    }
    assert {trigger: config["cronExpression"] for trigger, config in timers.items()} == {
        "nightly": "CRON_TZ=Asia/Shanghai 0 30 1 * * *",
        "hourly": "CRON_TZ=Asia/Shanghai 0 20 * * * *",
        "audit": "CRON_TZ=Asia/Shanghai 0 50 * * * *",
    }
    tags = {"env": "production", "team": "payments"}
    assert {trigger: json.loads(config["payload"]) for trigger, config in timers.items()} == {
        "nightly": {"tags": tags, "retention_days": 60, "reason": "nightly"},
        "hourly": {
            "instance_ids": "r-bp1zxszhcgatnx01, r-bp1cloudnative01",
            "retention_days": 14,
            "reason": "hourly",
        },
        "audit": {"tags": tags, "max_age_minutes": 1500, "dry_run": True, "reason": "audit"},
    }
    rule = made["alicloud_event_bridge_rule.pipeline[0]"]
    assert json.loads(rule["filter_pattern"]) == {"source": ["payments.pipeline"], "type": ["deploy:Release:Pending"]}
    assert (rule["event_bus_name"], rule["rule_name"]) == ("payments-deployments", name)
    assert "alicloud_event_bridge_service_linked_role.function[0]" not in made
    for alert in rendered("alerts.json", **changed):
        configuration = made[f'alicloud_sls_alert.backup["{alert["name"]}"]']["configuration"]
        assert pruned(configuration) == [pruned(in_blocks(alert["configuration"]))]
    assert made["alicloud_log_store.backup"]["retention_period"] == 365


def _compare_bucket(made: dict[str, Any], name: str) -> None:
    rule = rendered("store-lifecycle.json", **STORE, functionName=name, copyRetentionDays="365")["Rule"]
    bucket = pruned(made['alicloud_oss_bucket.store["payments-redis-copies"]'])
    assert bucket["server_side_encryption_rule"] == [{"sse_algorithm": "AES256"}]
    assert bucket["lifecycle_rule"] == [
        {
            "id": rule["ID"],
            "prefix": rule["Prefix"],
            "enabled": True,
            "expiration": [{"days": int(rule["Expiration"]["Days"])}],
            "abort_multipart_upload": [{"days": int(rule["AbortMultipartUpload"]["Days"])}],
        }
    ]
    assert not bucket.keys() & {"acl", "force_destroy", "versioning"}  # private; kept while anything is in it; off
    access = made['alicloud_oss_bucket_public_access_block.store["payments-redis-copies"]']
    assert (access["bucket"], access["block_public_access"]) == ("payments-redis-copies", True)


def _compare_records(made: dict[str, Any]) -> None:
    records = {
        values["resource_name"]: (values["record_id"], json.loads(values["value"]))
        for address, values in made.items()
        if address.startswith("alicloud_log_resource_record.")
    }
    name = "redis-backup-shanghai"
    assert {resource: record[0] for resource, record in records.items()} == dict.fromkeys(records, name)
    user, group = records["sls.common.user"][1], records["sls.common.user_group"][1]
    webhook, policy = records["sls.alert.action_webhook"][1], records["sls.alert.action_policy"][1]
    assert (user["user_id"], user["email"], user["enabled"]) == (name, ["dba@example.com"], True)
    assert (group["user_group_id"], group["members"]) == (name, [name])
    assert (webhook["id"], webhook["type"], webhook["url"]) == (
        name,
        "dingtalk",
        WEBHOOK,
    )
    assert (policy["action_policy_id"], policy["is_default"]) == (name, False)
    assert policy["primary_policy_script"] == policy["secondary_policy_script"]
    template = 'template_id="sls.builtin.en", period="any"'
    static = 'oncall_groups=[], receiver_type="static", external_url="", external_headers={}'
    assert policy["primary_policy_script"].splitlines() == [
        f'fire(type="email", users=[], groups=["{name}"], {static}, {template})',
        f'fire(type="webhook_integration", integration_type="dingtalk", webhook_id="{name}", {template})',
    ]


@needs_terraform
def test_a_bucket_that_exists_is_used_and_not_changed(workspace: Workspace) -> None:
    store = '{ bucket = "copies", prefix = "redis", region = "cn-beijing" }'
    workspace.edit(
        "examples/minimal/main.tf",
        "  alert_email = var.alert_email\n",
        f'  alert_email = var.alert_email\n  verify = "quick"\n  download = "internet"\n  store = {store}\n',
    )
    made, _ = workspace.planned(variables={"region": REGION, "tags": TAGS})
    assert not [address for address in made if "oss" in address]
    environment = made["alicloud_fcv3_function.backup"]["environment_variables"]
    assert {name: value for name, value in environment.items() if re.match("BACKUP_(VER|COP|STO|DOW)", name)} == {
        "BACKUP_VERIFY": "quick",
        "BACKUP_COPY": "false",
        "BACKUP_STORE": "oss://copies/redis",
        "BACKUP_STORE_REGION": "cn-beijing",
        "BACKUP_DOWNLOAD": "internet",
    }
    policy = json.loads(made["alicloud_ram_policy.function"]["policy_document"])
    granted = rendered("role-policy-store.json", storeBucket="copies", storePrefix="redis")["Statement"]
    assert policy["Statement"][-len(granted) :] == granted


@needs_terraform
@pytest.mark.parametrize("asked", ['verify = "full"', "copy = true"])
def test_what_needs_a_store_is_refused_without_one(workspace: Workspace, asked: str) -> None:
    line = "  alert_email = var.alert_email\n"
    workspace.edit("examples/minimal/main.tf", line, f"{line}  {asked}\n")
    done = workspace.attempt("plan", variables={"region": REGION, "tags": TAGS})
    assert done.returncode == 1
    assert 'verify = "full" and copy need a store.' in " ".join(done.stderr.split())


@needs_terraform
def test_what_is_switched_off_is_not_made(workspace: Workspace) -> None:
    workspace.edit(
        "examples/minimal/main.tf",
        "  alert_email = var.alert_email\n",
        "  alert_email = var.alert_email\n  alerts = false\n  event_bus_enabled = false\n"
        "  maintenance_trigger = false\n",
    )
    odd = {'te"am': "pay$\\ments <${x}> é"}  # as text in JSON in JSON
    made, _ = workspace.planned(variables={"region": REGION, "tags": odd, "alert_email": "dba@example.com"})
    off = re.compile(r"alicloud_(sls_alert|log_resource_record|event_bridge_\w+|fcv3_trigger\.maintenance)\b")
    assert [address for address in made if off.match(address)] == []
    nightly = json.loads(made['alicloud_fcv3_trigger.timer["nightly"]']["trigger_config"])
    assert json.loads(nightly["payload"])["tags"] == odd


@needs_terraform
def test_what_is_changed_in_s_yaml_is_changed_here(workspace: Workspace) -> None:
    workspace.edit("../../s.yaml", "  alertEmail: ''", "  alertEmail: team@example.com")
    workspace.edit("../../s.yaml", "  eventBus: deployments", "  eventBus: ''")
    workspace.edit("../../s.yaml", "  nightly: CRON_TZ=Asia/Shanghai 0 0 2 * * *", "  nightly: '@every 12h'")
    workspace.edit("../../s.yaml", "      timeout: 600 ", "      timeout: 660 ")
    workspace.edit("../../s.yaml", "  store: ''", "  store: oss://copies/redis/prod")
    made, shown = workspace.planned(variables={"region": REGION, "tags": TAGS})
    user = json.loads(made["alicloud_log_resource_record.user[0]"]["value"])
    nightly = json.loads(made['alicloud_fcv3_trigger.timer["nightly"]']["trigger_config"])
    assert (user["email"], nightly["cronExpression"]) == (["team@example.com"], "@every 12h")
    assert made["alicloud_fcv3_function.backup"]["timeout"] == 660
    assert made["alicloud_fcv3_function.backup"]["environment_variables"]["BACKUP_STORE"] == "oss://copies/redis/prod"
    assert "acs:oss:*:*:copies/redis/prod/*" in made["alicloud_ram_policy.function"]["policy_document"]
    assert not any("event_bus" in address for address in made)
    assert "Nobody is told" not in shown


BAD = {
    "region": "Hangzhou",
    "tags": {},
    "instance_ids": ["r-bp1,r-bp2"],
    "instance_pattern": "cn-hangzhou/r-*",
    "schedules": {"nightly": "0 2 * * *"},
    "retention_days": {"hourly": 3},
    "max_age_minutes": 0,
    "name": "Redis Backup",
    "timeout": 60,
    "cpu": 0,
    "memory_size": 500,
    "environment": {"PATH": "/"},
    "verify": "fully",
    "store": {"bucket": "copies", "prefix": "redis/", "create": True},
    "copy_retention_days": 0,
    "download": "vpc",
    "on_failure_queue": "acs:mns:cn-hangzhou:1:/queues/failed",
    "log_project": "Logs",
    "log_retention_days": 1,
    "alert_email": "dba",
    "alert_webhook": "oapi.dingtalk.com",
    "alert_webhook_type": "pager",
    "event_bus": "default",
}


@needs_terraform
def test_a_wrong_value_is_refused_by_its_variable(workspace: Workspace) -> None:
    arguments = "".join(f"  {name} = {json.dumps(value)}\n" for name, value in BAD.items())
    right = "  region      = var.region\n  tags        = var.tags\n  alert_email = var.alert_email\n"
    workspace.edit("examples/minimal/main.tf", right, arguments)
    done = workspace.attempt("plan", variables={"region": REGION, "tags": TAGS})
    refused = re.findall(r"var\.(\w+) is ", done.stderr)
    assert (done.returncode, sorted(set(refused))) == (1, sorted(BAD))


def test_every_variable_with_rules_has_a_wrong_value() -> None:
    with_rules = re.findall(r'^variable "(\w+)" \{(?:(?!^\}).)*?^  validation \{', source(), re.MULTILINE | re.DOTALL)
    assert sorted(with_rules) == sorted(BAD)


@needs_terraform
def test_without_a_package_it_says_how_to_make_one(workspace: Workspace) -> None:
    workspace.package.unlink()
    done = workspace.attempt("plan", variables={"region": REGION, "tags": TAGS})
    assert done.returncode == 1
    assert "Run `make package` in the repository first." in " ".join(done.stderr.split())


@needs_terraform
def test_a_provider_of_another_region_is_refused(workspace: Workspace) -> None:
    workspace.edit("examples/minimal/main.tf", "  region = var.region\n", '  region = "cn-beijing"\n')
    done = workspace.attempt("apply", "-auto-approve", variables={"region": REGION, "tags": TAGS})
    assert done.returncode == 1
    assert f"The provider's region is not {REGION}." in " ".join(done.stderr.split())


def test_the_complete_example_and_the_readme_have_every_variable_and_output() -> None:
    variables = re.findall(r'^variable "(\w+)"', source(), re.MULTILINE)
    outputs = re.findall(r'^output "(\w+)"', source(), re.MULTILINE)
    example = (MODULE / "examples" / "complete" / "main.tf").read_text(encoding="utf-8")
    call = example.partition('module "redis_backup" {')[2].partition("\n}\n")[0]
    assert set(re.findall(r"^  (\w+) +=", call, re.MULTILINE)) - {"source", "providers"} == set(variables)
    readme = (MODULE / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE) == [*variables, *outputs]
    links = re.findall(r"\]\((?!https://)([^)#]+)\)", readme)
    assert [link for link in links if not (MODULE / link).exists()] == []


# What the provider calls to create, read, update and delete a resource of each type, by RAM's names of the actions.
ACTIONS = {
    "alicloud_event_bridge_event_bus": ["eventbridge: CreateEventBus GetEventBus UpdateEventBus DeleteEventBus"],
    "alicloud_event_bridge_rule": [
        "eventbridge: CreateRule GetRule UpdateRule EnableRule DisableRule DeleteRule",
        "eventbridge: PutTargets UpdateTargets DeleteTargets ListTargets",
    ],
    "alicloud_event_bridge_service_linked_role": [
        "eventbridge: CreateServiceLinkedRoleForProduct CheckRoleForProduct",
        "ram: CreateServiceLinkedRole DeleteServiceLinkedRole",
    ],
    "alicloud_fcv3_async_invoke_config": [
        "fc: PutFunctionAsyncInvokeConfig GetFunctionAsyncInvokeConfig DeleteFunctionAsyncInvokeConfig",
    ],
    "alicloud_fcv3_function": ["fc: CreateFunction GetFunction UpdateFunction DeleteFunction", "ram: PassRole"],
    "alicloud_fcv3_trigger": ["fc: CreateTrigger GetTrigger UpdateTrigger DeleteTrigger"],
    "alicloud_log_dashboard": ["log: CreateDashboard GetDashboard UpdateDashboard DeleteDashboard"],
    "alicloud_log_project": [
        "log: CreateProject GetProject UpdateProject DeleteProject GetProjectPolicy ListTagResources",
    ],
    "alicloud_log_resource_record": [
        "log: CreateResourceRecord GetResourceRecord UpdateResourceRecord DeleteResourceRecord",
    ],
    "alicloud_log_store": [
        "log: CreateLogStore GetLogStore UpdateLogStore DeleteLogStore ListShards GetLogStoreMeteringMode",
    ],
    "alicloud_oss_bucket": [
        "oss: PutBucket DeleteBucket ListBuckets GetBucketInfo GetBucketCors GetBucketWebsite GetBucketLogging",
        "oss: GetBucketReferer GetBucketPolicy GetBucketTagging GetBucketTransferAcceleration GetBucketResourceGroup",
        "oss: GetBucketLifecycle PutBucketLifecycle PutBucketEncryption",
    ],
    "alicloud_oss_bucket_public_access_block": [
        "oss: PutBucketPublicAccessBlock GetBucketPublicAccessBlock DeleteBucketPublicAccessBlock",
    ],
    "alicloud_ram_policy": [
        "ram: CreatePolicy GetPolicy DeletePolicy CreatePolicyVersion ListPolicyVersions DeletePolicyVersion",
        "ram: ListEntitiesForPolicy ListTagResources",
    ],
    "alicloud_ram_role": ["ram: CreateRole GetRole UpdateRole DeleteRole ListTagResources"],
    "alicloud_ram_role_policy_attachment": ["ram: AttachPolicyToRole ListPoliciesForRole DetachPolicyFromRole"],
    "alicloud_sls_alert": ["log: CreateAlert GetAlert UpdateAlert EnableAlert DisableAlert DeleteAlert"],
    "alicloud_sls_index": ["log: CreateIndex GetIndex UpdateIndex DeleteIndex"],
}


def test_the_policy_has_what_the_resources_need_and_nothing_else() -> None:
    used = set(re.findall(r'^resource "(\w+)"', source(), re.MULTILINE))
    assert used == set(ACTIONS) == set(terraform_schemas.RESOURCES)
    lines = [line.split() for lines in ACTIONS.values() for line in lines]
    needed = {service + verb for service, *verbs in lines for verb in verbs}
    needed.add("log:CreateSavedSearch")  # of the command in `next_steps`
    policy = json.loads((PROJECT / "deploy" / "terraform-policy.json").read_text(encoding="utf-8"))
    allowed = [action for statement in policy["Statement"] for action in statement["Action"]]
    assert sorted(allowed) == sorted(set(allowed)), "an action is there twice"
    assert set(allowed) == needed


def test_the_policy_names_resources_wherever_ram_knows_them() -> None:
    policy = rendered("terraform-policy.json")
    everywhere = {a for each in policy["Statement"] if each["Resource"] == "*" for a in each["Action"]}
    alerts = {f"log:{verb}Alert" for verb in ("Create", "Get", "Update", "Enable", "Disable", "Delete")}
    roles = {"eventbridge:CreateServiceLinkedRoleForProduct", "eventbridge:CheckRoleForProduct"}
    linked = {"ram:CreateServiceLinkedRole", "ram:DeleteServiceLinkedRole"}
    assert everywhere == alerts | roles | linked | {"oss:ListBuckets"}
    text = json.dumps(policy)
    assert f"acs:log:{REGION}:{ACCOUNT}:project/{LOG_PROJECT}" in text
    assert "cn-heyuan" not in text  # records have no region in their resource

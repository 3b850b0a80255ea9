"""deploy/prepare.sh, with stand-ins for `aliyun` and `aliyunlog` that write down what they are called with."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from deployment import ACCOUNT, PROJECT, REGION, rendered

SCRIPT = (PROJECT / "deploy" / "prepare.sh").read_text(encoding="utf-8")
# Writes its arguments to calls/, ends of arguments as \036 and of calls as \035. `state/new`: nothing is there yet.
# `state/refuse` has the name of an operation that is refused; `state/late` one whose project is not known at first;
# `state/lifecycle` what OSS answers when it is asked for a bucket's lifecycle rules.
STAND_IN = r"""#!/bin/sh
here=HERE
{ printf '%s\036' "${0##*/}" "$@"; printf '\035'; } >>"$here/calls"
operation=$2 refuse='-' late='-'
[ ! -e "$here/state/refuse" ] || read -r refuse <"$here/state/refuse" || :
[ ! -e "$here/state/late" ] || read -r late <"$here/state/late" || :
if [ "$1" = ossutil ] && [ "$3" = get-bucket-lifecycle ]; then
  cat "$here/state/lifecycle"; grep -q Rule "$here/state/lifecycle"; exit
fi
[ "$1" = ossutil ] && operation=$3
if [ "$operation" = "$refuse" ]; then
  case $1 in
    eventbridge) echo '{ "Code": "AccessDenied", "Message": "no permission", "Success": false }'; exit 0 ;;
    *) echo 'ErrorCode: NoPermission'; exit 1 ;;
  esac
fi
if [ "$operation" = "$late" ]; then
  rm "$here/state/late"; echo '{"errorCode": "ProjectNotExist"}'; exit 3
fi
case $operation in
  GetCallerIdentity) echo '{ "AccountId": "ACCOUNT", "IdentityType": "RAMUser" }'; exit ;;
  Get* | get_*)
    if [ -e "$here/state/new" ]; then
      case $1 in
        ram) echo 'ErrorCode: EntityNotExist.Role'; exit 1 ;;
        log) echo '{"errorCode": "ProjectNotExist", "errorMessage": "…"}'; exit 3 ;;
        eventbridge) echo '{ "Code": "EventBusNotExist", "Message": "…", "Success": false }'; exit 0 ;;
      esac
    fi ;;
  AttachPolicyToRole)
    [ -e "$here/state/new" ] || { echo 'ErrorCode: EntityAlreadyExists.Role.Policy'; exit 1; } ;;
esac
echo '{ "Code": "Success", "Success": true }'
"""
Call = list[str]


class Machine:
    """A copy of the project's deploy/ on a machine of its own, with stand-ins for both commands."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "deploy").mkdir()
        for name in ("prepare.sh", "render.py", "notify.py", *(path.name for path in PROJECT.glob("deploy/*.json"))):
            shutil.copy(PROJECT / "deploy" / name, root / "deploy" / name)
        shutil.copy(PROJECT / "s.yaml", root / "s.yaml")
        (root / ".venv" / "bin").mkdir(parents=True)
        (root / ".venv" / ".ready").touch()
        python = root / ".venv" / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {PROJECT}/.venv/bin/python "$@"\n', encoding="utf-8")
        self.state = root / "state"
        self.state.mkdir()
        stand_ins = [root / "bin" / "aliyun", root / "build" / "aliyunlog" / "bin" / "aliyunlog"]
        stand_ins.append(stand_ins[1].with_name("python"))
        stand_ins.append(root / "bin" / "sleep")
        for path in stand_ins:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(STAND_IN.replace("HERE", str(root)).replace("ACCOUNT", ACCOUNT), encoding="utf-8")
        for path in (python, *stand_ins):
            path.chmod(0o755)

    def run(self, **environ: str) -> tuple[subprocess.CompletedProcess[str], list[Call]]:
        """Run prepare.sh; return what it wrote, and the calls of this run."""
        calls = self.root / "calls"
        calls.unlink(missing_ok=True)
        environment = {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}", **environ}
        done = subprocess.run(
            [str(self.root / "deploy" / "prepare.sh")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        text = calls.read_text(encoding="utf-8") if calls.exists() else ""
        return done, [each.split("\036")[:-1] for each in text.split("\035")[:-1]]

    def set(self, name: str, value: str) -> None:
        """Change a variable of s.yaml."""
        path = self.root / "s.yaml"
        text, count = re.subn(rf"^  {name}: .*$", f"  {name}: {value}", path.read_text(encoding="utf-8"), flags=re.M)
        assert count == 1
        path.write_text(text, encoding="utf-8")


class Run(NamedTuple):
    """A run of prepare.sh."""

    machine: Machine
    done: subprocess.CompletedProcess[str]
    calls: list[Call]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run it in an account that has nothing yet."""
    machine = Machine(tmp_path_factory.mktemp("first"))
    (machine.state / "new").touch()
    return Run(machine, *machine.run())


def options(call: Sequence[str]) -> dict[str, str]:
    """Return a call's parameters: `--a b` (aliyun) and `--a=b` (aliyunlog)."""
    found: dict[str, str] = {}
    for index, argument in enumerate(call):
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            found[name] = value if equals else call[index + 1]
    return found


def operations(calls: Sequence[Call], prefix: str) -> list[str]:
    return [call[2] for call in calls if call[0] != "python" and call[2].lower().startswith(prefix)]


# What each command takes: of aliyun by aliyun/aliyun-openapi-meta (metadatas/), of aliyunlog by the help of 0.2.10.
_STORE, _ITEM = {"project_name", "logstore_name"}, {"project", "detail"}
PARAMETERS: dict[str, set[str]] = {
    "GetCallerIdentity": set(),
    "GetRole": {"RoleName"},
    "CreateRole": {"RoleName", "AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "Tag"},
    "UpdateRole": {"RoleName", "NewAssumeRolePolicyDocument", "NewDescription", "NewMaxSessionDuration"},
    "GetPolicy": {"PolicyName", "PolicyType"},
    "CreatePolicy": {"PolicyName", "PolicyDocument", "Description", "Tag"},
    "CreatePolicyVersion": {"PolicyName", "PolicyDocument", "SetAsDefault", "RotateStrategy"},
    "AttachPolicyToRole": {"RoleName", "PolicyName", "PolicyType", "ResourceGroupId"},
    "CreateServiceLinkedRole": {"ServiceName", "CustomSuffix", "Description"},
    "GetEventBus": {"EventBusName"},
    "CreateEventBus": {"EventBusName", "Description"},
    "GetRule": {"EventBusName", "RuleName"},
    "CreateRule": {"EventBusName", "RuleName", "FilterPattern", "EventTargets", "Description", "Status"},
    "UpdateRule": {"EventBusName", "RuleName", "FilterPattern", "Description", "Status"},
    "PutTargets": {"EventBusName", "RuleName", "Targets"},
    "get_project": {"project_name"},
    "create_project": {"project_name", "project_des", "resource_group_id", "data_redundancy_type"},
    "get_logstore": _STORE,
    "create_logstore": {*_STORE, "ttl", "shard_count"},
    "get_index_config": _STORE,
    **{f"{verb}_index": {*_STORE, "index_detail"} for verb in ("create", "update")},
    **{f"get_{kind}": {"project", "entity"} for kind in ("dashboard", "savedsearch", "alert")},
    **{f"{verb}_{kind}": _ITEM for verb in ("create", "update") for kind in ("dashboard", "savedsearch", "alert")},
}
ALERTS = [each["name"] for each in rendered("alerts.json")]
SEARCHES = [each["savedsearchName"] for each in rendered("queries.json")]


def test_the_first_run_creates_everything_in_order_and_updates_nothing(first: Run) -> None:
    _, done, calls = first
    assert (done.returncode, done.stderr) == (0, "")
    assert operations(calls, "create") == [
        *("CreateRole", "CreatePolicy", "create_project", "create_logstore", "create_index", "create_dashboard"),
        *["create_savedsearch"] * len(SEARCHES),
        *["create_alert"] * len(ALERTS),
        *("CreateServiceLinkedRole", "CreateEventBus", "CreateRule"),
    ]
    assert operations(calls, "update") == []
    assert operations(calls, "attach") == ["AttachPolicyToRole"]
    lines = done.stdout.splitlines()
    assert lines[1:4] == [
        "✓ role redis-backup: created",
        "✓ policy redis-backup: created",
        "✓ log project redis-backup-logs: created",
    ]
    assert len([line for line in lines if line.startswith("✓")]) == 9 + len(SEARCHES) + len(ALERTS)
    assert lines[-2].startswith("! Unless you have made the action policy redis-backup yourself, nobody is told")
    assert lines[-1] == "Everything is prepared. Next: s deploy"


def test_the_next_run_updates_everything_and_creates_nothing_but_a_version_of_the_policy(
    machine: Machine, first: Run
) -> None:
    done, calls = machine.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert operations(calls, "create") == ["CreatePolicyVersion"]
    assert operations(calls, "update") == [
        *("UpdateRole", "update_index", "update_dashboard"),
        *["update_savedsearch"] * len(SEARCHES),
        *["update_alert"] * len(ALERTS),
        "UpdateRule",
    ]
    assert "created" not in done.stdout
    called = [*first.calls, *calls]
    assert {call[2] for call in called} == set(PARAMETERS)
    assert [call for call in called if set(options(call)) - {"region"} - PARAMETERS[call[2]]] == []


def test_what_is_sent_is_what_the_files_have(first: Run) -> None:
    machine, _, calls = first
    sent: dict[str, list[dict[str, str]]] = {}
    for call in calls:
        sent.setdefault(call[2], []).append(options(call))
    [role], [policy], [rule], [targets] = (
        sent[name] for name in ("CreateRole", "CreatePolicy", "CreateRule", "PutTargets")
    )
    assert json.loads(role["AssumeRolePolicyDocument"]) == rendered("role-trust-policy.json")
    assert json.loads(policy["PolicyDocument"]) == rendered("role-policy.json")
    assert json.loads(rule["FilterPattern"]) == {"source": ["acme.pipeline"], "type": ["deploy:Release:Pending"]}
    assert json.loads(rule["EventTargets"]) == json.loads(targets["Targets"]) == rendered("event-targets.json")
    assert (rule["EventBusName"], rule["RuleName"], rule["Status"]) == ("deployments", "redis-backup", "ENABLE")

    def file(parameter: str) -> Any:
        return json.loads((machine.root / parameter.removeprefix("file://")).read_text(encoding="utf-8"))

    assert file(sent["create_index"][0]["index_detail"]) == rendered("log-index.json")
    assert [file(each["detail"]) for each in sent["create_dashboard"]] == [rendered("dashboard.json")]
    for operation, name, key in (
        ("create_savedsearch", "queries.json", "savedsearchName"),
        ("create_alert", "alerts.json", "name"),
    ):
        assert [file(each["detail"]) for each in sent[operation]] == sorted(rendered(name), key=lambda each: each[key])
    looked_at = {each["entity"] for each in sent["get_alert"] + sent["get_savedsearch"] + sent["get_dashboard"]}
    assert looked_at == {*ALERTS, *SEARCHES, "redis-backup"}
    assert {each.get("region", REGION) for calls_of in sent.values() for each in calls_of} == {REGION}


@pytest.mark.parametrize(
    ("operation", "step", "permission"),
    [
        ("CreateRole", "role redis-backup", "ram:CreateRole"),
        ("AttachPolicyToRole", "attaching policy redis-backup to role redis-backup", "ram:AttachPolicyToRole"),
        ("create_project", "log project redis-backup-logs", "log:CreateProject"),
        ("get_alert", "alert audit-missing", "log:GetJob"),
        ("CreateRule", "event rule redis-backup", "eventbridge:CreateRule"),
        ("PutTargets", "the target of event rule redis-backup", "eventbridge:PutTargets"),
    ],
)
def test_a_refused_step_stops_it_and_names_the_step_and_its_permissions(
    machine: Machine, operation: str, step: str, permission: str
) -> None:
    (machine.state / "new").touch()
    (machine.state / "refuse").write_text(operation, encoding="utf-8")
    done, calls = machine.run()
    assert (done.returncode, calls[-1][2]) == (1, operation)
    first, *others = done.stderr.splitlines()
    assert first == f"✗ {step}: refused. What was made before it stays."
    assert permission in done.stderr
    assert re.search("NoPermission|AccessDenied", others[0])
    assert others[-1] == "  Correct it, then run deploy/prepare.sh again."
    assert ("another one, logProject in s.yaml" in done.stderr) == (operation == "create_project")


def test_a_project_that_is_not_known_at_once_is_waited_for(machine: Machine) -> None:
    (machine.state / "new").touch()
    (machine.state / "late").write_text("create_logstore", encoding="utf-8")
    done, calls = machine.run()
    assert done.returncode == 0
    assert [call[0] for call in calls if call[0] == "sleep" or call[2] == "create_logstore"] == [
        *("aliyunlog", "sleep", "aliyunlog")
    ]


LIFECYCLE = """
{{"Rule": [{{"Expiration": {{"Days": 3}}, "ID": "{0}", "Prefix": "x/", "Status": "Enabled"}}]}}
"""
OURS, OTHER = LIFECYCLE.format("redis-backup"), LIFECYCLE.format("logs")
NO_RULES = "Error: Code=NoSuchLifecycle, Message=No Row found in Lifecycle Table."


def with_store(machine: Machine, answer: str, region: str = "") -> tuple[str, list[Call]]:
    """Run it with a store in s.yaml, and OSS's answer; return what it writes, and its calls of OSS."""
    machine.set("store", "oss://backups/redis/prod")
    machine.set("copyRetentionDays", "365")
    if region:
        machine.set("storeRegion", region)
    (machine.state / "lifecycle").write_text(answer, encoding="utf-8")
    done, calls = machine.run()
    assert done.returncode == 0, done.stderr
    return done.stdout, [call[3:] for call in calls if call[1] == "ossutil"]


def test_with_a_store_the_role_may_use_it_and_without_one_not(machine: Machine) -> None:
    (machine.state / "new").touch()
    with_store(machine, NO_RULES)
    _, calls = machine.run()
    store = rendered("role-policy-store.json", storeBucket="backups", storePrefix="redis/prod")
    (sent,) = [options(call)["PolicyDocument"] for call in calls if call[2] == "CreatePolicy"]
    assert json.loads(sent)["Statement"] == rendered("role-policy.json")["Statement"] + store["Statement"]
    machine.set("store", "''")
    (machine.state / "new").unlink()
    _, calls = machine.run()
    (sent,) = [options(call)["PolicyDocument"] for call in calls if call[2] == "CreatePolicyVersion"]
    assert json.loads(sent) == rendered("role-policy.json")
    assert not [call for call in calls if call[1] == "ossutil"]


@pytest.mark.parametrize(
    ("answer", "region"), [(NO_RULES, ""), (OURS, "cn-shanghai")], ids=["no rule", "its own rule alone"]
)
def test_copies_are_deleted_by_a_lifecycle_rule_of_the_bucket(machine: Machine, answer: str, region: str) -> None:
    written, calls = with_store(machine, answer, region)
    assert [call[0] for call in calls] == ["get-bucket-lifecycle", "put-bucket-lifecycle"]
    assert {(options(call)["bucket"], options(call)["region"]) for call in calls} == {("backups", region or REGION)}
    assert json.loads(options(calls[1])["lifecycle-configuration"]) == {
        "Rule": {
            "ID": "redis-backup",
            "Prefix": "redis/prod/",
            "Status": "Enabled",
            "Expiration": {"Days": "365"},
            "AbortMultipartUpload": {"Days": "7"},
        }
    }
    assert "✓ lifecycle rule of bucket backups: up to date" in written


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OTHER, "it has rules of its own, which stay as they are"),
        (OURS + OTHER, "it has rules of its own, which stay as they are"),
        (OURS.replace("ID", "Name"), "it has rules of its own, which stay as they are"),  # not understood
        ("Error: Code=NoSuchBucket", "it does not exist yet"),
        ("Error: Code=AccessDenied", "its rules cannot be read (oss:GetBucketLifecycle), as in a bucket of another"),
    ],
)
def test_other_lifecycle_rules_of_the_bucket_are_never_replaced(machine: Machine, answer: str, reason: str) -> None:
    """OSS replaces all rules at once: https://www.alibabacloud.com/help/en/oss/developer-reference/put-bucket-lifecycle"""
    written, calls = with_store(machine, answer)
    assert [call[0] for call in calls] == ["get-bucket-lifecycle"]
    assert f"! bucket backups: {reason}" in written
    assert "See that it gets the rule of build/deploy/store-lifecycle.json, or copies are kept for ever." in written
    assert written.endswith("Everything is prepared. Next: s deploy\n")


@pytest.mark.parametrize(
    ("answer", "refused", "permission"),
    [
        (NO_RULES, "put-bucket-lifecycle", "oss:PutBucketLifecycle"),
        ("unknown command: ossutil", "", "oss:GetBucketLifecycle"),
    ],
)
def test_a_lifecycle_rule_that_cannot_be_made_stops_it(
    machine: Machine, answer: str, refused: str, permission: str
) -> None:
    machine.set("store", "oss://backups/redis")
    (machine.state / "lifecycle").write_text(answer, encoding="utf-8")
    (machine.state / "refuse").write_text(refused, encoding="utf-8")
    done, _ = machine.run()
    assert done.returncode == 1
    assert f"This step needs {permission};" in done.stderr
    assert "aliyun 3.0.304 or later has the command ossutil." in done.stderr


def test_without_a_bus_there_is_none(machine: Machine) -> None:
    machine.set("eventBus", "''")
    done, calls = machine.run()
    assert done.returncode == 0
    assert not [call for call in calls if "eventbridge" in call or "resourcemanager" in call]


@pytest.mark.parametrize("environ", [{}, {"ALERT_WEBHOOK": "https://hooks.example.com/token"}])
def test_alerts_tell_an_address(machine: Machine, environ: dict[str, str]) -> None:
    machine.set("alertEmail", "" if environ else "dba@example.com")
    done, calls = machine.run(**environ)
    email = "" if environ else "dba@example.com"
    assert [call[1:] for call in calls if call[0] == "python"] == [["deploy/notify.py", "redis-backup", email]]
    assert "✓ action policy redis-backup: up to date" in done.stdout
    assert "nobody is told" not in done.stdout
    assert "token" not in done.stdout + json.dumps(calls)


def test_what_is_missing_is_said(machine: Machine) -> None:
    (machine.state / "refuse").write_text("GetCallerIdentity", encoding="utf-8")
    done, _ = machine.run()
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [
            "✗ aliyun has no valid credentials: ErrorCode: NoPermission",
            "  Export ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or run: aliyun configure",
        ],
    )
    (machine.root / "bin" / "aliyun").unlink()
    done, calls = machine.run()
    assert (done.returncode, calls) == (1, [])
    assert done.stderr.startswith("✗ The aliyun CLI is missing.\n")


def test_the_policy_has_the_permissions_that_the_script_names_and_no_others() -> None:
    granted = [statement["Action"] for statement in rendered("prepare-policy.json")["Statement"]]
    policy = {action for each in granted for action in ([each] if isinstance(each, str) else each)}
    assert policy == set(re.findall(r"\b(?:ram|log|eventbridge|oss):[A-Z]\w+", SCRIPT))
    assert not [each for each in policy if "*" in each]


def test_the_script_names_a_permission_for_each_operation_that_it_calls() -> None:
    called = set(re.findall(r"(?:cloud ram|cloud resourcemanager|\bbus) ([A-Z]\w+)", SCRIPT))
    called |= {f"{verb.capitalize()}BucketLifecycle" for verb in re.findall(r"\blifecycle (get|put)\b", SCRIPT)}
    named = {each.partition(":")[2] for each in re.findall(r"\b(?:ram|eventbridge|oss):[A-Z]\w+", SCRIPT)}
    assert called == named


notify_spec = importlib.util.spec_from_file_location("deploy_notify", PROJECT / "deploy" / "notify.py")
assert notify_spec
assert notify_spec.loader
notify = importlib.util.module_from_spec(notify_spec)
notify_spec.loader.exec_module(notify)


def test_log_service_is_called_over_tls() -> None:
    """The tool takes plain HTTP for an endpoint without a scheme, and sends the webhook and the token in it."""
    assert (re.findall(r'_ENDPOINT="(\w+://)', SCRIPT), notify.ENDPOINT[:8]) == (["https://"], "https://")


@pytest.mark.parametrize(
    ("email", "webhook", "resources", "types"),
    [
        ("dba@example.com", "", ["sls.common.user", "sls.common.user_group"], ["email"]),
        ("", "https://hooks.example.com/1", ["sls.alert.action_webhook"], ["webhook_integration"]),
        (
            "dba@example.com",
            "https://hooks.example.com/1",
            ["sls.common.user", "sls.common.user_group", "sls.alert.action_webhook"],
            ["email", "webhook_integration"],
        ),
    ],
)
def test_an_action_policy_comes_after_what_it_names(
    email: str, webhook: str, resources: list[str], types: list[str]
) -> None:
    made = notify.records("redis-backup", email, webhook)
    assert [resource for resource, _ in made] == [*resources, "sls.alert.action_policy"]
    assert {next(iter(value.values())) for _, value in made} == {"redis-backup"}
    policy = made[-1][1]
    assert re.findall(r'fire\(type="(\w+)"', policy["primary_policy_script"]) == types
    assert policy["secondary_policy_script"] == policy["primary_policy_script"]


@pytest.mark.parametrize(
    ("webhook", "kind"),
    [("https://oapi.dingtalk.com/robot/send?access_token=1", "dingtalk"), ("https://hooks.example.com/1", "custom")],
)
def test_a_webhook_has_its_type_in_both_places(webhook: str, kind: str) -> None:
    (_, target), (_, policy) = notify.records("redis-backup", "", webhook)
    assert (target["type"], target["url"]) == (kind, webhook)
    assert f'integration_type="{kind}"' in policy["primary_policy_script"]

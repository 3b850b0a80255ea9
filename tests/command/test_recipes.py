"""docs/recipes.md does what it says: each recipe is taken out of it and run, as far as that goes on one machine."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_process import PROJECT, Ended, Pipeline, run
from github_runner import ACTION, evaluate, install_stub, run_action

from redis_backup import __version__
from redis_backup_cli.durations import Duration
from simulator import Instance

TEXT = (PROJECT / "docs" / "recipes.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"<!-- recipe: ([a-z-]+) -->\n```[a-z]+\n(.*?)```", TEXT, re.DOTALL))
POLICIES = {
    policy["Statement"][0]["Action"]: policy
    for text in re.findall(r"^```json\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)
    if "Statement" in (policy := json.loads(text))
}
CALLER = POLICIES["fc:InvokeFunction"]
INSTANCES = (
    Instance("r-bp1zxszhcgatnx01", duration=20, tags={"app": "shop", "env": "production"}),
    Instance("r-bp1cloudnative01", duration=20),
)


def script_of_gitlab(recipe: str) -> str:
    jobs = yaml.safe_load(recipe)
    return "\n".join(line for stage in jobs["stages"] for line in jobs[stage]["script"])


def arguments_of_argo(recipe: str) -> str:
    job = yaml.safe_load(recipe)
    assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "PreSync"
    container = job["spec"]["template"]["spec"]["containers"][0]
    return shlex.join([*container["command"], *container["args"]])


COMMANDS: dict[str, Callable[[str], str]] = {
    "shell": str,
    "serverless-devs": lambda recipe: yaml.safe_load(recipe)["resources"]["web"]["actions"]["pre-deploy"][0]["run"],
    "gitlab": script_of_gitlab,
    "jenkins": lambda recipe: "\n".join(re.findall(r"sh '(.*)'", recipe)),
    "argo-cd": arguments_of_argo,
}


def run_recipe(name: str, pipeline: Pipeline, folder: Path) -> Ended:
    """Run a recipe's commands in a shell whose `redis-backup` is this project's; pip and the deployment do nothing."""
    command = shlex.join(pipeline.command()[: -len(pipeline.to_function)])
    for stub, text in {"redis-backup": f'exec {command} "$@"', "pip": "", "deploy.sh": "echo deployed"}.items():
        (folder / stub).write_text(f"#!/bin/sh\n{text}\n")
        (folder / stub).chmod(0o755)
    commands = COMMANDS.get(name, str)(RECIPES[name]).replace("./deploy.sh", str(folder / "deploy.sh"))
    path = f"{folder}:{os.environ['PATH']}"
    variables = {"REDIS_BACKUP": "x", "CI_COMMIT_SHA": "9f2c1d7", "BUILD_TAG": "b"}
    return run(["sh", "-e", "-c", commands], pipeline.environ(PATH=path, **variables), folder)


def test_every_recipe_is_run_by_a_test() -> None:
    assert set(RECIPES) == {*COMMANDS, "audit", "github-actions", "eventbridge", "console"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_recipe_waits_for_the_backup_with_no_more_than_the_callers_policy(name: str, tmp_path: Path) -> None:
    with Pipeline(*INSTANCES, user_policy=CALLER).running() as pipeline:
        ended = run_recipe(name, pipeline, tmp_path)
        assert (ended.code, pipeline.backups()["r-bp1zxszhcgatnx01"]) == (0, 1), ended.err
        assert ended.out.count("deployed") == (0 if name in ("serverless-devs", "argo-cd") else 1)


@pytest.mark.parametrize("name", ["gitlab", "jenkins"])
def test_a_recipe_keeps_the_report_for_later_steps(name: str) -> None:
    kept = "redis-backup.json"
    assert f"--json > {kept}" in COMMANDS[name](RECIPES[name])
    if name == "gitlab":
        assert yaml.safe_load(RECIPES[name])["backup"]["artifacts"] == {"when": "always", "paths": [kept]}


def test_the_workflow_hands_the_job_ids_to_the_deployment(tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = yaml.safe_load(RECIPES["github-actions"])["jobs"]["deploy"]["steps"]
    (backup,) = (step for step in steps if step.get("id") == "backup")
    assert steps[-1]["run"] == "./deploy.sh"
    with Pipeline(*INSTANCES, user_policy=CALLER).running() as pipeline:
        install_stub(pipeline, tmp_path / "temp")
        ran = run_action(pipeline, tmp_path, backup["with"])
        assert (ran.code, pipeline.backups()) == (0, {"r-bp1zxszhcgatnx01": 1, "r-bp1cloudnative01": 1}), ran.log
    outputs = {f"backup.outputs.{name}": value for name, value in ran.outputs.items()}
    ids = evaluate(steps[-1]["env"]["REDIS_BACKUP_JOB_IDS"], steps=outputs)
    assert sorted(ids.split(",")) == sorted(job for each in ran.report["instances"] for job in each["job_ids"])


def test_the_workflow_gives_the_action_what_it_has_and_pins_all_actions() -> None:
    steps: list[dict[str, Any]] = yaml.safe_load(RECIPES["github-actions"])["jobs"]["deploy"]["steps"]
    used = {step["uses"].partition("@")[0]: step for step in steps if "uses" in step}
    assert set(used["COPY-OWNER/redis-backup"]["with"]) <= set(ACTION["inputs"])
    assert used["COPY-OWNER/redis-backup"]["uses"].endswith(f"@v{__version__}")
    assert [step["uses"] for step in used.values() if not re.search(r"@v\d+\.\d+\.\d+$", step["uses"])] == []
    assert used["actions/checkout"]["uses"] in (PROJECT / ".github" / "workflows" / "ci.yml").read_text(
        encoding="utf-8"
    )
    wait = Duration().convert(used["COPY-OWNER/redis-backup"]["with"]["wait"], None, None)
    assert used["aliyun/configure-aliyun-credentials-action"]["with"]["role-session-expiration"] > wait


def test_a_backup_that_fails_keeps_the_deployment_from_happening(tmp_path: Path) -> None:
    with Pipeline(Instance("r-bp1zxszhcgatnx01", duration=5, outcomes=("failed",)), INSTANCES[1]).running() as pipeline:
        ended = run_recipe("shell", pipeline, tmp_path)
        assert (ended.code, ended.out.count("deployed")) == (1, 0)


def test_the_audit_names_what_was_not_read_back_and_is_3(tmp_path: Path) -> None:
    settings = {"BACKUP_STORE": "oss://backups/redis"}
    with Pipeline(*INSTANCES, user_policy=CALLER, settings=settings).running() as pipeline:
        now = pipeline.cloud.clock.time()
        pipeline.cloud.kvstore.instance("r-bp1zxszhcgatnx01").add_backup(now - 600, now - 540)
        ended = run_recipe("audit", pipeline, tmp_path)
        assert (ended.code, pipeline.backups()) == (3, {"r-bp1zxszhcgatnx01": 1, "r-bp1cloudnative01": 0}), ended.err
        report = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
        assert [(item["instance_id"], item["note"]) for item in report["instances"]] == [
            ("r-bp1zxszhcgatnx01", "its newest backup has not been read back as asked")
        ]


def test_the_consoles_event_starts_a_backup() -> None:
    with Pipeline(*INSTANCES).running() as pipeline:
        invocation = pipeline.cloud.invoke(RECIPES["console"])
        assert [item["state"] for item in invocation.result["instances"]] == ["running"]


def test_the_recipes_name_what_is_deployed() -> None:
    deployed: dict[str, Any] = yaml.safe_load((PROJECT / "s.yaml").read_text(encoding="utf-8"))["vars"]
    assert re.findall(r' (?:source|type)="([^"]+)"|event_bus_name="([^"]+)"', RECIPES["eventbridge"]) == [
        (deployed["eventSource"], ""),
        (deployed["eventType"], ""),
        ("", deployed["eventBus"]),
    ]
    assert POLICIES["eventbridge:PutEvents"]["Statement"][0]["Resource"].endswith(f"eventbus/{deployed['eventBus']}")
    assert CALLER["Statement"][0]["Resource"].endswith(f"functions/{deployed['functionName']}")

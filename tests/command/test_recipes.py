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

from simulator import Instance

TEXT = (PROJECT / "docs" / "recipes.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"<!-- recipe: ([a-z-]+) -->\n```[a-z]+\n(.*?)```", TEXT, re.DOTALL))
POLICIES = [
    json.loads(text)
    for text in re.findall(r"^```json\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)
    if "Statement" in text
]
INSTANCES = (
    Instance("r-bp1zxszhcgatnx01", duration=20, tags={"app": "shop"}),
    Instance("r-2zecluster", region="cn-beijing", duration=20),
)


def steps_of_github(recipe: str) -> str:
    steps = yaml.safe_load(recipe)["jobs"]["deploy"]["steps"]
    return "\n".join(step["run"] for step in steps if "run" in step)


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
    "github-actions": steps_of_github,
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
    commands = COMMANDS[name](RECIPES[name]).replace("./deploy.sh", str(folder / "deploy.sh"))
    path = f"{folder}:{os.environ['PATH']}"
    variables = {"REDIS_BACKUP": "x", "GITHUB_SHA": "9f2c1d7", "CI_COMMIT_SHA": "9f2c1d7", "BUILD_TAG": "b"}
    return run(["sh", "-e", "-c", commands], pipeline.environ(PATH=path, **variables))


def test_every_recipe_is_run_by_a_test() -> None:
    assert set(RECIPES) == {*COMMANDS, "eventbridge", "console"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_recipe_waits_for_the_backup_with_no_more_than_the_callers_policy(name: str, tmp_path: Path) -> None:
    with Pipeline(*INSTANCES, user_policy=POLICIES[0]).running() as pipeline:
        ended = run_recipe(name, pipeline, tmp_path)
        assert (ended.code, pipeline.backups()["r-bp1zxszhcgatnx01"]) == (0, 1), ended.err
        assert ended.out.count("deployed") == (0 if name in ("serverless-devs", "argo-cd") else 1)


def test_a_backup_that_fails_keeps_the_deployment_from_happening(tmp_path: Path) -> None:
    with Pipeline(Instance("r-bp1zxszhcgatnx01", duration=5, outcomes=("failed",)), INSTANCES[1]).running() as pipeline:
        ended = run_recipe("shell", pipeline, tmp_path)
        assert (ended.code, ended.out.count("deployed")) == (1, 0)


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
    assert POLICIES[1]["Statement"][0]["Resource"].endswith(f"eventbus/{deployed['eventBus']}")
    assert POLICIES[0]["Statement"][0]["Resource"].endswith(f"functions/{deployed['functionName']}")

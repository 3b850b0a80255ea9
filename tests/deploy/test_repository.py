"""What contributors and GitHub use agrees with the code: one version, the same pins, commands that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from deployment import PROJECT

from redis_backup import __version__
from redis_backup.alibaba import sdk
from redis_backup.credentials import Credentials

GITHUB = PROJECT / ".github"
PYPROJECT = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
WORKFLOWS = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((GITHUB / "workflows").glob("*.yml"))
}


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in WORKFLOWS[name]["jobs"].values():
        yield from job["steps"]


def pins(text: str) -> dict[str, str]:
    """Versions by package: `click==8.5.1` → {"click": "8.5.1"}."""
    return dict(re.findall(r'^[\s"]*([A-Za-z0-9_.-]+)==([\w.]+)', re.sub(r'", "', "\n", text), re.MULTILINE))


def test_the_version_stands_in_one_place() -> None:
    assert 'version = { attr = "redis_backup.__version__" }' in PYPROJECT
    assert not re.search(r'^version = "', PYPROJECT, re.MULTILINE)
    assert [path for path in PROJECT.glob("redis_backup*/**/*.py") if f'"{__version__}"' in path.read_text()] == [
        PROJECT / "redis_backup" / "__init__.py"
    ]


def test_the_api_sees_the_version() -> None:
    assert (
        sdk.config(Credentials("id", "secret", ""), "cn-hangzhou", None, 1).user_agent == f"redis-backup/{__version__}"
    )


def test_the_changelog_has_what_is_not_released_first_and_then_this_version() -> None:
    headings = re.findall(r"^## (.+)$", (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(__version__)} - \d{{4}}-\d\d-\d\d", headings[1])


def test_what_the_command_and_the_function_share_has_the_same_version_in_both() -> None:
    command = pins(PYPROJECT[PYPROJECT.index("\ndependencies = [") :].split("[", 1)[1].partition("]")[0])
    constraints = pins((PROJECT / "deploy" / "constraints.txt").read_text(encoding="utf-8"))
    function = pins((PROJECT / "requirements.txt").read_text(encoding="utf-8"))
    assert set(command) == {"alibabacloud-tea-openapi", "aliyun-fc2", "click", "rich"}
    assert {name: constraints.get(name) for name in function} == function
    assert {name: command[name] for name in command if name in constraints} == {
        name: constraints[name] for name in ("alibabacloud-tea-openapi", "aliyun-fc2")
    }


def test_github_tests_the_pythons_that_pyproject_names_and_ci_run_tests() -> None:
    tested = WORKFLOWS["ci.yml"]["jobs"]["test"]["strategy"]["matrix"]["python"]
    supported = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PYPROJECT)
    local = re.findall(r"^for version in (.+); do$", (PROJECT / ".ci" / "run").read_text(), re.MULTILINE)
    assert [" ".join(tested)] == local
    assert re.findall(r'requires-python = ">=(.+)"', PYPROJECT) == tested[:1] == supported[:1]
    assert tested[-1] == supported[-1]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_calls_what_make_has(name: str) -> None:
    targets = re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    called = {target for step in steps(name) for target in re.findall(r"\bmake (\w+)", step.get("run", ""))}
    assert called
    assert called - set(targets) == set()


def test_every_pull_request_is_tested_linted_and_packaged() -> None:
    called = {step["run"] for step in steps("ci.yml") if step.get("run", "").startswith("make ")}
    assert called == {"make coverage", "make lint", "make package"}
    assert "pull_request" in WORKFLOWS["ci.yml"][True]  # YAML reads `on` as a truth value


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_only_read_and_a_job_only_what_it_needs_beyond(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    beyond = {job: each["permissions"] for job, each in WORKFLOWS[name]["jobs"].items() if "permissions" in each}
    assert beyond == ({"pypi": {"id-token": "write"}, "github": {"contents": "write"}} if name == "release.yml" else {})


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_pins_its_actions_and_keeps_no_credentials(name: str) -> None:
    uses = [step for step in steps(name) if "uses" in step]
    assert [step["uses"] for step in uses if not re.fullmatch(r"[\w./-]+@v\d+\.\d+\.\d+", step["uses"])] == []
    checkouts = [step for step in uses if step["uses"].startswith("actions/checkout@")]
    assert [step for step in checkouts if step.get("with", {}).get("persist-credentials") is not False] == []


def test_a_release_compares_its_tag_with_the_version_before_it_builds() -> None:
    runs = [step.get("run", "") for step in WORKFLOWS["release.yml"]["jobs"]["build"]["steps"]]
    comparing = next(index for index, run in enumerate(runs) if '"$GITHUB_REF_NAME" = "v$version"' in run)
    assert comparing < runs.index("make test") < runs.index("make package")
    assert WORKFLOWS["release.yml"][True] == {"push": {"tags": ["v*"]}}


def test_dependabot_watches_each_folder_that_has_pins() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    folders = {update["package-ecosystem"]: update.get("directories") or [update["directory"]] for update in updates}
    assert folders == {"pip": ["/", "/deploy"], "github-actions": ["/"]}


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_an_issue_template_asks_in_words_that_github_knows(name: str) -> None:
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    assert {field["type"] for field in form["body"]} <= {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    asked = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(asked) == len(set(asked))

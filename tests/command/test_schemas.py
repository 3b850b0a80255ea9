"""Files that other tools read are held against the schemas of those tools.

The recipes are, too. For a Jenkinsfile there is no schema; its shell part is run by test_recipes.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from command_process import PROJECT
from test_recipes import RECIPES

GITHUB = PROJECT / ".github"
WORKFLOWS = {path.name: path.read_text(encoding="utf-8") for path in sorted((GITHUB / "workflows").glob("*.yml"))}
WORKFLOWS["the recipe"] = RECIPES["github-actions"]
ACTIONLINT = shutil.which("actionlint")


def read(*path: str) -> str:
    return PROJECT.joinpath(*path).read_text(encoding="utf-8")


# Schema, content, and a key whose misspelling is to be found.
CHECKED = {
    "action.yml": ("github-actions", read("action.yml"), "using"),
    "gitlab": ("gitlab-ci", RECIPES["gitlab"], "script"),
    "dependabot": ("dependabot", read(".github", "dependabot.yml"), "schedule"),
    "bug": ("github-issue-forms", read(".github", "ISSUE_TEMPLATE", "bug.yml"), "description"),
    "feature": ("github-issue-forms", read(".github", "ISSUE_TEMPLATE", "feature.yml"), "description"),
    **{name: ("github-workflows", text, "runs-on") for name, text in WORKFLOWS.items()},
}


def find_errors(schema: str, text: str, folder: Path) -> str:
    """What check-jsonschema finds; "" for nothing."""
    file = folder / "checked.yml"
    file.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", f"vendor.{schema}", str(file)])
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done.output if done.exit_code else ""


def misspell(text: str, key: str) -> str:
    """A text in which a key has one letter more, wherever it stands."""
    assert f"{key}:" in text
    return text.replace(f"{key}:", f"{key}x:")


@pytest.mark.parametrize("name", CHECKED)
def test_a_file_is_valid_and_would_not_be_with_a_misspelt_key(name: str, tmp_path: Path) -> None:
    schema, text, key = CHECKED[name]
    assert find_errors(schema, text, tmp_path) == ""
    assert f"{key}" in find_errors(schema, misspell(text, key), tmp_path)


@pytest.mark.parametrize("version", ["1.28", "1.37"])
def test_the_job_of_argo_cd_is_valid_and_would_not_be_with_a_misspelt_key(version: str) -> None:
    job = yaml.safe_load(RECIPES["argo-cd"])
    kubernetes_validate.validate(job, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError, match="backoffLimitx"):
        kubernetes_validate.validate(yaml.safe_load(misspell(RECIPES["argo-cd"], "backoffLimit")), version, strict=True)


@pytest.mark.skipif(ACTIONLINT is None, reason="actionlint is not on this machine: expressions are not checked")
@pytest.mark.parametrize("name", WORKFLOWS)
def test_actionlint_finds_a_misspelt_expression_and_nothing_else(name: str) -> None:
    def lint(text: str) -> str:
        command = [str(ACTIONLINT), "-no-color", "-shellcheck=", "-pyflakes=", "-"]
        return subprocess.run(command, cwd=PROJECT, input=text, capture_output=True, text=True, check=False).stdout

    assert lint(WORKFLOWS[name]) == ""
    assert "undefined variable" in lint(
        re.sub(r"^name: .*", r"\g<0>\nrun-name: ${{ stepz.a }}", WORKFLOWS[name], flags=re.M)
    )

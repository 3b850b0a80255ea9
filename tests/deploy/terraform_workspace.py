"""A copy of what the Terraform module reads, in which `terraform` runs with the stand-in for the provider."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployment import PROJECT

MODULE = PROJECT / "deploy" / "terraform"
PACKAGE = b"PK: the function's package"


class Workspace:
    """The files of deploy/, s.yaml and a package in `folder`, and a provider in `environ`."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.module = folder / "deploy" / "terraform"
        shutil.copytree(
            PROJECT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*")
        )
        shutil.copy(PROJECT / "s.yaml", folder)
        (folder / "build").mkdir()
        self.package = folder / "build" / "package.zip"
        self.package.write_bytes(PACKAGE)
        quiet = {"TF_CLI_CONFIG_FILE": os.devnull, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
        self._environ = {**os.environ, **quiet, **environ}

    def run(self, *command: str, example: str = "minimal", variables: Mapping[str, Any] | None = None) -> str:
        """Run `terraform COMMAND` in an example; return its output. Raise AssertionError with it if it fails."""
        done = self.attempt(*command, example=example, variables=variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def attempt(
        self, *command: str, example: str = "minimal", variables: Mapping[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `terraform COMMAND` in an example, initialized first if it is not yet."""
        root = self.module / "examples" / example
        if not (root / ".terraform").exists() and command[0] != "init":
            self.run("init", "-backend=false", example=example)
        given = []
        if variables:
            file = root / "given.tfvars.json"
            file.write_text(json.dumps(variables), encoding="utf-8")
            given = [f"-var-file={file}"]
        full = ["terraform", f"-chdir={root}", command[0], "-no-color", *given, *command[1:]]
        return subprocess.run(full, env=self._environ, capture_output=True, text=True, check=False)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a string in a file, named from the module's folder, that has it once."""
        path = self.module / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def planned(
        self, example: str = "minimal", variables: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], str]:
        """Plan an example; return its resources as `{"alicloud_ram_role.function": {…}}`, and what a person sees."""
        shown = self.run("plan", "-out=planned", example=example, variables=variables)
        plan = json.loads(self.run("show", "-json", "planned", example=example))
        return resources(plan["planned_values"]), shown


def resources(values: Mapping[str, Any]) -> dict[str, Any]:
    """The resources of the module, by address, from what `terraform show -json` says."""
    found = values["root_module"]["child_modules"][0]["resources"]
    return {
        each["address"].removeprefix("module.redis_backup."): each["values"]
        for each in found
        if each["mode"] == "managed"
    }

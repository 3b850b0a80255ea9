"""Runs the steps of `action.yml` as GitHub's runner does, as far as they use it.

https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions has the files and the commands;
https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions has how bash is called.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import yaml
from command_process import PROJECT, Pipeline

ACTION = yaml.safe_load((PROJECT / "action.yml").read_text(encoding="utf-8"))
TIMEOUT = 180  # seconds of the machine's, for a step that hangs; to install takes some
DRIVER = Path(__file__).with_name("action_driver.py")
GITHUB = {"repository": "acme/shop", "sha": "9f2c1d7"}


@dataclass
class Ran:
    """What came of the action: exit code, log, the commands that the runner took from the log, outputs, summary."""

    code: int = 0
    log: str = ""
    commands: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads(Path(self.outputs["report"]).read_text(encoding="utf-8")))


def evaluate(text: str, **contexts: dict[str, str]) -> str:
    """A string with its expressions replaced, each of the form `${{ inputs.max-age }}`."""

    def value(match: re.Match[str]) -> str:
        context, _, name = match[1].partition(".")
        return contexts[context].get(name, "")

    return re.sub(r"\$\{\{ ([\w.-]+) \}\}", value, text)


def read_outputs(text: str) -> dict[str, str]:
    """Values by name from a file GITHUB_OUTPUT: `name=value`, or `name<<DELIMITER`, lines, `DELIMITER`."""
    outputs, lines = {}, iter(text.splitlines())
    for line in lines:
        name, mark, rest = re.fullmatch(r"([^=<]+)(=|<<)(.*)", line).groups()  # type: ignore[union-attr]
        outputs[name] = rest if mark == "=" else "\n".join(iter(lines.__next__, rest))
    return outputs


def read_commands(log: str) -> list[str]:
    """The workflow commands of a log that the runner obeys, and so not those between `stop-commands` and its token."""
    obeyed, token = [], ""
    for line in log.splitlines():
        command = re.match(r"\s*::([^ :]+)(?: [^:]*)?::(.*)|.*##\[([^\]]+)\]", line)
        if token:
            token = "" if command and command[1] == token else token
        elif command and command[1] == "stop-commands":
            token = command[2]
        elif command:
            obeyed.append(line.strip())
    return obeyed


def install_stub(pipeline: Pipeline, temp: Path) -> None:
    """Make what the action's first step would install: a Python, here with the cloud's clock."""
    folder = temp / "redis-backup" / "bin"
    folder.mkdir(parents=True)
    clock = pipeline.command()[2]
    (folder / "python").write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(DRIVER), clock])} "$@"\n')
    (folder / "python").chmod(0o755)
    (temp / "redis-backup" / "installed-from").write_text(f"{PROJECT}\n")


def run_step(script: Path, environment: dict[str, str], folder: Path, stop_at: str) -> tuple[int, str]:
    """Exit code and log of one step. `stop_at`: a text at which the job is cancelled: a signal to the one process."""
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    log = ""
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        killer = Timer(TIMEOUT, process.kill)
        killer.start()
        for line in process.stdout or ():
            log += line
            if stop_at and stop_at in line:
                process.send_signal(signal.SIGINT)
                stop_at = ""
        log += process.stderr.read() if process.stderr else ""
        killer.cancel()
    return process.returncode, log


def run_action(pipeline: Pipeline, folder: Path, inputs: dict[str, str], stop_at: str = "", **variables: str) -> Ran:
    """Run all steps until one fails. `folder` has the runner's files, and the work tree, which is empty."""
    ran, temp, steps = Ran(), folder / "temp", dict[str, dict[str, str]]()
    for each in (temp, folder / "work"):
        each.mkdir(exist_ok=True)
    defaults = {name: evaluate(each.get("default", ""), github=GITHUB) for name, each in ACTION["inputs"].items()}
    for number, step in enumerate(ACTION["runs"]["steps"]):
        assert step["shell"] == "bash"
        script, output, summary = (folder / f"{name}-{number}" for name in ("script", "output", "summary"))
        script.write_text(evaluate(step["run"], inputs=defaults | inputs))
        output.touch()
        summary.touch()
        environment = pipeline.environ(
            **{name: evaluate(value, inputs=defaults | inputs) for name, value in step.get("env", {}).items()},
            GITHUB_ACTION_PATH=str(PROJECT),
            GITHUB_OUTPUT=str(output),
            GITHUB_STEP_SUMMARY=str(summary),
            GITHUB_WORKSPACE=str(folder / "work"),
            RUNNER_TEMP=str(temp),
            **variables,
        )
        ran.code, log = run_step(script, environment, folder / "work", stop_at)
        ran.log, ran.summary = ran.log + log, ran.summary + summary.read_text()
        if "id" in step:
            steps |= {f"{step['id']}.outputs.{name}": each for name, each in read_outputs(output.read_text()).items()}
        if ran.code:
            break
    ran.commands = read_commands(ran.log)
    ran.outputs = {name: evaluate(each["value"], steps=steps) for name, each in ACTION["outputs"].items()}
    return ran

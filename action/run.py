"""Run the command `redis-backup` as a step of a GitHub workflow. `action.yml` calls it.

    inputs ─► arguments ─► the command, with --json ─► outputs, annotation, job summary, exit code

What GitHub asks of a step: https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TextIO, cast

from redis_backup_cli.__main__ import main as run_command

if TYPE_CHECKING:
    from redis_backup.runtime import Clock

_OPTIONS = ("function", "service", "region", "account", "max-age", "since", "retention-days", "reason", "verify")
_MAX_SUMMARY = 1_000_000  # bytes; GitHub drops a summary of more than 1 MiB
_MEANINGS = {
    0: "Done",
    1: "A backup, or the function itself, failed",
    2: "An input is wrong, or the caller is not allowed to do this",
    3: "Time ran out, or some backups have not started; what has started goes on",
    4: "The backups are done, but the report could not be written",
    130: "Stopped; what has started goes on",
    143: "Stopped; what has started goes on",
}
# A state of an instance, or the `ok` of a check, as the summary shows it. What needs attention comes first.
_MARKS: dict[object, str] = {
    "failed": "❌ failed",
    False: "❌ failed",
    "pending": "⚠️ pending",
    None: "⚠️ warning",
    "running": "⏳ running",
    "verifying": "⏳ verifying",
    "planned": "⏳ planned",
    "succeeded": "✅ succeeded",
    True: "✅ passed",
}
_ORDER = list(_MARKS)
_FACTS = {"Backups count that started at this time or later": "since", "Reason": "reason"}


class InputError(Exception):
    """An input has a value that it cannot have."""


def read_arguments(environ: Mapping[str, str]) -> list[str]:
    """Return the command's arguments for the inputs. Raise InputError.

    `{"INPUT_FUNCTION": "f", "INPUT_INSTANCES": "r-1, r-2"}` → `["--json", "--function=f", "r-1", "r-2"]`. An empty
    input is one that is not given. No value can become an option: each follows a `=`, or does not begin with `-`.
    """
    inputs = {name[6:].lower().replace("_", "-"): value for name, value in environ.items() if name[:6] == "INPUT_"}
    arguments = ["--json", *(f"--{name}={inputs[name]}" for name in _OPTIONS if inputs.get(name))]
    arguments += [f"--tag={line.strip()}" for line in inputs.get("tags", "").splitlines() if line.strip()]
    if inputs.get("copy"):
        arguments.append("--copy" if _is_true("copy", inputs["copy"]) else "--no-copy")
    looks_only = [f"--{name}" for name in ("dry-run", "check") if _is_true(name, inputs.get(name, ""))]
    if inputs.get("wait") and not looks_only:
        arguments.append(f"--wait={inputs['wait']}")
    instances = inputs.get("instances", "").replace(",", " ").split()
    if any(instance.startswith("-") for instance in instances):
        raise InputError("The input instances has a value that begins with -")
    return [*arguments, *looks_only, *instances]


def _is_true(name: str, value: str) -> bool:
    if value not in ("", "true", "false"):
        raise InputError(f"The input {name} is neither true nor false")
    return value == "true"


def summarize(report: Mapping[str, Any], code: int) -> str:
    """Return a report, or an empty one, as Markdown of at most 1 MB: a headline and a table.

    `{"ok": true, "counts": {"succeeded": 1}, "instances": […]}`, 0 → `### Redis backup: 1 succeeded …`.
    """
    rows = sorted((_row(item) for item in _items(report)), key=lambda row: _ORDER.index(row[1]))
    lines = [f"### Redis backup: {_escape(describe(report, code))}", ""]
    lines += [f"{name}: {_escape(report[key])}\n" for name, key in _FACTS.items() if report.get(key)]
    if "ok" not in report:
        lines.append("There is no report. The log of this step tells why.")
    if rows:
        lines += ["| | | job IDs | what happened, and what to do |", "| --- | --- | --- | --- |"]
    room = _MAX_SUMMARY - len("\n".join(lines).encode())
    for index, (name, mark, jobs, text) in enumerate(rows):
        line = f"| {_escape(name)} | {_MARKS[mark]} | {_escape(jobs)} | {_escape(text)} |"
        room -= len(line.encode()) + 1
        if room < 100:
            lines += ["", f"{len(rows) - index} more are in the report."]
            break
        lines.append(line)
    return "\n".join([*lines, ""])


def _items(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    items: Sequence[Mapping[str, Any]] = report.get("instances") or report.get("checks") or ()
    return items


def _row(item: Mapping[str, Any]) -> tuple[str, Any, str, str]:
    """Return name, state, job IDs and text of an instance or a check."""
    if "ok" in item:
        return item["name"], item["ok"], "", _sentence(item.get("detail"), item.get("hint"))
    error = item.get("error") or {}
    text = _sentence(f"{error['message']} ({error['code']})", error.get("hint")) if error else _facts(item)
    return f"{item['region']}/{item['instance_id']}", item["state"], ", ".join(item["job_ids"]), text


def _facts(item: Mapping[str, Any]) -> str:
    """Return what is known of an instance without an error: `"verified: full. copies: oss://…/"`, `"43 % read"`."""
    facts = [f"{name}: {item[name]}" for name in ("verified", "copies") if item.get(name)]
    if item["state"] == "verifying" and item.get("progress") is not None:
        facts.append(f"{item['progress']} % read")
    return _sentence(*facts, item.get("note"))


def _sentence(*parts: str | None) -> str:
    return ". ".join(part.rstrip(". ") for part in parts if part)


def describe(report: Mapping[str, Any], code: int) -> str:
    """Return in a line what came of the command: `1 running. Time ran out, …`."""
    counts = report.get("counts") or Counter(_MARKS[check["ok"]].split()[1] for check in report.get("checks", ()))
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    meaning = "" if told and code in (0, 1) else _MEANINGS.get(code, f"Exit code {code}")
    if code == 3 and report.get("dry_run"):
        meaning = "Some instances have no backup that was read back as asked"
    error = report.get("error") or {}
    return _sentence(told, error.get("message") or meaning, error.get("hint"))


def _escape(text: str) -> str:
    """Return a string that Markdown and HTML show as it is, in one line: `a|b` → `a&#124;b`."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return re.sub(r"[^\w ,.;:/()='-]|_", lambda match: f"&#{ord(match[0])};", line)


def write_outputs(path: Path, outputs: Mapping[str, str]) -> None:
    """Append outputs to the file GITHUB_OUTPUT. A value cannot end itself early: its delimiter is random."""
    with path.open("a", encoding="utf-8") as file:
        for name, value in outputs.items():
            delimiter = token_hex(16)
            file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")


class _ErrorListener:
    """Standard error, which also keeps what follows the command's `Error: `, for a run without a report."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self.error = stream, ""

    def write(self, text: str) -> int:
        """Write a string."""
        if text.startswith("Error: "):
            self.error = " ".join(text[len("Error: ") :].split())
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _no_workflow_commands() -> Iterator[None]:
    """Let the runner take no line of the output, such as `::add-mask::…` in a message, for a command to itself."""
    token = token_hex(16)
    _write_line(f"::stop-commands::{token}")
    try:
        yield
    finally:
        sys.stderr.flush()
        _write_line(f"\n::{token}::")


def _write_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _run(arguments: Sequence[str], path: Path, clock: Clock | None) -> tuple[dict[str, Any], int]:
    """Run the command, which writes its report into a file. Return the report ({} if there is none) and exit code."""
    sys.argv = ["redis-backup", *arguments]  # the name that the command shows when it tells how to join the backups
    err = _ErrorListener(sys.stderr)
    with (
        _no_workflow_commands(),
        path.open("w", encoding="utf-8") as file,
        redirect_stdout(file),
        redirect_stderr(cast("TextIO", err)),
    ):
        try:
            code = run_command(clock=clock)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))), code
    except ValueError:
        return {"error": {"message": err.error}} if err.error else {}, code


def main(environ: Mapping[str, str] = os.environ, clock: Clock | None = None) -> int:
    """Run one step. Return its exit code, which is the command's."""
    descriptor, path = tempfile.mkstemp(".json", "redis-backup-", environ["RUNNER_TEMP"])
    os.close(descriptor)
    try:
        report, code = _run(read_arguments(environ), Path(path), clock)
    except InputError as error:
        report, code = {"error": {"message": str(error)}}, 2
    jobs = ",".join(job for item in report.get("instances", ()) for job in item["job_ids"])
    write_outputs(Path(environ["GITHUB_OUTPUT"]), {"job-ids": jobs, "report": path if "ok" in report else ""})
    with open(environ["GITHUB_STEP_SUMMARY"], "a", encoding="utf-8") as file:
        file.write(summarize(report, code))
    if code:
        message = describe(report, code).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        _write_line(f"::error title=Redis backup::{message}")
    return code


if __name__ == "__main__":
    sys.exit(main())

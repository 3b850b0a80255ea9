"""The GitHub Action does what `action.yml` says: its steps are run as GitHub's runner runs them."""

from __future__ import annotations

import html
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from command_process import PROJECT, Pipeline
from github_runner import ACTION, install_stub, read_commands, read_outputs, run_action
from markdown_it import MarkdownIt

from action.run import InputError, read_arguments, summarize, write_outputs
from redis_backup_cli.cli import command
from simulator import Instance

INPUTS = {"function": "redis-backup", "region": "cn-hangzhou"}
FAILED = Instance("r-b", duration=20, outcomes=("failed",))
HOSTILE = (
    "x\"'`; $(touch owned) ${{ github.token }}\n::add-mask::a\n::set-output name=job-ids::0\n##[error]b|</td>*_[c](d)"
)


def table(markdown: str) -> list[list[str]]:
    """The cells of the one table that GitHub would show, as text."""
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    assert page.count("<table>") == 1
    return [
        [html.unescape(cell).strip() for cell in re.findall(r"<td>(.*?)</td>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
        if "<td>" in row
    ]


def item(name: str, state: str, message: str = "", **fields: Any) -> dict[str, Any]:
    error = {"code": "C", "message": message, "kind": "permanent", "hint": "Do this."} if message else None
    return {"instance_id": name, "region": "cn-hangzhou", "state": state, "job_ids": [], "error": error, **fields}


def test_all_backups_succeed_and_later_steps_have_their_job_ids(tmp_path: Path) -> None:
    with Pipeline(Instance("r-a", duration=20), Instance("r-b", duration=30)).running() as pipeline:
        install_stub(pipeline, tmp_path / "temp")
        ran = run_action(pipeline, tmp_path, INPUTS | {"instances": "r-a,\n  r-b\n"})
        assert (ran.code, ran.commands, pipeline.backups()) == (0, [], {"r-a": 1, "r-b": 1}), ran.log
        report = ran.report
        ids = [job for each in report["instances"] for job in each["job_ids"]]
        assert len(ids) == 2
        assert ran.outputs == {"job-ids": ",".join(ids), "report": ran.outputs["report"]}
        assert (report["ok"], report["done"], report["reason"]) == (True, True, "acme/shop 9f2c1d7")
        assert "### Redis backup: 2 succeeded\n" in ran.summary
        assert table(ran.summary) == [
            ["cn-hangzhou/r-a", "✅ succeeded", ids[0], ""],
            ["cn-hangzhou/r-b", "✅ succeeded", ids[1], ""],
        ]


def test_a_backup_that_fails_fails_the_step_after_outputs_and_summary_are_written(tmp_path: Path) -> None:
    with Pipeline(Instance("r-a", duration=20), FAILED).running() as pipeline:
        install_stub(pipeline, tmp_path / "temp")
        ran = run_action(pipeline, tmp_path, INPUTS | {"instances": "r-a r-b"})
        assert (ran.code, ran.report["counts"]) == (1, {"succeeded": 1, "failed": 1}), ran.log
        assert [row[:2] for row in table(ran.summary)] == [
            ["cn-hangzhou/r-b", "❌ failed"],
            ["cn-hangzhou/r-a", "✅ succeeded"],
        ]
        assert ran.outputs["job-ids"]
        assert ran.commands == ["::error title=Redis backup::1 succeeded, 1 failed"]


def test_a_check_shows_its_results_and_starts_nothing(tmp_path: Path) -> None:
    with Pipeline(Instance("r-a")).running() as pipeline:
        install_stub(pipeline, tmp_path / "temp")
        ran = run_action(pipeline, tmp_path, INPUTS | {"instances": "r-a r-b", "check": "true"})
        assert (ran.code, ran.report["ok"], pipeline.backups()) == (1, False, {"r-a": 0}), ran.log
        rows = {row[0]: row[1:] for row in table(ran.summary)}
        assert rows["instance cn-hangzhou/r-b"][0] == "❌ failed"
        assert rows["log store"][0] == "⚠️ warning"
        assert rows["kvstore:CreateBackup cn-hangzhou"][0] == "✅ passed"
        assert ran.outputs["job-ids"] == ""


@pytest.mark.parametrize(
    ("inputs", "code", "told"),
    [
        ({"instances": "r-a", "dry-run": "yes"}, 2, "The input dry-run is neither true nor false"),
        ({"instances": "r-a", "max-age": "soon"}, 2, "Invalid value for '--max-age'"),
        ({"instances": ""}, 2, "instance_ids is missing"),
        ({"instances": "r-a", "account": "acme"}, 2, "--account is not an account's ID"),
        ({"instances": "r-a", "wait": "4m"}, 3, "Time ran out, or some backups have not started"),
    ],
)
def test_the_steps_exit_code_is_the_commands(inputs: dict[str, str], code: int, told: str, tmp_path: Path) -> None:
    with Pipeline(Instance("r-a", duration=3000)).running() as pipeline:
        install_stub(pipeline, tmp_path / "temp")
        ran = run_action(pipeline, tmp_path, INPUTS | inputs)
        assert ran.code == code, ran.log
        assert [each.partition(told)[1] for each in ran.commands] == [told]
        assert told in html.unescape(ran.summary)
        assert bool(ran.outputs["report"]) == (code == 3)


def test_a_job_that_is_cancelled_still_has_its_report(tmp_path: Path) -> None:
    with Pipeline(Instance("r-a", duration=3000)).running() as pipeline:
        install_stub(pipeline, tmp_path / "temp")
        ran = run_action(pipeline, tmp_path, INPUTS | {"instances": "r-a"}, stop_at="running job_ids=")
        assert (ran.code, ran.report["error"]["message"]) == (130, "stopped by SIGINT"), ran.log
        assert ran.outputs["job-ids"]
        assert [each.partition(" --since ")[0] for each in ran.commands] == [
            (
                "::error title=Redis backup::1 running. stopped by SIGINT. redis-backup --json --function=redis-backup "
                "--region=cn-hangzhou '--reason=acme/shop 9f2c1d7' --wait=30m r-a"
            )
        ]


def test_no_input_becomes_a_part_of_a_script_an_option_or_a_workflow_command(tmp_path: Path) -> None:
    with Pipeline(Instance("r-a", duration=3000)).running() as pipeline:
        install_stub(pipeline, tmp_path / "temp")
        ran = run_action(pipeline, tmp_path, INPUTS | {"instances": f"r-a {HOSTILE}", "reason": HOSTILE})
        assert (ran.code, pipeline.backups()) == (2, {"r-a": 0}), ran.log
        ran = run_action(pipeline, tmp_path, INPUTS | {"instances": "r-a", "reason": HOSTILE, "wait": ""})
        assert ran.report["reason"].split() == HOSTILE.split(), ran.log
        assert "::add-mask::a" in ran.log  # it is in the command that joins the backups
        assert all(each.startswith("::error title=Redis backup::") for each in ran.commands)
        assert set(ran.outputs) == {"job-ids", "report"}
        assert table(ran.summary)[0][0] == "cn-hangzhou/r-a"
        assert not list(tmp_path.rglob("owned"))
        assert "secret" not in ran.log.lower()


def test_the_action_installs_the_command_from_its_own_folder_and_once(tmp_path: Path) -> None:
    """The libraries are those of the tests: to install them takes too long. All else is installed as on GitHub."""
    with Pipeline(Instance("r-a"), speed=1).running() as pipeline:
        first = run_action(pipeline, tmp_path, INPUTS | {"instances": "r-a", "dry-run": "true"}, PIP_NO_DEPS="1")
        (venv,) = (tmp_path / "temp").glob("redis-backup")
        assert "No module named" in first.log
        (site,) = venv.glob("lib/python3*/site-packages")
        assert (site / "redis_backup_cli").is_dir()
        (site / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        (tmp_path / "work" / "json.py").write_text("raise SystemExit('the repository is imported')\n")
        variables = {"PIP_NO_INDEX": "1", "PYTHONPATH": str(tmp_path / "work")}
        second = run_action(pipeline, tmp_path, INPUTS | {"instances": "r-a", "dry-run": "true"}, **variables)
        assert (second.code, second.report["counts"], pipeline.backups()) == (0, {"planned": 1}, {"r-a": 0}), second.log


def test_an_old_python_is_told_what_to_do(tmp_path: Path) -> None:
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name in ("python", *re.findall(r"python3[.\d]*", ACTION["runs"]["steps"][0]["run"])):
        program = "import sys; sys.version_info = (3, 9); exec(sys.argv[1])"
        (stubs / name).write_text(f"#!/bin/sh\nexec {sys.executable} -c '{program}' \"$2\"\n")
        (stubs / name).chmod(0o755)
    pipeline = Pipeline(Instance("r-a"))
    ran = run_action(pipeline, tmp_path, INPUTS | {"instances": "r-a"}, PATH=f"{stubs}:/usr/bin:/bin")
    assert (ran.code, ran.outputs) == (2, {"job-ids": "", "report": ""})
    assert [each[:65] for each in ran.commands] == ["::error title=Redis backup::Python 3.10 or later with venv is nee"]


def test_no_expression_stands_in_a_script() -> None:
    assert [step["name"] for step in ACTION["runs"]["steps"] if "${{" in step["run"]] == []


def test_the_inputs_are_the_commands_options() -> None:
    options = {option.lstrip("-") for param in command.params for option in param.opts}
    inputs = set(ACTION["inputs"])
    assert inputs - {"tags"} <= options
    assert options - inputs == {"tag", "json", "version"}
    passed = ACTION["runs"]["steps"][1]["env"]
    assert passed == {
        f"INPUT_{name.upper().replace('-', '_')}": f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"]
    }


@pytest.mark.parametrize(
    ("inputs", "arguments"),
    [
        ({"FUNCTION": "--help", "WAIT": "30m"}, "--json --function=--help --wait=30m"),
        ({"INSTANCES": " r-1,\n cn-beijing/r-2 "}, "--json r-1 cn-beijing/r-2"),
        ({"TAGS": " app=shop\n\ntier=a, b \n"}, "--json --tag=app=shop --tag=tier=a, b"),
        ({"WAIT": "30m", "DRY_RUN": "true"}, "--json --dry-run"),
        ({"WAIT": "30m", "CHECK": "true", "DRY_RUN": "false"}, "--json --check"),
        ({"MAX_AGE": "1h", "RETENTION_DAYS": "-1", "SINCE": ""}, "--json --max-age=1h --retention-days=-1"),
        ({"REASON": "-x\ny"}, "--json --reason=-x\ny"),
        ({"VERIFY": "full", "COPY": "true"}, "--json --verify=full --copy"),
        ({"VERIFY": "", "COPY": ""}, "--json"),
        ({"COPY": "false"}, "--json --no-copy"),
    ],
)
def test_inputs_become_arguments(inputs: dict[str, str], arguments: str) -> None:
    read = read_arguments({f"INPUT_{name}": value for name, value in inputs.items()} | {"OTHER": "x"})
    assert " ".join(read) == arguments


@pytest.mark.parametrize(
    ("name", "value"),
    [("DRY_RUN", "True"), ("COPY", "yes"), ("CHECK", "yes"), ("INSTANCES", "r-1 --since=2020-01-01T00:00:00Z")],
)
def test_a_value_that_an_input_cannot_have_is_refused(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"^The input {name.lower().replace('_', '-')} "):
        read_arguments({f"INPUT_{name}": value})


def test_the_summary_shows_hostile_text_as_it_is_and_what_failed_first() -> None:
    report = {"ok": False, "since": "2026-01-01T00:00:00Z", "reason": HOSTILE, "counts": {"failed": 1}}
    instances = [item("r-a", "succeeded", job_ids=["1", "2"], note="a note"), item("r-b", "failed", HOSTILE)]
    rows = table(summarize({**report, "instances": instances}, 1))
    assert rows == [
        ["cn-hangzhou/r-b", "❌ failed", "", f"{' '.join(HOSTILE.split())} (C). Do this"],
        ["cn-hangzhou/r-a", "✅ succeeded", "1, 2", "a note"],
    ]


def test_the_summary_shows_what_was_proved() -> None:
    instances = [
        item("r-a", "succeeded", job_ids=["1"], verified="full", copies="oss://b/p/"),
        item("r-b", "verifying", job_ids=["2"], progress=43),
        item("r-c", "planned", job_ids=["3"], note="not read back"),
    ]
    summary = summarize({"ok": True, "dry_run": True, "counts": {"succeeded": 1}, "instances": instances}, 3)
    assert summary.startswith("### Redis backup: 1 succeeded. Some instances have no backup that was read back as ask")
    assert table(summary) == [
        ["cn-hangzhou/r-b", "⏳ verifying", "2", "43 % read"],
        ["cn-hangzhou/r-c", "⏳ planned", "3", "not read back"],
        ["cn-hangzhou/r-a", "✅ succeeded", "1", "verified: full. copies: oss://b/p/"],
    ]


def test_the_summary_shows_checks() -> None:
    checks = [
        {"name": "clock", "ok": True, "detail": "0 s", "hint": None},
        {"name": "memory", "ok": None, "detail": "128 MB.", "hint": "Give it 256 MB."},
        {"name": "region", "ok": False, "detail": "refused", "hint": "Add it."},
    ]
    summary = summarize({"ok": False, "checks": checks}, 1)
    assert summary.startswith("### Redis backup: 1 passed, 1 warning, 1 failed\n")
    assert table(summary) == [
        ["region", "❌ failed", "", "refused. Add it"],
        ["memory", "⚠️ warning", "", "128 MB. Give it 256 MB"],
        ["clock", "✅ passed", "", "0 s"],
    ]


def test_a_summary_is_never_larger_than_github_accepts() -> None:
    instances = [item(f"r-{number}", "failed", "超" * 1000) for number in range(1000)]
    summary = summarize({"ok": False, "counts": {"failed": 1000}, "instances": instances}, 1)
    assert 900_000 < len(summary.encode()) <= 1_000_000
    shown = len(table(summary))
    assert summary.endswith(f"\n\n{1000 - shown} more are in the report.\n")


def test_an_output_cannot_end_itself(tmp_path: Path) -> None:
    outputs = {"job-ids": "1\nEOF\nreport=x\n", "report": "/a b"}
    write_outputs(tmp_path / "output", outputs)
    assert read_outputs((tmp_path / "output").read_text()) == outputs


def test_the_runner_of_these_tests_obeys_commands_where_they_are_not_stopped() -> None:
    log = " ::error::a\n::stop-commands::t\n::error::b\n##[error]c\n::t::\nx ##[error]d"
    assert read_commands(log) == ["::error::a", "x ##[error]d"]


def test_the_action_stands_where_github_looks_for_it() -> None:
    assert (PROJECT / "action.yml").is_file()
    assert ACTION["runs"]["using"] == "composite"

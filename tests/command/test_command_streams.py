"""Other people's terminals, pipes and encodings: nothing raises, and the exit code stays true."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from command_process import PROJECT, TIMEOUT, Ended, Pipeline

from redis_backup_cli.__main__ import main
from redis_backup_cli.streams import SafeStream, replace_unencodable
from simulator import Instance

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
REASON = "发布 42"


def run_in_shell(pipeline: Pipeline, command: str, *arguments: str, **changes: str) -> Ended:
    """Run the command where `$CMD` is in a shell command."""
    line = command.replace("$CMD", shlex.join(pipeline.command(*arguments)))
    ended = subprocess.run(
        ["/bin/bash", "-c", line], cwd=PROJECT, env=pipeline.environ(**changes), capture_output=True, timeout=TIMEOUT
    )
    return Ended(ended.returncode, ended.stdout.decode("latin-1"), ended.stderr.decode("latin-1"))


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("r-… · 发布", "utf-8", "r-… · 发布"),
        ("r-… · 发布", "ascii", "r-... - \\u53d1\\u5e03"),
        ("r-… é 发布", "gbk", "r-… é 发布"),
        ("发布 Ω ☂", "latin-1", "\\u53d1\\u5e03 \\u03a9 \\u2602"),
        ("✓ ✗ → a", "ascii", "+ x -> a"),
        ("half \ud800", "utf-8", "half \\ud800"),
    ],
)
def test_what_an_encoding_lacks_is_replaced(text: str, encoding: str, shown: str) -> None:
    assert replace_unencodable(text, encoding) == shown
    raw = io.BytesIO()
    stream = SafeStream(io.TextIOWrapper(raw, encoding))
    assert stream.write(text) == len(text)
    stream.flush()
    assert (raw.getvalue().decode(encoding), stream.has_failed) == (shown, False)
    assert stream.is_utf8 is (encoding == "utf-8")


def test_a_stream_that_is_closed_or_full_never_raises(tmp_path: Path) -> None:
    closed = (tmp_path / "x").open("w")
    closed.close()
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - closed below
    reader, writer = os.pipe()
    os.close(reader)
    broken = os.fdopen(writer, "w", encoding="utf-8")
    for inner in (None, closed, full, broken):
        stream = SafeStream(inner)
        stream.write("x")
        stream.flush()
        stream.write("y")
        assert (stream.has_failed, stream.isatty()) == (True, False)
    full.close()  # flushes into the null device
    broken.close()
    with pytest.raises(io.UnsupportedOperation):
        SafeStream(None).fileno()


@pytest.mark.parametrize(
    ("changes", "is_ascii"),
    [
        (C_LOCALE, True),
        ({"PYTHONIOENCODING": "latin-1"}, True),
        ({"PYTHONIOENCODING": "gbk"}, True),
        ({"PYTHONIOENCODING": "utf-8"}, False),
    ],
)
def test_a_reason_arrives_as_it_was_typed_and_the_report_is_json_in_any_locale(
    changes: dict[str, str], is_ascii: bool
) -> None:
    with Pipeline(Instance("r-a")).running() as pipeline:
        ended = run_in_shell(pipeline, "$CMD", "r-a", "--reason", REASON, "--json", "--dry-run", **changes)
        assert (ended.code, ended.out.isascii()) == (0, is_ascii)
        assert json.loads(ended.out.encode("latin-1"))["reason"] == REASON
        assert pipeline.requests()[0]["reason"] == REASON


def test_a_reason_that_is_in_no_known_encoding_is_2_and_nothing_is_sent() -> None:
    with Pipeline(Instance("r-a")).running() as pipeline:
        ended = run_in_shell(pipeline, "$CMD --reason $'\\xb7\\xa2\\xb2\\xbc 42'", "r-a", **C_LOCALE)
        assert (ended.code, ended.out, pipeline.requests()) == (2, "", [])
        assert ended.err.startswith("Error: --reason cannot be decoded as UTF-8 or in the locale's encoding\n")


@pytest.mark.parametrize("changes", [C_LOCALE, {"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "gbk"}])
def test_help_is_shown_in_any_locale(changes: dict[str, str]) -> None:
    ended = run_in_shell(Pipeline(), "$CMD", "--help", **changes)
    assert (ended.code, ended.err, ended.out.isascii(), "Exit codes:" in ended.out) == (0, "", True, True)


@pytest.mark.parametrize(
    ("command", "arguments", "code"),
    [
        ("$CMD | true; exit ${PIPESTATUS[0]}", [], 0),
        ("$CMD >&-", [], 0),
        ("$CMD >/dev/full", [], 0),
        ("$CMD 2>&- >&-", [], 0),
        ("$CMD >/dev/full 2>&1", ["--json"], 4),
        ("$CMD >&-", ["--json"], 4),
        ("$CMD >/dev/full", ["--help"], 0),
    ],
)
def test_output_that_cannot_be_written_does_not_change_what_becomes_of_the_backup(
    command: str, arguments: list[str], code: int
) -> None:
    with Pipeline(Instance("r-a", duration=20)).running() as pipeline:
        ended = run_in_shell(pipeline, command, "r-a", "--wait", "30m", *arguments)
        assert (ended.code, "Traceback" in ended.err, "Exception" in ended.err) == (code, False, False)
        assert pipeline.backups() == {"r-a": 0 if "--help" in arguments else 1}


def test_a_backup_that_failed_is_1_though_the_report_cannot_be_written() -> None:
    with Pipeline(Instance("r-a", duration=5, outcomes=("failed",))).running() as pipeline:
        ended = run_in_shell(pipeline, "$CMD >/dev/full", "r-a", "--wait", "30m", "--json")
        assert (ended.code, "Error: the report could not be written to standard output." in ended.err) == (1, True)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)], ids=["TERM", "INT", "HUP"]
)
def test_a_signal_on_a_terminal_shows_the_cursor_and_how_to_join(number: int, code: int) -> None:
    with Pipeline(Instance("r-a", duration=100_000)).running() as pipeline:
        ended = pipeline.on_terminal("r-a", "--wait", "30m", stop=("running", number))
        assert (ended.code, ended.out.count("Stopped. ")) == (code, 1)
        assert "\x1b[?25l" not in ended.out[ended.out.index("\x1b[?25l") :].rpartition("\x1b[?25h")[2]
        assert "To wait for them again:" in ended.out
        assert pipeline.backups() == {"r-a": 1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_the_moment_that_hides_the_cursor_shows_it_again(number: int) -> None:
    with Pipeline(Instance("r-a", duration=100_000)).running() as pipeline:
        ended = pipeline.on_terminal("r-a", "--wait", "30m", stop=("\x1b[?25l", number))
        assert (ended.code, ended.out.rfind("\x1b[?25h") > ended.out.rfind("\x1b[?25l")) == (128 + number, True)


def test_a_signal_ends_the_command_though_nobody_reads_its_report() -> None:
    error = {"code": "X", "message": "m" * 200_000, "kind": "permanent", "request_id": None, "hint": None}
    item = {"instance_id": "r-a", "region": "cn-hangzhou", "state": "failed", "job_ids": [], "error": error}
    with Pipeline(Instance("r-a"), handler=lambda *_: {"instances": [item], "jobs": {}}).running() as pipeline:
        process = subprocess.Popen(
            pipeline.command("r-a", "--json"), cwd=PROJECT, env=pipeline.environ(), stdout=subprocess.PIPE
        )
        assert process.stdout.read(1) == b"{"  # more than a pipe holds is on its way
        process.terminate()
        assert process.wait(TIMEOUT) == -signal.SIGTERM
        process.stdout.close()


def test_a_terminal_s_cursor_is_shown_at_the_end() -> None:
    with Pipeline(Instance("r-a", duration=20)).running() as pipeline:
        ended = pipeline.on_terminal("r-a", "--wait", "30m")
        assert (ended.code, ended.out.rindex("\x1b[?25h") > ended.out.rindex("\x1b[?25l")) == (0, True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"])
def test_a_signal_with_json_prints_the_report_so_far(number: int, code: int) -> None:
    with Pipeline(Instance("r-a", duration=100_000)).running() as pipeline:
        process = subprocess.Popen(
            pipeline.command("r-a", "--wait", "30m", "--json"),
            cwd=PROJECT,
            env=pipeline.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in process.stderr:
            if " running " in line:
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT)
        report = json.loads(out)
        assert (process.returncode, report["ok"], report["done"], report["counts"]) == (
            code,
            False,
            False,
            {"running": 1},
        )
        assert report["error"]["message"] == f"stopped by {signal.Signals(number).name}"
        assert report["error"]["hint"] == err.splitlines()[-1].strip()
        assert "--since" in report["error"]["hint"]


def test_a_signal_before_anything_is_sent_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    arguments = (os.kill(os.getpid(), number) or "" for number in (signal.SIGTERM,))
    assert (main(arguments), capsys.readouterr().err) == (143, "Stopped. No request was sent.\n")
    assert signal.getsignal(signal.SIGTERM) == handler


def test_where_the_function_never_answered_nothing_is_said_to_go_on() -> None:
    with Pipeline(Instance("r-a"), speed=1).running() as pipeline:
        ended = pipeline.run("r-a", "--wait", "1s", "--json", BACKUP_FC_ENDPOINT="http://127.0.0.1:9")
        assert ended.code == 3
        assert ended.err.splitlines()[-2] == (
            "Time ran out. The function never answered: it is not known whether a backup has started. To find out:"
        )
        assert json.loads(ended.out)["error"]["message"] == "the function never answered"

"""The command, as a process."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulator import Cloud, Fleet
from simulator.commands import events
from simulator.commands.serve import _command

PROJECT = Path(__file__).resolve().parents[2]
GOOD = {"instance_ids": ["r-bp1zxszhcgatnx01", "r-bp1cluster2shards"]}
TIMER = {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "nightly", "payload": json.dumps(GOOD)}

CLIENT = """
import os
from alibabacloud_r_kvstore20150101.client import Client
from alibabacloud_r_kvstore20150101.models import CreateBackupRequest
from alibabacloud_tea_openapi.utils_models import Config
keys = [os.environ[f"ALIBABA_CLOUD_ACCESS_KEY_{name}"] for name in ("ID", "SECRET")]
client = Client(Config(*keys, protocol="HTTP", endpoint=os.environ["BACKUP_ENDPOINT"].removeprefix("http://")))
print(client.create_backup(CreateBackupRequest(instance_id="r-bp1cluster2shards")).body.backup_job_id)
"""


@pytest.mark.parametrize(
    ("event", "queued", "time"),
    [
        (b'{"triggerTime":"2026-11-24T02:00:00Z","triggerName":"n"}', True, 1795485600),
        (b'{"specversion":"1.0","time":"2026-11-24T10:00:00.5+08:00"}', True, 1795485600.5),
        (b'{"specversion":"1.0","time":"2026-11-24T10:00:00Asia/Shanghai"}', True, None),
        (b'{"specversion":"1.0","time":"?","aliyunpublishtime":"2026-11-24T10:00:00.5PRC"}', True, 1795485600.5),
        (
            b'["{\\"specversion\\":1,\\"time\\":\\"2026-11-24T02:00:00Z\\"}",{"time":"2020-01-01T00:00:00Z"}]',
            True,
            1795485600,
        ),
        (b'{"requestContext":{"timeEpoch":"1795485600000"}}', False, 1795485600),
        (b'{"time":"2026-13-24T02:00:00Z"}', False, None),
        (b'["r-1"]', False, None),
        (b"r-1", False, None),
    ],
)
def test_an_event_file_tells_its_trigger_and_its_time(event, queued, time):
    assert (events.is_queued(event), events.time_of(event)) == (queued, time)


# What would spoil calls to this machine, if it were heeded.
SPOILERS = {"ALIBABA_CLOUD_SECURITY_TOKEN": "left-over", "HTTP_PROXY": "http://127.0.0.1:9"}


def simulator(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "simulator", *arguments],
        input=stdin,
        env={**os.environ, **SPOILERS, **environment},
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["serve", "--help"], ["logs", "--help"]])
def test_help_has_examples(arguments):
    done = simulator(*arguments)
    assert done.returncode == 0
    assert "python -m simulator" in done.stdout


def test_run_follows_a_timer_to_its_end_and_keeps_the_logs(tmp_path):
    event, logs = tmp_path / "timer.json", str(tmp_path / "logs.jsonl")
    event.write_text(json.dumps(TIMER))
    done = simulator("run", str(event), "--speed", "600", "--timeout", "3600", "--logstore", logs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert done.stdout.startswith("02:0")
    *lines, last = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert last == f"The logs: python -m simulator logs {logs}"  # in one piece, to be copied
    table = done.stdout.split("\n\n")[1]
    assert all(f"{each}" in table for each in (*GOOD["instance_ids"], "succeeded"))

    listed = simulator("logs", logs, "--instance", "r-bp1cluster2shards", "--event", "backup_started")
    assert listed.returncode == 0
    assert len(listed.stdout.splitlines()) == 1
    as_json = simulator("logs", logs, "--json", "--event", "backup_started")
    assert len([json.loads(line) for line in as_json.stdout.splitlines()]) == 2


def test_run_fails_when_an_instance_has_no_backup():
    options = ("--speed", "600", "--timeout", "3600")
    event = '{"instance_ids": "r-bp1notyours00001"}'
    done = simulator("run", "-", *options, stdin=event, PYTHONIOENCODING="latin-1")  # `→` is not in it
    assert (done.returncode, done.stderr) == (1, "")
    assert "kvstore:" in done.stdout


def test_run_fails_when_the_request_is_refused():
    done = simulator("run", "-", "--no-follow", stdin='{"instances": 3}')
    assert done.returncode == 1
    assert done.stdout.count("InvalidRequest: unknown field: instan") == 1
    assert "An event that works:" in done.stdout.partition("Hints\n")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "NOVALUE"], "NAME=VALUE"),
        (["--at", "tomorrow"], "2026-11-24T02:00:00Z"),
        (["--fleet", str(PROJECT / "pyproject.toml")], "pyproject.toml"),
    ],
)
def test_run_says_what_is_wrong_with_an_option(arguments, message):
    done = simulator("run", "-", *arguments, stdin="{}")
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen, str, str]]:
    """`serve` as a process, the settings that it prints, and the command that it prints last."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "simulator", "serve", "--port", "0", *arguments],
        env={**os.environ, **SPOILERS},
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    try:
        settings = "".join(iter(process.stdout.readline, "# Back up an instance:\n"))
        yield process, settings, process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert (rest.splitlines()[-1], process.returncode) == ("stopped", 0)


def in_another_terminal(settings: str, command: str) -> subprocess.CompletedProcess:
    """Paste both into a shell whose own environment would spoil the settings."""
    return subprocess.run(
        ["sh", "-c", 'eval "$1"; eval "exec $2"', "sh", settings, command],  # noqa: S607
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **SPOILERS},
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["--speed", "300"], "r-bp1zxszhcgatnx01 --function redis-backup --wait 30m"),
        (
            ["--speed", "300", "--generation", "2"],
            "r-bp1zxszhcgatnx01 --function redis-backup --service backup-service --wait 30m",
        ),
    ],
)
def test_what_serve_prints_is_all_that_the_command_needs(arguments, command):
    with serving(*arguments) as (_, settings, line):
        assert line.partition("redis-backup ")[2] == command
        of_command, _, _ = settings.partition("# For a program")  # what comes after is for others
        done = in_another_terminal(of_command, line)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1].endswith(": 1 succeeded")


def test_serve_prints_what_another_client_needs():
    with serving("--calls", "--generation", "2") as (process, settings, _):
        done = in_another_terminal(settings, shlex.join([sys.executable, "-c", CLIENT]))
        assert done.stdout == "10000,10001\n", done.stderr
        assert "export FC_SERVICE_NAME=backup-service\n" in settings
        assert process.stdout.readline() == "    API CreateBackup r-bp1cluster2shards 200\n"


@pytest.mark.parametrize(
    ("instances", "command"),
    [
        (
            "- {id: r-a, denied: true}\n- {id: r-b, region: cn-beijing}",
            "cn-beijing/r-b --function redis-backup --wait 30m",
        ),
        ("- {id: r-a, denied: true}", ""),
    ],
)
def test_the_command_that_serve_prints_names_an_instance_of_the_fleet(tmp_path, instances, command):
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(f"instances:\n{instances}\n")
    with Cloud(Fleet.load(fleet)) as cloud:
        assert [line.partition("redis-backup ")[2] for line in _command(cloud)] == ([command] if command else [])


def test_the_picture_is_what_the_demo_shows(tmp_path):
    file = tmp_path / "demo.svg"
    done = simulator("demo", "--svg", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    picture = (PROJECT / "docs" / "demo.svg").read_text()
    assert file.read_text() == picture, "draw it anew: python -m simulator demo --svg docs/demo.svg"
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in done.stdout.splitlines()]
    assert max(map(len, lines)) <= 100
    events = re.compile(
        r"(?:[\dZ] +|cn-hangzhou/\S+ )(started|running|succeeded|failed) |(request_finished)|(status \d)"
    )
    assert [next(filter(None, found)) for found in events.findall("\n".join(lines))] == [
        *["started"] * 3,
        *["succeeded"] * 3,
        "request_finished",
        "failed",
        "request_finished",
        "running",
        "succeeded",
        "status 0",
        "request_finished",
    ]

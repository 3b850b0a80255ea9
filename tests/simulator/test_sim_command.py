"""The command, as a process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.commands import events

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


def simulator(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "simulator", *arguments],
        input=stdin,
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
    table = done.stdout.split("\n\n")[1]
    assert all(f"{each}" in table for each in (*GOOD["instance_ids"], "succeeded"))

    listed = simulator("logs", logs, "--instance", "r-bp1cluster2shards", "--event", "backup_started")
    assert listed.returncode == 0
    assert len(listed.stdout.splitlines()) == 1
    as_json = simulator("logs", logs, "--json", "--event", "backup_started")
    assert len([json.loads(line) for line in as_json.stdout.splitlines()]) == 2


def test_run_fails_when_an_instance_has_no_backup():
    done = simulator("run", "-", "--speed", "600", "--timeout", "3600", stdin='{"instance_ids": "r-bp1notyours00001"}')
    assert done.returncode == 1
    assert "kvstore:" in done.stdout


def test_run_fails_when_the_request_is_refused():
    done = simulator("run", "-", "--no-follow", stdin='{"instances": 3}')
    assert done.returncode == 1
    assert "InvalidRequest" in done.stdout


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


def test_serve_prints_what_another_client_needs():
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "simulator", "serve", "--port", "0", "--calls", "--generation", "2"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    try:
        settings = {}
        while (line := process.stdout.readline()).startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            settings[name] = value
        assert settings["FC_SERVICE_NAME"] == "backup-service"
        done = subprocess.run(
            [sys.executable, "-c", CLIENT],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout == "10000,10001\n", done.stderr
        assert process.stdout.readline().startswith("# Its clock runs ahead")
        assert process.stdout.readline() == "    API CreateBackup r-bp1cluster2shards 200\n"
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert (rest, process.returncode) == ("stopped\n", 0)

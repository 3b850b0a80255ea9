"""Clients that this project did not write, against the simulated cloud: it has to be good enough for them, too.

They are installed once into `build/clients`, and the tests skipped where that cannot be done.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from simulator import Cloud, Fleet, Instance, ScaledClock, ram
from simulator.fc.invocation import load_project
from simulator.oss.content import CRC64
from simulator.oss.operations import OPERATIONS
from simulator.server import Request, Response, Server

HERE = Path(__file__).parent
CLIENTS = HERE.parents[1] / "build" / "clients"
OSS_PACKAGE = "ali-oss@6.23.0"
NODE_PACKAGES = ("@alicloud/r-kvstore20150101@6.4.0", "@alicloud/fc20230330@4.7.6")
PYTHON_PACKAGE = "aliyun-python-sdk-r-kvstore==2.20.17"
EVENTBRIDGE_PACKAGE = "alibabacloud-eventbridge20200401==8.7.0"
TIMEOUT = 180  # seconds, for an installation


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    load_project()
    fleet = Fleet([Instance("r-a", duration=30)])
    with Cloud(fleet, clock=ScaledClock(60, time.time())) as cloud:
        yield cloud


def installed(name: str, command: list[str]) -> Path:
    """The folder of `build/clients` into which the command (`{}` for it) installs into. Skip where it fails."""
    folder, mark = CLIENTS / name, CLIENTS / name / ".installed"
    text = " ".join(command)
    if not (mark.exists() and mark.read_text() == text):
        if not shutil.which(command[0]):
            pytest.skip(f"{command[0]} is not installed")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            subprocess.run(
                [part.replace("{}", str(folder)) for part in command], capture_output=True, timeout=TIMEOUT, check=True
            )
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"{command[0]} could not install {name}: {type(error).__name__} (is there a network?)")
        mark.write_text(text)
    return folder


def seen_by(command: list[str], cloud: Cloud, **changes: str) -> str:
    """The last line that a client's program printed."""
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **cloud.environ(), **changes}
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


def test_the_official_node_sdks(cloud: Cloud) -> None:
    npm = ["npm", "install", "--prefix", "{}", "--no-audit", "--no-fund", "--ignore-scripts", *NODE_PACKAGES]
    folder = installed("node", npm)
    seen = json.loads(seen_by(["node", str(HERE / "clients.mjs"), cloud.host, "r-a"], cloud, CLIENTS=str(folder)))
    backup = cloud.kvstore.instance("r-a").backups[0]
    job_id = backup.job_ids[0]
    assert seen == {
        "jobId": job_id,
        "tasks": [job_id],
        "refused": "BackupJobExists",
        "status": "Success",
        "report": {"states": ["succeeded"], "adopted": True},
    }
    assert (backup.retention_days, len(cloud.kvstore.instance("r-a").backups)) == (30, 1)


def test_the_official_node_sdk_of_oss() -> None:
    npm = ["npm", "install", "--prefix", "{}", "--no-audit", "--no-fund", "--ignore-scripts", OSS_PACKAGE]
    folder = installed("ali-oss", npm)
    policy = ram.allow(["oss:*"], ["acs:oss:*:*:backups", "acs:oss:*:*:backups/redis/*"])
    with Cloud(settings={"BACKUP_STORE": "oss://backups/redis"}, policy=policy) as cloud:
        environ = cloud.environ(cloud.credentials.issue())
        text = seen_by(["node", str(HERE / "ali_oss.mjs"), "backups"], cloud, **environ, CLIENTS=str(folder))
        assert json.loads(text) == {
            "crc64": str(CRC64.calc(b"0123456789")),
            "refused": [409, "FileAlreadyExists"],
            "range": [206, "234", "bytes 2-4/10"],
            "outside": [200, "0123456789"],
            "head": [200, "10", '"781E5E245D69B566979B86E28D23F2C7"'],
            "missing": [[404, "NoSuchKey"], [404, "NoSuchKey"]],
            "parts": [200, True],
            "whole": True,
            "listedParts": [[1, 1000]],
            "uploads": [["redis/1234/unfinished.rdb", True]],
            "aborted": [],
            "objects": [["redis/1234/a b+ü.json", 10], ["redis/1234/parts.rdb", 450 * 1024]],
            "deleted": [404, "NoSuchKey"],
            "denied": [403, "AccessDenied"],
        }
        assert ([*cloud.store.objects], cloud.store.uploads) == (["redis/1234/parts.rdb"], {})
        assert {call.operation for call in cloud.calls} == {*OPERATIONS}


def test_the_older_python_sdk(cloud: Cloud) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", "{}", PYTHON_PACKAGE]
    folder = installed(f"python{sys.version_info[0]}.{sys.version_info[1]}", pip)
    seen = json.loads(
        seen_by([sys.executable, str(HERE / "older_client.py"), cloud.host, "r-a"], cloud, PYTHONPATH=str(folder))
    )
    job_id = cloud.kvstore.instance("r-a").backups[0].job_ids[0]
    assert seen == {"job_id": job_id, "refused": "BackupJobExists", "listed": ["r-a"], "status": "Success"}


def test_the_official_eventbridge_sdk_as_the_recipe_uses_it(cloud: Cloud) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", "{}", EVENTBRIDGE_PACKAGE]
    folder = installed("eventbridge", pip)
    text = (HERE.parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    recipe = re.findall(r"<!-- recipe: eventbridge -->\n```python\n(.*?)```", text, re.DOTALL)[0]
    received: list[dict[str, Any]] = []

    def bus(request: Request) -> Response:
        """What EventBridge does: it takes the event, adds its own attributes, and hands it to the target."""
        form = dict(parse_qsl(request.body.decode()))
        received.append({**form, "action": request.headers["x-acs-action"]})
        return Response(200, b'{"Code":"Success"}', {"Content-Type": "application/json"})

    server = Server(bus)
    server.start()
    try:
        here = f'endpoint="127.0.0.1:{server.port}", protocol="HTTP", region_id='
        program = recipe.replace("region_id=", here).replace("r-bp1zxszhcgatnx01", "r-a")
        output = seen_by([sys.executable, "-c", program], cloud, PYTHONPATH=str(folder), RELEASE="42")
    finally:
        server.stop()
    (sent,) = received
    (event,) = json.loads(sent["EventList"])
    assert (sent["action"], sent["EventBusName"]) == ("PutEvents", "deployments")
    delivered = {"specversion": event.pop("SpecVersion"), "datacontenttype": event.pop("DataContentType")}
    delivered |= {name.lower(): value for name, value in event.items()}
    assert delivered["time"] == output
    invocation = cloud.invoke(delivered)
    assert (invocation.error, len(cloud.kvstore.instance("r-a").backups)) == (None, 1)
    assert invocation.records[-1]["trigger_id"] == "release-42"

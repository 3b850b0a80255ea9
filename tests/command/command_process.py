"""The command as a process, and a cloud for it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator import Cloud, Fleet, FunctionConfig, Instance, ScaledClock
from simulator.fc.invocation import load_project

PROJECT = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("command_driver.py")
SPEED = 60.0
SLOWLY = 15.0  # where a process's own time is not to count for so much
TIMEOUT = 30  # seconds of the machine's, for a process that hangs
TO_FUNCTION = ("--function", "redis-backup", "--region", "cn-hangzhou")


@dataclass(frozen=True)
class Ended:
    """What came of a process."""

    code: int
    out: str
    err: str


class Pipeline:
    """A cloud whose clock runs fast, and the command beside it, whose own is so many seconds `ahead` of the cloud's."""

    def __init__(
        self, *instances: Instance, generation: int = 3, speed: float = SPEED, ahead: float = 0.0, **cloud: Any
    ) -> None:
        load_project()  # before the clock starts
        self.speed, self.ahead, self.began, self.start = speed, ahead, time.monotonic(), time.time()
        self.cloud = Cloud(
            Fleet(instances),
            clock=ScaledClock(speed, self.start),
            function=FunctionConfig(generation=generation),
            **cloud,
        )
        self.to_function = TO_FUNCTION + (("--service", "backup-service") if generation == 2 else ())

    @contextmanager
    def running(self) -> Iterator[Pipeline]:
        with self.cloud, self.cloud.platform.running():
            yield self

    def command(self, *arguments: str) -> list[str]:
        clock = f"{self.speed}:{self.start + self.ahead}:{self.began}"
        return [sys.executable, str(DRIVER), clock, *arguments, *self.to_function]

    def environ(self, **changes: str) -> dict[str, str]:
        return environ(self.cloud.environ() | {"ALIBABA_CLOUD_ACCOUNT_ID": "1234567890123456"} | changes)

    def run(self, *arguments: str, **changes: str) -> Ended:
        return run(self.command(*arguments), self.environ(**changes))

    def on_terminal(self, *arguments: str, stop: tuple[str, int] = ("", 0), **changes: str) -> Ended:
        """Like `run`, with a terminal as its output. `stop`: a text at which it is sent a signal, and the signal."""
        ours, theirs = pty.openpty()
        environment = self.environ(TERM="xterm-256color", COLUMNS="150", LINES="40", **changes)
        process = subprocess.Popen(
            self.command(*arguments), cwd=PROJECT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        written = bytearray()
        try:
            while chunk := os.read(ours, 65536):
                written += chunk
                if stop[0] and stop[0].encode() in written:
                    process.send_signal(stop[1])
                    stop = ("", 0)
        except OSError:
            pass  # Linux's way to say that the other side is closed
        os.close(ours)
        return Ended(process.wait(TIMEOUT), written.decode(), "")

    def requests(self) -> list[dict[str, Any]]:
        """What the command has sent: all that arrived but for the function's own follow-ups and shards."""
        return [json.loads(each.event) for each in self.cloud.platform.invocations if b'"follow"' not in each.event]

    def backups(self) -> dict[str, int]:
        """How many backups each instance has."""
        return {each.id: len(self.cloud.kvstore.instance(each.id).backups) for each in self.cloud.fleet}


def environ(changes: Mapping[str, str]) -> dict[str, str]:
    """An environment that has nothing from this one but the path, and what measures coverage."""
    bare = {
        "PATH": os.environ["PATH"],
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
        "HOME": "/nonexistent",
        "PYTHONPATH": str(PROJECT),
        "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
    }
    return bare | dict(changes)


def run(command: list[str], environment: Mapping[str, str], folder: Path = PROJECT) -> Ended:
    """Run a process to its end."""
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)

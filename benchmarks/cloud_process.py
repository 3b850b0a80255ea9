"""A simulated cloud in a process of its own, so that it does not share a GIL with what is measured.

The process takes a JSON object on its command line (see `main`), prints its URL and credentials, and prints the calls
since the last time whenever a line comes in.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]


@dataclass
class CloudProcess:
    """Such a process, as seen from outside."""

    process: subprocess.Popen[str]
    environ: dict[str, str]

    def calls(self) -> list[tuple[float, str]]:
        """The time (since 1970, of arrival) and operation of each call since the last time."""
        assert self.process.stdin  # noqa: S101 - both are pipes
        assert self.process.stdout  # noqa: S101
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [(moment, operation) for moment, operation in json.loads(self.process.stdout.readline())]


@contextmanager
def cloud_process(**options: Any) -> Iterator[CloudProcess]:
    """Serve a cloud while the block runs. `options` are those of `main`."""
    command = [sys.executable, "-m", "benchmarks.cloud_process", json.dumps(options)]
    with subprocess.Popen(  # noqa: S603 - our own
        command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout  # noqa: S101 - a pipe
            yield CloudProcess(process, json.loads(process.stdout.readline()))
        finally:
            process.kill()


def main(instances: int = 1, latency: float = 0.0, tls: list[str] | None = None) -> None:
    """Serve plain instances. `latency` in seconds a call; `tls`: the files of a certificate and its key."""
    from simulator import Cloud, Fleet, ScaledClock
    from simulator.kvstore.fleet import Instance

    fleet = Fleet(Instance(f"r-bench{number:05d}", duration=7200.0) for number in range(instances))
    certificate = (tls[0], tls[1]) if tls else None
    with Cloud(fleet, clock=ScaledClock(), real_latency=latency, tls=certificate) as cloud:
        _say(cloud.environ())
        told = 0
        for _ in sys.stdin:
            calls, told = cloud.calls[told:], len(cloud.calls)
            _say([(call.time, call.operation) for call in calls])


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

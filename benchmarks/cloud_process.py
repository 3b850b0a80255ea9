"""A simulated cloud in its own process, so that it does not share an interpreter's lock with what is measured.

The process takes the arguments of `main` as a JSON object on its command line. It prints the environment of a client,
and then, for each line on its standard input, the API calls since the line before.
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
    """The process, as its parent sees it. `environ`: the environment of a client."""

    process: subprocess.Popen[str]
    environ: dict[str, str]

    def calls(self) -> list[tuple[float, str]]:
        """Return the arrival (seconds since 1970) and the operation of each call since the last time."""
        assert self.process.stdin  # noqa: S101 - both are pipes
        assert self.process.stdout  # noqa: S101
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [(moment, operation) for moment, operation in json.loads(self.process.stdout.readline())]


@contextmanager
def cloud_process(**options: Any) -> Iterator[CloudProcess]:
    """Serve a cloud while the block runs. `options`: the arguments of `main`."""
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
    """Serve standard instances. `latency`: seconds of each call. `tls`: the paths of a certificate and its key."""
    from simulator import Cloud, Fleet, ScaledClock
    from simulator.kvstore.fleet import Instance

    fleet = Fleet(Instance(f"r-bench{number:05d}", duration=7200.0) for number in range(instances))
    certificate = (tls[0], tls[1]) if tls else None
    with Cloud(fleet, clock=ScaledClock(), real_latency=latency, tls=certificate) as cloud:
        _print_json(cloud.environ())
        printed = 0
        for _ in sys.stdin:
            calls = cloud.calls[printed:]
            printed += len(calls)
            _print_json([(call.time, call.operation) for call in calls])


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

"""A simulated cloud in its own process, so that it does not share an interpreter's lock with what is measured.

The process takes the arguments of `main` as a JSON object on its command line. It prints the environment of a client,
and then, for each line on its standard input, the API calls since the line before. A line is an event, or `{}`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from simulator import Cloud

PROJECT = Path(__file__).resolve().parents[1]
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in memory, on Linux


class ApiCall(NamedTuple):
    """One call. `time`: of its arrival, in seconds since 1970; `bytes_sent`: of a file or an object.

    `caller`: the access key ID, another one for each invocation.
    """

    time: float
    operation: str
    bytes_sent: int
    caller: str


@dataclass
class CloudProcess:
    """The process, as its parent sees it. `environ`: the environment of a client."""

    process: subprocess.Popen[str]
    environ: dict[str, str]

    def calls(self, event: Mapping[str, object] | None = None) -> list[ApiCall]:
        """Return the API calls since the last time.

        `event`: is first sent to the function, and followed until there is a receipt in the store.
        """
        assert self.process.stdin  # noqa: S101 - both are pipes
        assert self.process.stdout  # noqa: S101
        self.process.stdin.write(f"{json.dumps(event or {})}\n")
        self.process.stdin.flush()
        return [ApiCall(*each) for each in json.loads(self.process.stdout.readline())]


@contextmanager
def cloud_process(**options: Any) -> Iterator[CloudProcess]:
    """Serve a cloud while the block runs. `options`: the arguments of `main`."""
    command = [sys.executable, "-m", "benchmarks.cloud_process", json.dumps(options)]
    folder = {"TMPDIR": str(IN_MEMORY)} if IN_MEMORY.is_dir() else {}  # of copies: it is not the disk that is measured
    with subprocess.Popen(  # noqa: S603 - our own
        command,
        cwd=PROJECT,
        env={**os.environ, **folder},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout  # noqa: S101 - a pipe
            yield CloudProcess(process, json.loads(process.stdout.readline()))
        finally:
            assert process.stdin  # noqa: S101 - a pipe
            process.stdin.close()  # it removes its files, and ends
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def main(
    instances: int = 1,
    latency: float = 0.0,
    tls: list[str] | None = None,
    file_size: int | None = None,
    pace: float | None = None,
    command: Sequence[str] = (),
    timeout: float = 600.0,
    kill_after: float | None = None,
) -> None:
    """Serve standard instances. `latency`: seconds of each call. `tls`: the paths of a certificate and its key.

    `file_size`: each has a backup, of some minutes ago, with a file of so many bytes; `pace`: bytes a second of each
    download. `command`: runs the function in a process of its own, with the event and the time-out as arguments;
    `timeout`: of the function, in seconds; `kill_after`: it is killed after so many seconds.
    """
    from simulator import Cloud, Fleet, ScaledClock
    from simulator.downloads.files import File
    from simulator.fc.config import FunctionConfig
    from simulator.kvstore.behaviour import Behaviour
    from simulator.kvstore.fleet import Instance

    def handler(event: bytes, _: object, runtime: Any) -> None:
        subprocess.run(  # noqa: S603 - our own
            [*command, event.decode(), str(timeout)],
            env=runtime.environ,
            capture_output=True,
            check=True,
            timeout=kill_after,
        )

    fleet = Fleet(Instance(f"r-bench{number:05d}", duration=7200.0) for number in range(instances))
    with Cloud(
        fleet,
        clock=ScaledClock(),
        function=FunctionConfig(timeout=timeout),
        handler=handler,
        behaviour=Behaviour(download_pace=pace),
        settings={} if file_size is None else {"BACKUP_STORE": "oss://bench/redis"},
        real_latency=latency,
        tls=(tls[0], tls[1]) if tls else None,
    ) as cloud:
        if file_size is not None:
            now = cloud.clock.time()
            for each in fleet:
                cloud.kvstore.instance(each.id).add_backup(now - 600, now - 300, file=File(size=file_size))
        _print_json(cloud.environ())
        printed = 0
        for line in sys.stdin:
            if event := json.loads(line):
                _invoke(cloud, event)
            calls = cloud.calls[printed:]
            printed += len(calls)
            _print_json([(call.time, call.operation, call.bytes_sent, call.access_key_id) for call in calls])


def _invoke(cloud: Cloud, event: Mapping[str, object]) -> None:
    """Send an event to the function, and return when there is a receipt in the store."""
    with cloud.platform.running():
        cloud.invoke_async(event)
        while not any(key.endswith(("/full.json", "/copy.json")) for key in list(cloud.store.objects)):
            time.sleep(0.1)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

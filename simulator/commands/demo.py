"""`demo`: what the project is about, in a quarter of a minute."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.clock import SimulatedClock
from simulator.cloud import Cloud
from simulator.fc.config import FunctionConfig
from simulator.fc.invocation import load_project

if TYPE_CHECKING:
    from rich.console import Console

    from simulator.logstore import Log

SPEED = 40.0
TIMER = {
    "triggerTime": "2026-11-24T02:00:00Z",
    "triggerName": "nightly",
    "payload": "r-bp1zxszhcgatnx01, r-bp1cluster2shards, r-bp1cloudnative01",
}
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "release-42",
    "source": "shop.pipeline",
    "type": "pre-deploy",
    "time": "2026-11-24T02:03:00Z",
    "data": {"instance_ids": ["r-bp1mistyped00001"], "reason": "release 42"},
}
COMMAND = ["r-bp1zxszhcgatnx01", "--function", "redis-backup", "--wait", "10m", "--verify", "full", "--reason", "v43"]


class SlowedClock(SimulatedClock):
    """A simulated clock for people to look at: a sleep really takes time, but `SPEED` times less than it says.

    Work takes none, so that the demo shows the same on every machine.
    """

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds) / SPEED)
        super().sleep(seconds)


class PipelineClock:
    """The clock of a cloud, for a pipeline: while it sleeps, the function's follow-ups run as they get due."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.time, self.monotonic, self.uniform = cloud.clock.time, cloud.clock.monotonic, cloud.clock.uniform

    def sleep(self, seconds: float) -> None:
        end = self.time() + seconds
        while (due := self._cloud.platform.queue.next_due()) is not None and due <= end:
            self._cloud.platform.run_due()
        self._cloud.clock.sleep(end - self.time())


@click.command(short_help="Two events and a pipeline that waits for its backup.")
@click.option("--svg", type=click.Path(dir_okay=False, writable=True), help="Draw what is shown, at once; 100 columns.")
def demo(svg: str | None) -> None:
    """Show a timer's event that is backed up, one that fails, and a pipeline that waits for its backup.

    Time runs 40 times as fast. The same by hand: `run events/timer.json`, and `serve` with `redis-backup` beside it.

    \b
    Draw the README's picture:
      python -m simulator demo --svg docs/demo.svg
    """
    from simulator import console

    out = console.console(picture=bool(svg))
    function = FunctionConfig(max_async_retry_attempts=0)  # a retry would record the same failure again
    settings = {"BACKUP_CONCURRENCY": "1", "BACKUP_STORE": "oss://backups/redis"}  # one call at a time: in one order
    clock = SimulatedClock(grace=0) if svg else SlowedClock(grace=0)
    with Cloud(clock=clock, function=function, settings=settings) as cloud:
        os.environ.pop("ALIBABA_CLOUD_SECURITY_TOKEN", None)
        os.environ.update(cloud.environ())  # before the SDK is imported, which reads it then
        load_project()
        code = _show(out, cloud)
    if svg:
        Path(svg).write_text(_picture(out), encoding="utf-8")
    raise SystemExit(code)


def _picture(out: Console) -> str:
    """Return what a recording console has shown, as SVG. It names no fonts to load: a page would not let it."""
    text = out.export_svg(title="make demo")
    return re.sub(r"@font-face \{.*?\}\s*", "", text, flags=re.DOTALL)


def _show(out: Console, cloud: Cloud) -> int:
    """Print the three parts; the exit status of the pipeline's command."""
    _title(out, "1. A timer fires.", "Its event names three Redis instances:")
    _send(out, cloud, TIMER)
    _title(out, "2. An event arrives by EventBridge.", "The ID that it names is wrong:")
    _send(out, cloud, CLOUD_EVENT)
    _title(out, "3. A pipeline waits", "for a backup that was read back, before it deploys:")
    return _wait(out, cloud)


def _send(out: Console, cloud: Cloud, event: Mapping[str, Any]) -> None:
    """Show an event, what the function records until all of it is over, and the record that sums it up."""
    from simulator.console import Listing

    _print_json(out, event)
    out.print("\nThe function records each change in the log store, with the job IDs of the backups:", style="dim")
    listing = Listing(out, at_once=True)

    def show_change(log: Log) -> None:
        if log.record and log.record["event"] not in ("report", "request_finished"):
            listing.log(log)

    cloud.logs.listeners[:] = [show_change]
    cloud.invoke_async(event)
    cloud.platform.drain()
    _show_summary(out, cloud)
    out.print()


def _wait(out: Console, cloud: Cloud) -> int:
    """Run `redis-backup` as a pipeline would, and show what it prints; its exit status."""
    from redis_backup_cli.__main__ import main

    out.print(f"$ redis-backup {shlex.join(COMMAND)}", style="bold", markup=False)
    cloud.logs.listeners.clear()
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = _Printer(out)
    try:
        code = main(COMMAND, PipelineClock(cloud))
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    finally:
        sys.stdout, sys.stderr = stdout, stderr
    out.print(f"Exit status {code}: the deployment {'may start' if code == 0 else 'stops here'}.")
    _show_summary(out, cloud)
    return code


class _Printer:
    """Stands for standard output and standard error while the command runs: prints on the console."""

    encoding = "utf-8"

    def __init__(self, out: Console) -> None:
        self._out = out

    def write(self, text: str) -> int:
        self._out.print(text, end="", markup=False)
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is complete."""

    def isatty(self) -> bool:
        return False


def _title(out: Console, title: str, rest: str) -> None:
    out.print(f"{title} {rest}", style="bold")  # as a whole: two styles in a line leave no gap in the picture


def _show_summary(out: Console, cloud: Cloud) -> None:
    """Show the latest record of a request that is over, without what is the invocation's."""
    record = [record for record in cloud.logs.records if record["event"] == "request_finished"][-1]
    out.print("\nThe last record sums up what was asked and what came of it; its main fields:", style="dim")
    _print_json(out, {name: value for name, value in record.items() if name not in ("time", "level", "request_id")})


def _print_json(out: Console, value: Mapping[str, Any]) -> None:
    """Print an object as JSON, broken between its fields where it is too long for a line."""
    fields = [f"{json.dumps(name)}:{json.dumps(field, separators=(',', ':'))}" for name, field in value.items()]
    line = "{" + fields[0]
    for field in fields[1:]:
        if len(line) + len(field) + 2 > out.width:
            out.print(f"{line},", markup=False)
            line = f" {field}"
        else:
            line = f"{line},{field}"
    out.print(line + "}", markup=False)

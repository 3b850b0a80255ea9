"""`demo`: what the project is about, in a quarter of a minute."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from simulator.clock import ScaledClock
from simulator.cloud import Cloud
from simulator.commands import events
from simulator.fc.config import FunctionConfig
from simulator.fc.invocation import PROJECT, load_project
from simulator.kvstore.fleet import Fleet, Instance

SPEED = 60.0


@click.command(short_help="A timer's event, then a pipeline that waits for its backup.")
@click.option("--svg", type=click.Path(dir_okay=False, writable=True), help="Keep what is shown as a picture, too.")
def demo(svg: str | None) -> None:
    """Show a timer's event being backed up on a fleet of five, then a pipeline waiting for its backup.

    Time runs 60 times as fast. The same by hand: `run events/timer.json` (with the platform's retries), and
    `serve` with `redis-backup` beside it.
    """
    from simulator import console

    out = console.console(picture=bool(svg))
    load_project()  # before the clock starts, or a fast one makes much of the time that it takes
    payload = (PROJECT / "events" / "timer.json").read_bytes()
    out.print("[bold]1. A timer fires[/bold] for five instances: standard, two shards, cloud-native, one that is being")
    out.print("   created, and one that the role may not touch. Records as they reach the log store:\n")
    with _cloud(out, console, Fleet.load(), events.time_of(payload)) as cloud, cloud.platform.running():
        cloud.platform.invoke_async(payload)
        cloud.platform.wait_idle()
        rows = console.standings(cloud.logs.records)
    out.print("\n   Where each instance ended up:\n")
    out.print(console.table(rows))
    out.print("\n[bold]2. A pipeline waits[/bold] for the backup of what it is about to change (another cloud):\n")
    command = ["r-bp1zxszhcgatnx01", "--function", "redis-backup", "--region", "cn-hangzhou", "--wait", "10m"]
    out.print(f"   $ redis-backup {' '.join(command)}\n")
    fleet = Fleet([Instance("r-bp1zxszhcgatnx01", name="orders", duration=300)])
    with _cloud(None, console, fleet, None) as cloud, cloud.platform.running():
        environ = {**os.environ, **cloud.environ(), "PYTHONPATH": str(PROJECT)}
        arguments = [sys.executable, "-m", "redis_backup", *command]
        done = subprocess.run(arguments, env=environ, check=False, capture_output=bool(svg), text=True)  # noqa: S603
        out.print((done.stdout or "") + (done.stderr or ""), end="", highlight=False)
    out.print(
        f"\n   exit status {done.returncode}: the deployment may start." if not done.returncode else "\n   failed"
    )
    if svg:
        text = out.export_svg(title="make demo")
        Path(svg).write_text(re.sub(r"@font-face \{.*?\}\s*", "", text, flags=re.DOTALL), encoding="utf-8")
    if done.returncode or not rows:
        raise SystemExit(1)


def _cloud(out: Any, console: Any, fleet: Fleet, start: float | None) -> Cloud:
    function = FunctionConfig(max_async_retry_attempts=0)  # each retry would report the denied instance again
    cloud = Cloud(fleet, clock=ScaledClock(SPEED, start), function=function)
    if out:
        cloud.logs.listeners.append(
            lambda log: (text := console.line(log, verbose=False)) is not None and out.print(text)
        )
        cloud.platform.listeners.append(
            lambda invocation: (text := console.failure(invocation)) is not None and out.print(text)
        )
    return cloud

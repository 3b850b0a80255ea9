"""Benchmarks e and f, on a simulated clock: ten thousand instances, and a backup of ten minutes."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.result import Result
from simulator.cloud import Cloud
from simulator.fc.config import FunctionConfig
from simulator.kvstore.fleet import Fleet, Instance

MEMORY = 0.5  # GB of the function
BACKUP_SECONDS = 600
LATENCY = 0.05  # seconds of each API call


def shards(instances: int, log: Callable[[str], None]) -> list[Result]:
    """Measure one request for very many instances: the API calls and the time of its shards (e)."""
    log(f"{instances:,} instances in shards")
    settings = {"BACKUP_MAX_INSTANCES": str(instances), "BACKUP_FOLLOW_SECONDS": "0"}
    fleet = Fleet(Instance(f"r-bench{number:05d}", duration=7200.0) for number in range(instances))
    with Cloud(fleet, settings=settings) as cloud:
        began = time.monotonic()
        cloud.invoke({"instance_ids": [each.id for each in fleet]})
        cloud.platform.drain()
        seconds = time.monotonic() - began
        calls = [call for call in cloud.calls if call.operation != "InvokeFunction"]
        backups = [len(cloud.kvstore.instance(each.id).backups) for each in fleet]
        invocations = len(cloud.platform.invocations)
    if set(backups) != {1}:
        raise RuntimeError("not every instance has exactly one backup")
    each = len(calls) / instances
    what = f"{instances:,} instances in {invocations - 1} shards: API calls per instance (one backup each)"
    return [Result("e", what, f"{each:.3f}; {1000 * seconds / instances:.1f} ms of one process each", "3", each / 3)]


def follow(log: Callable[[str], None]) -> list[Result]:
    """Measure a backup of ten minutes: with follow-ups, and with waiting in one invocation (f)."""
    log("a backup of ten minutes")
    event: dict[str, object] = {"instance_ids": "r-bench"}
    followed, count, calls = _cost(event, {})
    waited, *_ = _cost({**event, "wait_seconds": 2 * BACKUP_SECONDS}, {"BACKUP_FOLLOW_SECONDS": "0"})
    what = f"following a backup of {BACKUP_SECONDS // 60} minutes: {count} invocations, {calls} API calls"
    value, reference = (f"{seconds * MEMORY:.2f} GB·s" for seconds in (followed, waited))
    return [Result("f", what, value, f"waiting in one invocation: {reference}", followed / waited)]


def _cost(event: dict[str, object], settings: dict[str, str]) -> tuple[float, int, int]:
    """Return the seconds of all invocations together, their number, and the number of their API calls."""
    fleet = Fleet([Instance("r-bench", duration=float(BACKUP_SECONDS))])
    function = FunctionConfig(timeout=3 * BACKUP_SECONDS)
    with Cloud(fleet, settings=settings, function=function, latency=LATENCY) as cloud:
        cloud.invoke(event)
        cloud.platform.drain()
        done = cloud.platform.invocations
        return sum(invocation.duration for invocation in done), len(done), len(cloud.calls)

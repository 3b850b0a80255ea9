"""(e) and (f): what takes minutes or ten thousand instances, on a simulated clock."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.measure import Measure
from simulator.cloud import Cloud
from simulator.fc.config import FunctionConfig
from simulator.kvstore.fleet import Fleet, Instance

MEMORY = 0.5  # GB that the function is given
BACKUP = 600  # seconds
LATENCY = 0.05


def shards(instances: int, say: Callable[[str], None]) -> list[Measure]:
    """One request for very many instances: into how many invocations it falls, and what those cost."""
    say(f"{instances:,} instances in shards")
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
    return [Measure("e", what, f"{each:.3f}; {1000 * seconds / instances:.1f} ms of one process each", "3", each / 3)]


def follow(say: Callable[[str], None]) -> list[Measure]:
    """A backup that runs for ten minutes: followed by invocations, or waited for in one."""
    say("following a backup of ten minutes")
    event = {"instance_ids": "r-bench"}
    followed, count, calls = _cost(event, {})
    waited, *_ = _cost({**event, "wait_seconds": 2 * BACKUP}, {"BACKUP_FOLLOW_SECONDS": "0"})
    what = f"following a backup of {BACKUP // 60} minutes: {count} invocations, {calls} API calls"
    value, reference = (f"{seconds * MEMORY:.2f} GB·s" for seconds in (followed, waited))
    return [Measure("f", what, value, f"waiting in one invocation: {reference}", followed / waited)]


def _cost(event: dict[str, object], settings: dict[str, str]) -> tuple[float, int, int]:
    """Seconds of all invocations together, how many there were, and their API calls."""
    fleet = Fleet([Instance("r-bench", duration=float(BACKUP))])
    function = FunctionConfig(timeout=3 * BACKUP)
    with Cloud(fleet, settings=settings, function=function, latency=LATENCY) as cloud:
        cloud.invoke(event)
        cloud.platform.drain()
        done = cloud.platform.invocations
        return sum(invocation.duration for invocation in done), len(done), len(cloud.calls)

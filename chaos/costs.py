"""The compute time that a long backup costs."""

from __future__ import annotations

from simulator.clock import SimulatedClock
from simulator.cloud import Cloud
from simulator.fc.config import FunctionConfig
from simulator.kvstore.fleet import Fleet, Instance


def cost_of_following() -> tuple[float, float]:
    """Return the seconds of compute time of a 10-minute backup, at 100 ms a call: with follow-ups, and with waiting."""
    costs = []
    for wait_seconds, settings in ((0, {}), (900, {"BACKUP_FOLLOW_SECONDS": "0"})):
        fleet = Fleet([Instance("r-tenminutes", duration=600.0)])
        function = FunctionConfig(timeout=1000)
        with Cloud(fleet, clock=SimulatedClock(grace=0), function=function, settings=settings, latency=0.1) as cloud:
            cloud.invoke_async({"instance_ids": "r-tenminutes", "wait_seconds": wait_seconds})
            cloud.platform.drain()
            costs.append(sum(invocation.duration for invocation in cloud.platform.invocations))
    return costs[0], costs[1]

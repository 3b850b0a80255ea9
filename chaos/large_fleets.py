"""Large fleets under a quota of API calls: every backup is started once, in about the time that the quota allows.

One timer's event starts them; its shards run side by side on an exact clock. Calls take no time, so that only the quota
delays them. Follow-ups are turned off, since only the starts are measured.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from chaos.events import rfc3339
from simulator.cloud import Cloud
from simulator.exact_clock import ExactClock
from simulator.fc.config import FunctionConfig
from simulator.fc.invocation import Handler
from simulator.kvstore.fleet import Fleet, Instance

CALLS = 3  # for each instance: two lists and CreateBackup
MAX_CALLS = 3.3
MAX_TIME = 1.2  # times CALLS * instances / quota
TIMEOUT = 600.0  # seconds


@dataclass(frozen=True)
class Quota:
    """A fleet, and how many calls a second R-KVStore allows for all of it."""

    instances: int
    calls_a_second: float
    shard_size: int = 1000
    timeout: float = TIMEOUT

    @property
    def ideal(self) -> float:
        """Return the seconds that all starts take when no call is wasted."""
        return CALLS * self.instances / self.calls_a_second

    @property
    def shards(self) -> int:
        """Return the number of invocations that the request is split into."""
        return -(-self.instances // self.shard_size)


QUOTAS = (Quota(600, 6), Quota(1000, 25), Quota(10_000, 100, shard_size=200))


@dataclass
class FleetResult:
    """The result for one fleet. `violations` is empty when every limit was kept."""

    quota: Quota
    seconds: float  # from the event to the last start
    calls: float  # answered, for each instance
    throttled: int
    invocations: int
    started: int
    twice: int
    violations: list[str] = field(default_factory=list)


def run_fleet(quota: Quota, *, handler: Handler | None = None, settings: dict[str, str] | None = None) -> FleetResult:
    """Back up the whole fleet with one timer's event. `handler`: replaces the project's function."""
    names = [f"r-fleet{number:05d}" for number in range(quota.instances)]
    clock = ExactClock()
    since = clock.time()
    event = {
        "triggerTime": rfc3339(since),
        "triggerName": "fleet",
        "payload": json.dumps({"instance_ids": names}),
    }
    with Cloud(
        Fleet(Instance(name, duration=7200.0) for name in names),
        clock=clock,
        function=FunctionConfig(timeout=quota.timeout),
        handler=handler,
        limits={"kvstore:*": quota.calls_a_second},
        settings={
            "BACKUP_FOLLOW_SECONDS": "0",
            "BACKUP_MAX_INSTANCES": str(quota.instances),
            "BACKUP_SHARD_SIZE": str(quota.shard_size),
            **(settings or {}),
        },
    ) as cloud:
        cloud.invoke_async(event)
        cloud.platform.drain(limit=20 + 20 * quota.shards)
        started = [[backup.start for backup in cloud.kvstore.instance(name).backups] for name in names]
        codes = Counter(call.code for call in cloud.calls if call.operation not in ("", "InvokeFunction"))
        invocations = len(cloud.platform.invocations)
    throttled = codes["Throttling.User"]
    result = FleetResult(
        quota=quota,
        seconds=max((starts[0] - since for starts in started if starts), default=0.0),
        calls=(codes.total() - throttled) / quota.instances,
        throttled=throttled,
        invocations=invocations,
        started=sum(bool(starts) for starts in started),
        twice=sum(len(starts) > 1 for starts in started),
    )
    _check(result)
    return result


def _check(result: FleetResult) -> None:
    quota, violations = result.quota, result.violations
    if result.started < quota.instances:
        violations.append(f"{quota.instances - result.started} instances were never started")
    if result.twice:
        violations.append(f"{result.twice} instances were started twice")
    if result.seconds > MAX_TIME * quota.ideal:
        violations.append(
            f"the last start came after {result.seconds:.0f} s, at most {MAX_TIME * quota.ideal:.0f} s are allowed"
        )
    if result.calls > MAX_CALLS:
        violations.append(f"{result.calls:.2f} answered calls for each instance, at most {MAX_CALLS} are allowed")

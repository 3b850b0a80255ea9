"""Large fleets under a quota of API calls: begun whole, none twice, in about the time that the quota allows.

One timer's event whose `since` is now; its shards run side by side on an exact clock. Calls take no time of their own,
so that the quota alone holds them up. Nothing is followed up: it is the starts that count here.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field

from chaos.events import moment
from simulator.cloud import Cloud
from simulator.exact_clock import ExactClock
from simulator.fc.config import FunctionConfig
from simulator.fc.invocation import Handler
from simulator.kvstore.fleet import Fleet, Instance

CALLS = 3  # an instance: two looks and CreateBackup
MOST_CALLS = 3.3
MOST_TIME = 1.2  # times CALLS * instances / quota
TIMEOUT = 600.0  # seconds


@dataclass(frozen=True)
class Quota:
    """A fleet, and how many calls a second R-KVStore serves to all of it."""

    instances: int
    calls_a_second: float
    shard_size: int = 1000
    timeout: float = TIMEOUT

    @property
    def ideal(self) -> float:
        """Seconds that all starts take where no call is wasted."""
        return CALLS * self.instances / self.calls_a_second

    @property
    def shards(self) -> int:
        return -(-self.instances // self.shard_size)


FLEETS = (Quota(600, 6), Quota(1000, 25), Quota(10_000, 100, shard_size=200))


@dataclass
class Outcome:
    """What came of one. `violations` is empty where all that was promised held."""

    quota: Quota
    seconds: float  # from the event to the last start
    calls: float  # served, an instance
    throttled: int
    invocations: int
    started: int
    twice: int
    real_seconds: float
    violations: list[str] = field(default_factory=list)


def run_fleet(quota: Quota, *, handler: Handler | None = None, settings: dict[str, str] | None = None) -> Outcome:
    """Have one timer's event back up the whole fleet."""
    names = [f"r-fleet{number:05d}" for number in range(quota.instances)]
    clock, began = ExactClock(), time.monotonic()
    since = clock.time()
    event = {
        "triggerTime": moment(since),
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
    outcome = Outcome(
        quota=quota,
        seconds=max((starts[0] - since for starts in started if starts), default=0.0),
        calls=(codes.total() - throttled) / quota.instances,
        throttled=throttled,
        invocations=invocations,
        started=sum(bool(starts) for starts in started),
        twice=sum(len(starts) > 1 for starts in started),
        real_seconds=time.monotonic() - began,
    )
    _check(outcome)
    return outcome


def _check(outcome: Outcome) -> None:
    quota, wrong = outcome.quota, outcome.violations
    if outcome.started < quota.instances:
        wrong.append(f"{quota.instances - outcome.started} instances were never started")
    if outcome.twice:
        wrong.append(f"{outcome.twice} instances were started twice")
    if outcome.seconds > MOST_TIME * quota.ideal:
        wrong.append(
            f"the last start came after {outcome.seconds:.0f} s, at most {MOST_TIME * quota.ideal:.0f} s are allowed"
        )
    if outcome.calls > MOST_CALLS:
        wrong.append(f"{outcome.calls:.2f} served calls an instance, at most {MOST_CALLS} are allowed")

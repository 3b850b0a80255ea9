"""What a round is like: all of it drawn from the round's seed, before anything runs.

Strict rounds keep to what the function promises to bear: no backup shorter than 15 s, no list that lags by more than
60 s, a time-out of 120 s or more. Rounds beyond do not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TypeVar

from chaos import fleet_of
from chaos.fleet_of import Colleague
from simulator.faults import ALL_KINDS, Faults
from simulator.fc.config import FunctionConfig
from simulator.kvstore.fleet import Instance
from simulator.kvstore.operations import Behaviour

T = TypeVar("T")
MAX_ATTEMPTS = 2
TRIGGERS = ("timer", "event", "batch", "manual", "http")


@dataclass(frozen=True)
class Plan:
    """One round. Times are in seconds after `since`, the moment of the trigger."""

    seed: int
    beyond: bool
    instances: tuple[Instance, ...]
    colleagues: tuple[Colleague, ...]  # backups that others make or have made
    trigger: str  # one of TRIGGERS
    tags: bool  # select by tags, not by ID
    dry_run: bool
    wait_seconds: int
    max_age_minutes: int
    polls: int  # how often a caller who waits asks again, with the last answer's jobs
    republished: bool  # each delivery bears an `aliyunpublishtime` of its own
    earlier: float  # how much earlier the first of a batch's two events was
    deliveries: tuple[float, ...]
    outages: tuple[tuple[float, float], ...]  # whatever runs is killed
    function: FunctionConfig
    behaviour: Behaviour
    settings: dict[str, str]
    limits: dict[str, float] | None
    latency: float
    api_clock_offset: float
    fc_clock_offset: float
    faults: dict[str, object]

    @property
    def follow_seconds(self) -> int:
        return int(self.settings["BACKUP_FOLLOW_SECONDS"])

    @property
    def shard_size(self) -> int:
        return int(self.settings["BACKUP_SHARD_SIZE"])

    @property
    def shards(self) -> int:
        """Into how many invocations the request falls."""
        return -(-len(self.instances) // self.shard_size)

    def make_faults(self) -> Faults:
        return Faults(seed=self.seed, **self.faults)  # type: ignore[arg-type]


def draw(seed: int, instances: int | None = None) -> Plan:
    """The plan of a seed. `instances`: at most so many."""
    chance = random.Random(f"chaos/{seed}")  # noqa: S311 replays, no secret
    beyond = chance.random() < 0.25
    follow = chance.choice((0, 10, 30, 60, 60, 60, 120))
    count = _count(chance)
    count = min(count, instances or count)
    brisk = follow in (10, 30) and count > 3  # long backups would make very many follow-ups
    fleet = tuple(fleet_of.instance(chance, number, beyond, brisk) for number in range(count))
    if chance.random() < 0.12:  # a calm one, where nothing but the function's own doing can go wrong
        fleet = tuple(replace(each, status="Normal", denied=False, outcomes=("success",)) for each in fleet)
    outages = _outages(chance)
    trigger = chance.choice(TRIGGERS)
    function = _function(chance, beyond)
    polled = trigger in ("manual", "http")
    settings = {
        "BACKUP_CONCURRENCY": "1",
        "BACKUP_FOLLOW_SECONDS": str(follow),
        "BACKUP_FOLLOW_HOURS": "2",
        "BACKUP_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
        "BACKUP_SHARD_SIZE": str(-(-count // chance.choice((2, 3))) if chance.random() < 0.25 else 200),
    }
    return Plan(
        seed=seed,
        beyond=beyond,
        instances=fleet,
        colleagues=fleet_of.colleagues(chance, count, beyond),
        trigger=trigger,
        tags=chance.random() < 0.15,
        dry_run=chance.random() < 0.03,
        wait_seconds=chance.choice((0, 0, 0, 75, 150)),
        max_age_minutes=5 if chance.random() < 0.1 else 0,
        polls=chance.choice((0, 2, 6) if function.async_task else (0, 1)) if polled else 0,
        republished=trigger in ("event", "batch") and chance.random() < 0.3,
        earlier=chance.choice((0.0, 0.0, chance.uniform(1, 90))) if trigger == "batch" else 0.0,
        deliveries=_deliveries(chance, fleet, outages),
        outages=outages,
        function=function,
        behaviour=_behaviour(chance),
        settings=settings,
        limits={"kvstore:*": float(chance.choice((2, 5, 10)))} if chance.random() < 0.1 else None,
        latency=chance.choice((0.05, 0.05, 0.2)),
        api_clock_offset=chance.choice((0.0, chance.uniform(-3, 3))),
        fc_clock_offset=chance.choice((0.0, chance.uniform(-3, 3))),
        faults=_faults(chance, function),
    )


def _count(chance: random.Random) -> int:
    low, high = chance.choices(((1, 1), (2, 3), (4, 6), (7, 12), (13, 20)), weights=(4, 8, 5, 2, 1))[0]
    return chance.randint(low, high)


def _outages(chance: random.Random) -> tuple[tuple[float, float], ...]:
    if chance.random() >= 0.18:
        return ()
    begin = chance.choice((0.0, chance.uniform(0, 200)))
    return ((begin, begin + chance.uniform(20, 500)),)


def _deliveries(
    chance: random.Random, fleet: tuple[Instance, ...], outages: tuple[tuple[float, float], ...]
) -> tuple[float, ...]:
    """When the event comes: soon as a rule, up to four times, and again after whatever was mended."""
    times = [chance.uniform(0.3, 6) if chance.random() < 0.93 else chance.uniform(16, 120)]
    spans = ((0, 15), (15, 130), (15, 300), (300, 3000))
    while len(times) < 4 and chance.random() < 0.5:
        times.append(chance.uniform(*chance.choice(spans)))
    mended = [end for _, end in outages] + [each.denied_until for each in fleet if each.denied and each.denied_until]
    if mended and chance.random() < 0.9:
        times.append(max(mended) + chance.uniform(5, 600))
    return tuple(sorted(times))


def _function(chance: random.Random, beyond: bool) -> FunctionConfig:
    timeouts: tuple[float | str, ...] = (120, "120", 200, 280, 600, *((60, 60, 60) if beyond else ()))
    return FunctionConfig(
        generation=chance.choice((2, 3)),
        timeout=chance.choice(timeouts),
        context_credentials=chance.random() < 0.7,
        async_task=chance.random() < 0.85,
        duplicate_status=chance.choice((409, 409, 400)),
        max_async_retry_attempts=chance.choice((3, 3, 1)),
        async_retry_delays=chance.choice(((1.0, 5.0, 20.0), (10.0, 60.0, 300.0), (1.0, 60.0, 60.0))),
    )


def _behaviour(chance: random.Random) -> Behaviour:
    return Behaviour(
        task_lag=chance.choice((0.0, 0.0, 1.0)),
        wrong_state_code=chance.choice(("IncorrectDBInstanceState", "OperationDenied.DBInstanceStatus")),
        cloud_native_tasks=chance.random() < 0.5,
        tair_only_if_asked=chance.random() < 0.5,
        refused_types=("Tair",) if chance.random() < 0.05 else (),
    )


def _faults(chance: random.Random, function: FunctionConfig) -> dict[str, object]:
    kills = chance.choice((0.0, 0.0, 0.05, 0.25, 0.4))
    return {
        "rate": chance.choice((0.0, 0.03, 0.1, 0.2, 0.4)),
        "kinds": ALL_KINDS,
        "kill_rate": kills,
        "max_kill_after": chance.choice((14, 60, 300)),
        "repeat_rate": chance.choice((0.0, 0.02, 0.2)) if function.async_task else 0.0,  # each would make a chain
        "early_rate": chance.choice((0.0, 0.0, 0.0, 0.2, 1.0)),
        "late_rate": chance.choice((0.0, 0.02)),
        "expire_rate": chance.choice((0.0, 0.0, 0.1)),
        "effect_rate": chance.choice((0.0, 0.5)),
    }

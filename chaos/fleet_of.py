"""A round's instances, and what others do to them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from simulator.kvstore.fleet import KINDS, Instance

LONGEST_LAG = 60.0  # seconds between a job's end and its entry
SHORTEST = 15.0  # seconds that a backup takes, in strict rounds


@dataclass(frozen=True)
class Colleague:
    """A backup that somebody else makes. `start` is in seconds after `since`."""

    instance: int  # which of the round's
    start: float
    duration: float
    outcome: str
    listing_lag: float
    mode: str = "Manual"


def instance(chance: random.Random, number: int, beyond: bool, brisk: bool) -> Instance:
    """One instance as the round wants it. `brisk`: no long backups."""
    kind = chance.choices(KINDS, weights=(5, 3, 1, 2))[0]
    waits = chance.random() < 0.08
    denied = chance.random() < 0.06
    outcomes = (
        ("success",),
        ("success",),
        ("failed", "success"),
        ("shard-failed", "success"),
        ("failed",),
        ("vanished", "success"),
    )
    return Instance(
        f"r-chaos{number:03d}",
        kind=kind,
        shards=chance.choice((2, 3)) if kind == "classic-cluster" else 1,
        type=chance.choice(("Redis", "Redis", "Tair")),
        tags={"round": "chaos"},
        status=chance.choice(("Creating", "Changing")) if waits else "Normal",
        normal_after=chance.uniform(5, 400) if waits else None,
        denied=denied,
        denied_until=chance.uniform(30, 600) if denied and chance.random() < 0.6 else None,
        durations=tuple(_duration(chance, beyond, brisk) for _ in range(4)),
        shard_lag=chance.choice((0.0, 0.0, 5.0, 40.0)) if kind == "classic-cluster" else 0.0,
        listing_lags=tuple(_lag(chance) for _ in range(4)),
        task_linger=chance.choice((30.0, 300.0, 1e9)) if chance.random() < 0.06 else 0.0,
        outcomes=chance.choices(outcomes, weights=(6, 6, 3, 2, 2, 0.4))[0],
        job_id_style=chance.choice(("text", "quoted") if kind == "classic-cluster" else ("text", "int")),
    )


def colleagues(chance: random.Random, count: int, beyond: bool) -> tuple[Colleague, ...]:
    """Older backups that run when the event comes, and manual ones around that time."""
    found = []
    for number in range(count):
        if chance.random() < 0.1:
            start, end = -chance.uniform(1, 300), chance.uniform(1, 240)
            mode = chance.choice(("Automated", "Manual"))
            found.append(Colleague(number, start, end - start, "success", _lag(chance), mode))
        if chance.random() < 0.12:
            near = (-3.0, -chance.uniform(2.1, 30), 0.0, chance.uniform(0, 3), chance.uniform(2.1, 60))
            far = (-chance.uniform(30, 200), chance.uniform(60, 400))
            start = chance.choice((*near, *far))
            outcome = chance.choice(("success", "success", "failed", "shard-failed"))
            duration = _duration(chance, beyond, brisk=False)
            found.append(Colleague(number, start, duration, outcome, _lag(chance)))
    return tuple(found)


def _duration(chance: random.Random, beyond: bool, brisk: bool) -> float:
    if beyond and chance.random() < 0.6:
        return chance.uniform(1, SHORTEST)
    spans = ((SHORTEST, 17.0), (16.0, 60.0), (60.0, 180.0), (180.0, 900.0))
    return chance.uniform(*chance.choice(spans[: 3 if brisk else 4]))


def _lag(chance: random.Random) -> float:
    return chance.choice((0.0, chance.uniform(0, 5), chance.uniform(0, LONGEST_LAG), LONGEST_LAG))

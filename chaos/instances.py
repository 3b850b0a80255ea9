"""Draws a round's instances, and the backups that others make of them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from simulator.kvstore.fleet import KINDS, Instance

MAX_LAG = 60.0  # seconds between a job's end and its entry in a list
MIN_DURATION = 15.0  # seconds that a backup takes, in rounds within the limits


@dataclass(frozen=True)
class OtherBackup:
    """A backup that somebody else, or the automatic policy, makes. `start` is in seconds after `since`."""

    instance: int  # its place in the round's fleet
    start: float
    duration: float
    outcome: str
    listing_lag: float
    mode: str = "Manual"


def draw_instance(rng: random.Random, number: int, outside_limits: bool, only_short: bool) -> Instance:
    """Return a random instance. `outside_limits`: with backups of 1 to 15 s. `only_short`: without long backups."""
    kind = rng.choices(KINDS, weights=(5, 3, 1, 2))[0]
    waits = rng.random() < 0.08
    denied = rng.random() < 0.06
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
        shards=rng.choice((2, 3)) if kind == "classic-cluster" else 1,
        type=rng.choice(("Redis", "Redis", "Tair")),
        tags={"round": "chaos"},
        status=rng.choice(("Creating", "Changing")) if waits else "Normal",
        normal_after=rng.uniform(5, 400) if waits else None,
        denied=denied,
        denied_until=rng.uniform(30, 600) if denied and rng.random() < 0.6 else None,
        durations=tuple(_duration(rng, outside_limits, only_short) for _ in range(4)),
        shard_lag=rng.choice((0.0, 0.0, 5.0, 40.0)) if kind == "classic-cluster" else 0.0,
        listing_lags=tuple(_lag(rng) for _ in range(4)),
        task_linger=rng.choice((30.0, 300.0, 1e9)) if rng.random() < 0.06 else 0.0,
        outcomes=rng.choices(outcomes, weights=(6, 6, 3, 2, 2, 0.4))[0],
        job_id_style=rng.choice(("text", "quoted") if kind == "classic-cluster" else ("text", "int")),
    )


def draw_other_backups(rng: random.Random, count: int, outside_limits: bool) -> tuple[OtherBackup, ...]:
    """Return random backups of others: older ones that run when the event comes, and manual ones near that time."""
    backups = []
    for number in range(count):
        if rng.random() < 0.1:
            start, end = -rng.uniform(1, 300), rng.uniform(1, 240)
            mode = rng.choice(("Automated", "Manual"))
            backups.append(OtherBackup(number, start, end - start, "success", _lag(rng), mode))
        if rng.random() < 0.12:
            near = (-3.0, -rng.uniform(2.1, 30), 0.0, rng.uniform(0, 3), rng.uniform(2.1, 60))
            far = (-rng.uniform(30, 200), rng.uniform(60, 400))
            start = rng.choice((*near, *far))
            outcome = rng.choice(("success", "success", "failed", "shard-failed"))
            duration = _duration(rng, outside_limits, only_short=False)
            backups.append(OtherBackup(number, start, duration, outcome, _lag(rng)))
    return tuple(backups)


def _duration(rng: random.Random, outside_limits: bool, only_short: bool) -> float:
    if outside_limits and rng.random() < 0.6:
        return rng.uniform(1, MIN_DURATION)
    spans = ((MIN_DURATION, 17.0), (16.0, 60.0), (60.0, 180.0), (180.0, 900.0))
    return rng.uniform(*rng.choice(spans[: 3 if only_short else 4]))


def _lag(rng: random.Random) -> float:
    return rng.choice((0.0, rng.uniform(0, 5), rng.uniform(0, MAX_LAG), MAX_LAG))

"""Draws what a round's request asks to be proved of backups, and what happens to their files and to the store."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from simulator.downloads.files import File
from simulator.kvstore.fleet import Instance

STORE = "oss://chaos-backups/redis"
LEVELS = ("none", "quick", "full", "copy")  # each shows more than the one before it
MAX_GIVEN_UP = 3  # instances in a round whose files are unreachable until the request is given up
LARGE_BYTES = 20 * 1024 * 1024  # three parts

Span = tuple[float, float]


@dataclass(frozen=True)
class ProofPlan:
    """What is asked for, and what goes wrong. Times are in seconds after `since`.

    `level`: one of `LEVELS`; `other_level`: of the first of a batch's two events; `bucket`: "", versioned or worm;
    `store_denied`: when RAM denies everything in the store; `unreachable`: when files cannot be downloaded, and `how`:
    timeout or refused; `address_uses`, `address_lifetime`: after what an address expires.
    """

    level: str = "none"
    other_level: str = "none"
    bucket: str = ""
    store_denied: Span | None = None
    unreachable: Span | None = None
    how: str = "timeout"
    address_uses: int | None = None
    address_lifetime: float = 3600.0
    other_files: tuple[File, ...] = ()  # of the backups that others make, in their order

    @property
    def is_given_up(self) -> bool:
        """Return whether the files stay unreachable until the request is given up."""
        return self.unreachable is not None and self.unreachable[1] == math.inf

    def level_of(self, number: int, trigger: str, first: range, second: range) -> str:
        """Return what is asked of an instance, given its number and those that each of a batch's events names."""
        if trigger != "batch":
            return self.level
        asked = [self.other_level] * (number in first) + [self.level] * (number in second)
        return max(asked, key=LEVELS.index)


def fields_of(level: str) -> dict[str, object]:
    """Return a request's fields for a level: full → `{"verify": "full"}`."""
    if level == "copy":
        return {"copy": True}
    return {} if level == "none" else {"verify": level}


def draw_proof(
    seed: int, instances: tuple[Instance, ...], others: int
) -> tuple[ProofPlan | None, tuple[Instance, ...]]:
    """Return what one round in two asks for, and its instances with their files.

    Drawn apart, so that all else is as in rounds without it. `others`: how many backups others make.
    """
    rng = random.Random(f"chaos/proofs/{seed}")  # noqa: S311 replays, no secret
    if rng.random() < 0.5:
        return None, instances
    damage = rng.choice((0.0, 0.15, 0.5))
    plan = ProofPlan(
        level=rng.choices(LEVELS[1:], weights=(2, 4, 4))[0],
        other_level=rng.choice(LEVELS),
        bucket=rng.choices(("", "versioned", "worm"), weights=(8, 1, 1))[0],
        store_denied=_span(rng, 0.12),
        unreachable=_span(rng, 0.15),
        how=rng.choice(("timeout", "refused")),
        address_uses=rng.choice((None, None, None, 1, 2, 5)),
        address_lifetime=rng.choice((3600.0, 3600.0, 30.0, 5.0, 1.0)),
        other_files=tuple(_file(rng, damage, large=False) for _ in range(others)),
    )
    if rng.random() < 0.2 and len(instances) <= MAX_GIVEN_UP:
        plan = replace(plan, unreachable=(rng.uniform(0, 100), math.inf))
    has_large = rng.random() < 0.08
    return plan, tuple(
        replace(each, files=_files(rng, each, damage, large=has_large and number == 0))
        for number, each in enumerate(instances)
    )


def _span(rng: random.Random, share: float) -> Span | None:
    begin = rng.choice((0.0, rng.uniform(0, 300)))
    return (begin, begin + rng.uniform(20, 900)) if rng.random() < share else None


def _files(rng: random.Random, instance: Instance, damage: float, *, large: bool) -> tuple[tuple[File, ...], ...]:
    """Return the files of an instance's first, second, and all later backups: one for each node."""
    nodes = max(1, instance.shards, rng.choice((1, 2, 3)) if instance.kind == "cloud-native" else 1)
    return tuple(tuple(_file(rng, damage, large=large and node == 0) for node in range(nodes)) for _ in range(3))


def _file(rng: random.Random, damage: float, *, large: bool) -> File:
    sizes = (None, None, 2_000, 40_000)
    file = File(size=LARGE_BYTES if large else rng.choice(sizes), version=rng.choice((9, 10, 11)))
    if rng.random() < 0.15:
        others = (
            replace(file, checksum=False),
            replace(file, empty=True, size=None),
            replace(file, encrypted=True),
            replace(file, version=4),
        )
        file = rng.choice(others)
    if rng.random() >= damage:
        return file
    if rng.random() < 0.4:
        return replace(file, cut=rng.choice((1, 8, 9, 100, 10_000_000)))
    return replace(file, flip=rng.choice((0, 6, -1, -8, -9, rng.randrange(9, 60), -rng.randrange(10, 60))))

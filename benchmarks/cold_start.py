"""(a) The cold path: from the start of the process to the first signed CreateBackup at the server, over TLS."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.cloud_process import CloudProcess, cloud_process
from benchmarks.environment import Environment, UnavailableError, part_of_a_core
from benchmarks.measure import Measure

PARTS = 0.1  # of a core; what a function of 128 MB or so is given


def measure(environment: Environment, rounds: int, say: Callable[[str], None]) -> list[Measure]:
    """Measure at a full core, and at a part of one where that can be had."""
    measures = []
    with cloud_process(instances=1000, tls=environment.certificate) as cloud:
        numbers = itertools.count()
        say(f"cold path, {rounds} rounds")
        measures += _measure(environment, cloud, rounds, numbers, "full core", None)
        try:
            with part_of_a_core(PARTS) as group:
                say(f"cold path at {PARTS} core, 3 rounds")
                measures += _measure(environment, cloud, 3, numbers, f"{PARTS} core", group)
        except UnavailableError as lack:
            say(f"not measured: {lack}")
    return measures


def _measure(
    environment: Environment,
    cloud: CloudProcess,
    rounds: int,
    numbers: itertools.count[int],
    where: str,
    group: Path | None,
) -> list[Measure]:
    """Each round runs all three, so that what else the machine does strikes all alike; the median round counts."""
    ways = {"plain": ("plain_sdk.py", environment.plain), "function": ("function.py", environment.package)}
    ways["hand"] = ("by_hand.py", environment.package)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (script, path) in ways.items():
            number = next(numbers)
            instance = [str(1), str(number)] if way == "function" else [f"r-bench{number:05d}"]
            cloud.calls()
            began = time.time()
            environment.run(script, path, *instance, environ=cloud.environ, group=group)
            arrived = [moment for moment, operation in cloud.calls() if operation == "CreateBackup"]
            seconds[way].append(arrived[0] - began)

    def compared(way: str, what: str, target: float | None) -> Measure:
        share = median(one / plain for one, plain in zip(seconds[way], seconds["plain"], strict=True))
        value, reference = (f"{1000 * median(seconds[each]):,.0f} ms" for each in (way, "plain"))
        return Measure("a", f"{what}, {where}", value, f"plain SDK: {reference}", share, target)

    return [
        compared("function", "cold start to CreateBackup", 0.5),
        compared("hand", "the floor: signed by hand, standard library alone", None),
    ]

"""(a) The cold path: from the start of the process to the first signed CreateBackup at the server, over TLS."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from simulator.bench.measure import Measure
from simulator.bench.served import Served, served
from simulator.bench.setting import Setting, UnavailableError, part_of_a_core

PARTS = 0.1  # of a core; what a function of 128 MB or so is given


def measure(setting: Setting, rounds: int, say: Callable[[str], None]) -> list[Measure]:
    """Measure at a full core, and at a part of one where that can be had."""
    measures = []
    with served(instances=1000, tls=setting.certificate) as cloud:
        numbers = itertools.count()
        say(f"cold path, {rounds} rounds")
        measures += _measure(setting, cloud, rounds, numbers, "full core", None)
        try:
            with part_of_a_core(PARTS) as group:
                say(f"cold path at {PARTS} core, 3 rounds")
                measures += _measure(setting, cloud, 3, numbers, f"{PARTS} core", group)
        except UnavailableError as lack:
            say(f"not measured: {lack}")
    return measures


def _measure(
    setting: Setting, cloud: Served, rounds: int, numbers: itertools.count[int], where: str, group: Path | None
) -> list[Measure]:
    """Each round runs all three, so that what else the machine does strikes all alike; the median round counts."""
    ways = {"plain": ("plain_sdk.py", setting.plain), "function": ("function.py", setting.package)}
    ways["hand"] = ("by_hand.py", setting.package)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (script, path) in ways.items():
            number = next(numbers)
            instance = [str(1), str(number)] if way == "function" else [f"r-bench{number:05d}"]
            cloud.calls()
            began = time.time()
            setting.run(script, path, *instance, environ=cloud.environ, group=group)
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

"""Benchmark a, the cold start: from the start of the process to the arrival of CreateBackup, over TLS."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.cloud_process import CloudProcess, cloud_process
from benchmarks.environment import Environment, UnavailableError, cpu_limit
from benchmarks.result import Result

CPU_SHARE = 0.1  # of a core; about what a function with 128 MB gets


def measure(environment: Environment, rounds: int, log: Callable[[str], None]) -> list[Result]:
    """Measure with a full core, and with a tenth of one where this machine can limit that."""
    results = []
    with cloud_process(instances=1000, tls=environment.certificate) as cloud:
        numbers = itertools.count()
        log(f"cold start, {rounds} rounds")
        results += _measure(environment, cloud, rounds, numbers, "full core", None)
        try:
            with cpu_limit(CPU_SHARE) as group:
                log(f"cold start with {CPU_SHARE} core, 3 rounds")
                results += _measure(environment, cloud, 3, numbers, f"{CPU_SHARE} core", group)
        except UnavailableError as error:
            log(f"not measured: {error}")
    return results


def _measure(
    environment: Environment,
    cloud: CloudProcess,
    rounds: int,
    numbers: itertools.count[int],
    where: str,
    group: Path | None,
) -> list[Result]:
    """Run all three programs in each round, so that other load on the machine affects all of them. Use the medians."""
    programs = {
        "plain SDK": ("plain_sdk.py", environment.plain),
        "function": ("function.py", environment.package),
        "standard library": ("standard_library.py", environment.package),
    }
    seconds: dict[str, list[float]] = {program: [] for program in programs}
    for _ in range(rounds):
        for program, (script, path) in programs.items():
            number = next(numbers)
            instance = f"r-bench{number:05d}"
            argument = json.dumps({"instance_ids": instance}) if program == "function" else instance
            cloud.calls()
            began = time.time()
            environment.run(script, path, argument, environ=cloud.environ, group=group)
            arrived = [call.time for call in cloud.calls() if call.operation == "CreateBackup"]
            seconds[program].append(arrived[0] - began)

    def compare(program: str, what: str, target: float | None) -> Result:
        share = median(one / plain for one, plain in zip(seconds[program], seconds["plain SDK"], strict=True))
        value, reference = (f"{1000 * median(seconds[each]):,.0f} ms" for each in (program, "plain SDK"))
        return Result("a", f"{what}, {where}", value, f"plain SDK: {reference}", share, target)

    return [
        compare("function", "cold start to CreateBackup", 0.5),
        compare("standard library", "the minimum: CreateBackup with the standard library only", None),
    ]

"""Benchmarks b, c and d: time, API calls and memory for a thousand instances, over HTTP and over TLS."""

from __future__ import annotations

import json
from collections.abc import Callable
from statistics import median

from benchmarks.cloud_process import cloud_process
from benchmarks.environment import Environment
from benchmarks.result import Result

INSTANCES = 1000
LATENCY = 0.05  # seconds that an API call takes
CONCURRENCY = 32
ENVIRON = {
    "BACKUP_CONCURRENCY": str(CONCURRENCY),
    "BACKUP_SHARD_SIZE": str(INSTANCES),
    "BACKUP_FOLLOW_SECONDS": "0",
}


def measure(environment: Environment, rounds: int, log: Callable[[str], None]) -> list[Result]:
    """Measure the package's handler in its own process, with the cloud in another."""
    results, memory, calls = [], 0.0, 0
    for scheme, tls in (("HTTP", None), ("HTTPS", environment.certificate)):
        seconds = []
        for number in range(rounds):
            log(f"{INSTANCES} instances over {scheme}, round {number + 1} of {rounds}")
            with cloud_process(instances=INSTANCES, latency=LATENCY, tls=tls) as cloud:
                environ = {**cloud.environ, **ENVIRON}
                result = json.loads(
                    environment.run("function.py", environment.package, _event(INSTANCES), environ=environ)
                )
                calls = len(cloud.calls())
            if result["counts"] != {"running": INSTANCES}:
                raise RuntimeError(f"not every instance has its backup: {result['counts']}")
            seconds.append(result["seconds"])
            memory = max(memory, result["memory"])
        ideal = calls * LATENCY / CONCURRENCY
        share = median(seconds) / ideal
        what = f"{INSTANCES:,} instances, {1000 * LATENCY:.0f} ms a call, {CONCURRENCY} at a time, {scheme}"
        results.append(Result("b", what, f"{median(seconds):.2f} s", f"ideal: {ideal:.2f} s", share, 1.15))
    each = calls / INSTANCES
    least = "3: two lists and CreateBackup (at most 3.05)"
    results.append(Result("c", "API calls per instance", f"{each:.3f}", least, each / 3, 3.05 / 3))
    with cloud_process(instances=1, tls=environment.certificate) as cloud:
        alone = json.loads(environment.run("function.py", environment.package, _event(1), environ=cloud.environ))[
            "memory"
        ]
    for count, most in ((1, alone), (INSTANCES, memory)):
        what = f"peak memory, {count:,} instance{'s' if count > 1 else ''}"
        results.append(Result("d", what, f"{most / 1e6:.0f} MB", "100 MB", most / 1e8, 1.0))
    return results


def _event(instances: int) -> str:
    return json.dumps({"instance_ids": [f"r-bench{number:05d}" for number in range(instances)]})

"""Benchmarks h to m: reading and copying the files of backups, against reading them with the plain HTTP library."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.cloud_process import cloud_process
from benchmarks.environment import Environment
from benchmarks.result import Result
from simulator.cloud import Cloud
from simulator.kvstore.fleet import Fleet, Instance

FILE_SIZE = 2_000_000_000  # bytes
PACE = 50e6  # bytes a second of each connection
PACED_SIZE = 1_000_000_000  # bytes of a file that is read at this pace, in rounds of its own
PACED_ROUNDS = 3
SLOW_PACE = 12.5e6  # bytes a second of each connection, where the simulator must not be what limits
CHAIN_SIZE = 6_000_000_000  # bytes of a file that is read by several invocations
CHAIN_SECONDS = 30.0  # after which an invocation ends
MEMORY = 150e6  # bytes
REPEATED = 100  # instances
INSTANCE = "r-bench00000"
ENVIRON = {"BACKUP_FOLLOW_SECONDS": "0"}  # the first invocation reads
EVENT = {"instance_ids": INSTANCE, "max_age_minutes": 60}
FULL, COPY = {**EVENT, "verify": "full"}, {**EVENT, "copy": True}
ALL_READERS, ONE_READER = "", "1"


@dataclass(frozen=True)
class Run:
    """One run. `seconds`: from the first request for the file to the receipt, or to the last byte. `memory`: bytes."""

    seconds: float
    memory: int = 0


def measure(environment: Environment, rounds: int, only: str, log: Callable[[str], None]) -> list[Result]:
    """Measure the letters of `only` that are here."""
    results = []
    if "h" in only:
        log(f"the start with and without verify, {rounds} rounds")
        results.append(_start(environment, rounds))
    if "i" in only:
        results += _full(environment, rounds, log)
    if "j" in only:
        results += _copy(environment, log)
    if "k" in only:
        log("a file that several invocations read")
        results += _chains(environment)
    if "l" in only:
        log("memory")
        results += _memory(environment)
    if "m" in only:
        log("repeats")
        results += _repeats()
    return results


def _start(environment: Environment, rounds: int) -> Result:
    """Measure the CPU time of a request, without `verify`, and with `full` when it finds its receipt (h)."""
    seconds: dict[str, list[float]] = {"none": [], "full": []}
    with cloud_process(file_size=200_000) as cloud:
        _invoke(environment, cloud.environ, FULL)  # writes the receipt
        for _ in range(rounds):
            for level in seconds:
                result = _invoke(environment, cloud.environ, {**EVENT, "verify": level})
                if bool(result["proof"]) != (level == "full"):
                    raise RuntimeError(f"verify: {level} imports {result['proof']}")
                seconds[level].append(result["cpu"])
    share = median(full / none for full, none in zip(seconds["full"], seconds["none"], strict=True))
    full, none = (1000 * median(seconds[level]) for level in ("full", "none"))
    reference = f"without `verify`, nothing of the store is imported: {none:.0f} ms"
    return Result(
        "h", "CPU time of a request with `verify: full` that finds its receipt", f"{full:.0f} ms", reference, share
    )


def _full(environment: Environment, rounds: int, log: Callable[[str], None]) -> list[Result]:
    """Measure the speed of `full` (i)."""
    log(f"reading {FILE_SIZE / 1e9:.0f} GB, {rounds} rounds")
    plain, one = _rounds(rounds, lambda: _plain(environment), lambda: _read(environment, FULL, readers=ONE_READER))
    log(f"reading {PACED_SIZE / 1e9:.0f} GB at {PACE / 1e6:.0f} MB/s a connection, {PACED_ROUNDS} rounds")
    paced_plain, paced_one, paced_all = _rounds(
        PACED_ROUNDS,
        lambda: _plain(environment, PACED_SIZE, PACE),
        lambda: _read(environment, FULL, PACED_SIZE, PACE, ONE_READER),
        lambda: _read(environment, FULL, PACED_SIZE, PACE),
    )
    pace = f"{PACE / 1e6:.0f} MB/s a connection"
    return [
        _compare("i", "time of `full`, one reader", one, "plain HTTP", plain, FILE_SIZE, 1.25),
        _compare("i", f"time of `full`, one reader, {pace}", paced_one, "plain HTTP", paced_plain, PACED_SIZE, 1.25),
        _compare("i", f"time of `full`, {pace}", paced_all, "plain HTTP", paced_plain, PACED_SIZE, 0.5),
    ]


def _copy(environment: Environment, log: Callable[[str], None]) -> list[Result]:
    """Measure the speed of `copy` (j)."""
    pace = f"{SLOW_PACE / 1e6:.1f} MB/s a connection"
    log(f"copying {PACED_SIZE / 1e9:.0f} GB at {pace}, {PACED_ROUNDS} rounds")
    full, copy = _rounds(
        PACED_ROUNDS,
        lambda: _read(environment, FULL, PACED_SIZE, SLOW_PACE),
        lambda: _read(environment, COPY, PACED_SIZE, SLOW_PACE),
    )
    return [_compare("j", f"time of `copy`, {pace}", copy, "`full`", full, PACED_SIZE, 2.0)]


def _rounds(rounds: int, *programs: Callable[[], Run]) -> list[list[Run]]:
    """Run all programs in each round, so that other load on the machine affects all of them."""
    runs = [[program() for program in programs] for _ in range(rounds)]
    return [list(each) for each in zip(*runs, strict=True)]


def _compare(
    letter: str, what: str, runs: list[Run], than: str, references: list[Run], size: int, target: float
) -> Result:
    share = median(run.seconds / reference.seconds for run, reference in zip(runs, references, strict=True))
    value, reference = (f"{size / 1e6 / median(run.seconds for run in each):,.0f} MB/s" for each in (runs, references))
    return Result(letter, what, value, f"{than}: {reference}", share, target)


def _chains(environment: Environment) -> list[Result]:
    """Measure the bytes that are read for each byte of a file which many invocations read, one after the other (k)."""
    stop_early = CHAIN_SECONDS / 0.85 + 3.0  # it ends its work before its time-out
    with ThreadPoolExecutor(2) as pool:
        stopped = pool.submit(_chain, environment, timeout=stop_early)
        killed = pool.submit(_chain, environment, timeout=600.0, kill_after=CHAIN_SECONDS)
    return [
        Result(
            "k",
            f"bytes read of each, {how}: {each.result()[1]} invocations",
            f"{each.result()[0]:.3f}",
            "1",
            each.result()[0],
            most,
        )
        for how, each, most in (
            (f"time-out after {stop_early:.0f} s", stopped, 1.1),
            (f"killed after {CHAIN_SECONDS:.0f} s", killed, 1.5),
        )
    ]


def _chain(environment: Environment, **limits: float) -> tuple[float, int]:
    """Return the bytes read for each byte of the file, and the number of invocations that read some."""
    command = environment.command("function.py", environment.package)
    with cloud_process(file_size=CHAIN_SIZE, pace=SLOW_PACE, command=command, **limits) as cloud:
        calls = cloud.calls(FULL)
    reads = [call for call in calls if call.operation == "Download"]
    return sum(call.bytes_sent for call in reads) / CHAIN_SIZE, len({call.caller for call in reads})


def _memory(environment: Environment) -> list[Result]:
    """Measure the largest resident memory for a large file (l)."""
    results = []
    for event, what in ((FULL, "full"), (COPY, "copy")):
        memory = _read(environment, event).memory
        name = f"peak memory of `{what}`, a file of {FILE_SIZE / 1e9:.0f} GB"
        results.append(Result("l", name, f"{memory / 1e6:.0f} MB", f"{MEMORY / 1e6:.0f} MB", memory / MEMORY, 1.0))
    return results


def _repeats() -> list[Result]:
    """Count the calls of a repeated request, which finds its receipts (m)."""
    results = []
    for event, what, most in ((FULL, "full", 4), (COPY, "copy", 5)):
        fleet = Fleet(Instance(f"r-bench{number:05d}") for number in range(REPEATED))
        request = {**event, "instance_ids": [each.id for each in fleet]}
        with Cloud(fleet, settings={"BACKUP_STORE": "oss://bench/redis"}) as cloud:
            cloud.invoke_async(request)
            cloud.platform.drain()
            repeat = cloud.invoke(request)
            if repeat.result["counts"] != {"succeeded": REPEATED}:
                raise RuntimeError(f"not every instance has its receipt: {repeat.result['counts']}")
            each = len(cloud.calls_of(repeat)) / REPEATED
        name = f"API calls per instance of a repeat that finds the receipt of `{what}`"
        results.append(Result("m", name, f"{each:.2f}", f"{most}", each / most, 1.0))
    return results


def _plain(environment: Environment, size: int = FILE_SIZE, pace: float | None = None) -> Run:
    """Read the file with the plain HTTP library."""
    with cloud_process(file_size=size, pace=pace) as cloud:
        result = json.loads(environment.run("plain_http.py", environment.plain, INSTANCE, environ=cloud.environ))
    if result["bytes"] != size:
        raise RuntimeError(f"{result['bytes']} bytes were read, not {size}")
    return Run(result["seconds"])


def _read(
    environment: Environment,
    event: Mapping[str, object],
    size: int = FILE_SIZE,
    pace: float | None = None,
    readers: str = ALL_READERS,
) -> Run:
    """Read (and copy) the file with the function."""
    with cloud_process(file_size=size, pace=pace) as cloud:
        result = _invoke(environment, cloud.environ, event, readers)
        calls = cloud.calls()
    began = min(call.time for call in calls if call.operation == "Download")
    receipt = max(call.time for call in calls if call.operation == "PutObject")
    return Run(receipt - began, result["memory"])


def _invoke(
    environment: Environment, environ: Mapping[str, str], event: Mapping[str, object], readers: str = ""
) -> Any:
    environ = {**environ, **ENVIRON}
    output = environment.run("function.py", environment.package, json.dumps(event), "600", readers, environ=environ)
    result = json.loads(output)
    if result["counts"] != {"succeeded": 1}:
        raise RuntimeError(f"the backup was not read: {result['counts']}")
    return result

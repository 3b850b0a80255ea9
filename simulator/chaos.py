"""Chaos: random fleets, events, faults, kills and repeats, and what must hold all the same.

Everything is drawn from the round's seed and one thread works at a time, so a failing seed replays exactly.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from simulator.clock import DEFAULT_START, SimulatedClock
from simulator.cloud import Cloud
from simulator.faults import Faults
from simulator.fc.config import FunctionConfig
from simulator.fc.invocation import Invocation
from simulator.kvstore.backups import Backup
from simulator.kvstore.fleet import Fleet, Instance
from simulator.kvstore.operations import Behaviour

MAX_ATTEMPTS = 2
SECRETS = ("SECRETKEY", "SECRETTOKEN", "SECRETURLSIGNATURE", "SECRETDIAGNOSTIC", "STS.", "Signature=")
FINAL = ("backup_succeeded", "backup_failed")


@dataclass
class Round:
    """What one round came to. `violations` is empty where all invariants held."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def run_round(seed: int, *, instances: int = 20, kill_rate: float = 0.3) -> Round:
    """One round: a fleet, an event delivered up to three times, and whatever follows, until nothing is left to do."""
    chance = random.Random(f"chaos/{seed}")  # noqa: S311 replays, no secret
    fleet = Fleet(_vary(instance, chance) for instance in Fleet.generate(instances, seed))
    behaviour = Behaviour(
        listing_lag=chance.choice((0.0, 5.0, 20.0, 60.0)),
        task_lag=chance.choice((0.0, 0.0, 1.0)),
        wrong_state_code=chance.choice(("IncorrectDBInstanceState", "OperationDenied.DBInstanceStatus")),
        cloud_native_tasks=chance.random() < 0.5,
        tair_only_if_asked=chance.random() < 0.5,
    )
    faults = Faults(
        chance.uniform(0.2, 0.4), seed, kill_rate=kill_rate, repeat_rate=0.2, early_rate=0.2, max_kill_after=120
    )
    function = FunctionConfig(
        generation=chance.choice((2, 3)),
        timeout=chance.choice((60, "120", 600)),
        context_credentials=chance.random() < 0.7,
    )
    clock = SimulatedClock(DEFAULT_START + chance.random(), seed=seed, grace=0)
    follow = chance.choice((60, 60, 120)) if behaviour.listing_lag > 20 else chance.choice((30, 60))
    settings = {"BACKUP_CONCURRENCY": "1", "BACKUP_FOLLOW_SECONDS": str(follow)}
    result = Round(seed)
    with Cloud(
        fleet, clock=clock, function=function, settings=settings, faults=faults, behaviour=behaviour, latency=0.05
    ) as cloud:
        since = clock.time()
        for state in cloud.kvstore.instances:
            if chance.random() < 0.1:
                state.add_backup(since - 100, since + chance.choice((20, 200)), mode="Automated")
        event = _event(chance, [instance.id for instance in fleet], since)
        for delivery in range(chance.choice((1, 1, 2, 3))):
            cloud.invoke_async(event, delay=delivery * chance.choice((0, 1, 30, 200)))
        cloud.platform.drain(limit=3000)
        _check(cloud, result, since, behaviour.listing_lag)
    return result


def _vary(instance: Instance, chance: random.Random) -> Instance:
    creating = chance.random() < 0.1
    return replace(
        instance,
        status="Creating" if creating else "Normal",
        normal_after=float(chance.randint(10, 400)) if creating else None,
        type=chance.choice(("Redis", "Tair")),
        denied=chance.random() < 0.05,
        duration=float(chance.choice((20, 45, 70, 300, 600))),
        shard_lag=float(chance.choice((0, 0, 5, 40))) if instance.kind == "classic-cluster" else 0.0,
        outcomes=chance.choice(
            (("success",), ("success",), ("failed", "success"), ("shard-failed", "success"), ("failed",))
        ),
        job_id_style=chance.choice(("text", "quoted"))
        if instance.kind == "classic-cluster"
        else chance.choice(("text", "int")),
    )


def _event(chance: random.Random, ids: list[str], since: float) -> dict[str, Any] | list[Any]:
    moment = datetime.fromtimestamp(since, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    request = {"instance_ids": ids, "reason": "chaos"}

    def cloud_event(number: int, data: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"chaos-{number}",
            "source": "chaos",
            "specversion": "1.0",
            "type": "chaos:Deploy",
            "time": moment,
            "data": data,
        }

    shape = chance.choice(("timer", "event", "batch", "manual"))
    if shape == "timer":
        return {"triggerTime": moment, "triggerName": "chaos", "payload": json.dumps(request)}
    if shape == "event":
        return cloud_event(1, request)
    if shape == "batch":
        half = len(ids) // 2 + 2  # some are named twice
        batch = [
            cloud_event(1, {**request, "instance_ids": ids[:half]}),
            cloud_event(2, {**request, "instance_ids": ids[half - 4 :]}),
        ]
        return [json.dumps(item) for item in batch] if chance.random() < 0.5 else batch
    return {**request, "since": moment}


def _check(cloud: Cloud, result: Round, since: float, lag: float) -> None:
    platform, counts, wrong = cloud.platform, result.counts, result.violations
    records: dict[str, list[dict[str, Any]]] = {}
    for invocation in platform.invocations:
        for record in invocation.records:
            records.setdefault(record.get("instance_id", ""), []).append(record)
        counts["killed"] += invocation.killed
        if invocation.timed_out:
            wrong.append(f"{invocation.request_id} did not end before its time-out")
    given_up = bool(platform.queue.dead_letters) and any(
        letter.attempt >= cloud.function.max_async_retry_attempts for letter in platform.queue.dead_letters
    )
    killed_out = {
        letter.request_id
        for letter in platform.queue.dead_letters
        if [each for each in platform.invocations if each.request_id == letter.request_id][-1].killed
    }
    counts["invocations"] += len(platform.invocations)
    counts["calls"] += sum(1 for call in cloud.calls if call.operation)  # and not those of a dead invocation
    counts["faults"] += sum(1 for call in cloud.calls if call.fault)
    counts["dead letters"] += len(platform.queue.dead_letters)
    counts["compute seconds"] += int(sum(invocation.duration for invocation in platform.invocations))
    for state in cloud.kvstore.instances:
        config, own = state.config, records.get(state.config.id, [])
        made = [backup for backup in state.backups if backup.mode == "Manual"]
        counts["instances"] += 1
        counts["backups"] += len(made)
        in_gap = 0
        for before, after in itertools.pairwise(made):
            if before.succeeded or after.start < before.end or len(made) > MAX_ATTEMPTS:
                if _in_gap(before, after.start, lag) and not _knew(cloud, config.id, before, after.start):
                    in_gap += 1  # a repeat of the first event cannot know better
                elif before.succeeded or after.start < before.end:
                    wrong.append(f"{config.id} ({config.kind}): {before.job_ids} and {after.job_ids} for one request")
        if len(made) > MAX_ATTEMPTS + in_gap:
            wrong.append(f"{config.id} ({config.kind}): {len(made)} backups, at most {MAX_ATTEMPTS} are to be tried")
        counts["repeats in the listing's gap"] += in_gap
        recorded = {job_id for record in own for job_id in record.get("job_ids", "").split(",")}
        for backup in made:
            missing = [job_id for job_id in backup.job_ids if job_id not in recorded]
            if missing and not killed_out and not in_gap:
                if config.kind == "cloud-native":
                    counts["IDs lost with an answer (cloud-native)"] += 1
                else:
                    wrong.append(f"{config.id}: job IDs {missing} are in no record")
        loose = in_gap or config.kind == "cloud-native"  # whose listing has no job IDs
        finals = {
            (record["event"], record.get("error_code"), None if loose else record.get("job_ids"))
            for record in own
            if record["event"] in FINAL
        }
        counts["final records"] += len(finals)
        if len(finals) > 1:
            wrong.append(f"{config.id}: final records differ: {sorted(map(str, finals))}")
        if not finals:
            if killed_out:
                counts["unfinished (killed until the retries were used up)"] += 1
            else:
                wrong.append(
                    f"{config.id} ({config.kind}, {config.outcomes}): no final record (dead letters: {given_up})"
                )
        elif ("backup_succeeded" in {final[0] for final in finals}) != any(
            backup.succeeded and int(backup.start) >= int(since) for backup in state.backups
        ):
            wrong.append(f"{config.id}: the records say {sorted(map(str, finals))}, its backups differ")
    for invocation in platform.invocations:
        text = invocation.everything()
        wrong.extend(f"{invocation.request_id} let out a secret: {mark}…" for mark in SECRETS if mark in text)


def _in_gap(before: Backup, moment: float, lag: float) -> bool:
    """Whether, at that moment, a part of the backup had ended and was not listed yet."""
    return any(part.end <= moment < part.end + lag + 1 for part in before.parts)


def _knew(cloud: Cloud, instance: str, before: Backup, moment: float) -> bool:
    """Whether the invocation that started another backup at that moment knew the job IDs of the one before."""
    calls = [call for call in cloud.calls if (call.operation, call.instance) == ("CreateBackup", instance)]
    maker = max((call for call in calls if call.time <= moment), key=lambda call: call.number)
    invocation = next(each for each in cloud.platform.invocations if each.access_key_id == maker.access_key_id)
    told = invocation.event.decode(errors="replace")
    return any(f'"{job_id}"' in told for job_id in before.job_ids) or _reported(invocation, before, moment)


def _reported(invocation: Invocation, before: Backup, moment: float) -> bool:
    """Whether it had recorded one of the backup's job IDs by then."""
    then = datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="milliseconds")
    return any(
        set(record.get("job_ids", "").split(",")) & set(before.job_ids) and record["time"] < then
        for record in invocation.records
    )


def cost_of_following() -> tuple[float, float]:
    """Seconds of compute time that a 10-minute backup takes, at 100 ms a call: followed up, and waited for inside."""
    costs = []
    for wait_seconds, settings in ((0, {}), (900, {"BACKUP_FOLLOW_SECONDS": "0"})):
        fleet = Fleet([Instance("r-tenminutes", duration=600.0)])
        function = FunctionConfig(timeout=1000)
        with Cloud(fleet, clock=SimulatedClock(grace=0), function=function, settings=settings, latency=0.1) as cloud:
            cloud.invoke_async({"instance_ids": "r-tenminutes", "wait_seconds": wait_seconds})
            cloud.platform.drain()
            costs.append(sum(invocation.duration for invocation in cloud.platform.invocations))
    return costs[0], costs[1]

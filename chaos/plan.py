"""Draws the plan of a round from its seed, before anything runs.

Rounds within the limits keep to the conditions of the guarantee in docs/architecture.md: no backup is shorter than
15 s, no list lags by more than 60 s, and the time-out is at least 120 s. Rounds outside the limits do not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from chaos.instances import OtherBackup, draw_instance, draw_other_backups
from chaos.proofs import STORE, ProofPlan, draw_proof
from simulator.faults import ALL_KINDS, Faults
from simulator.fc.config import FunctionConfig
from simulator.kvstore.behaviour import Behaviour
from simulator.kvstore.fleet import Instance

MAX_ATTEMPTS = 2
TRIGGERS = ("timer", "event", "batch", "manual", "http")


@dataclass(frozen=True)
class Plan:
    """One round. Times are in seconds after `since`, the trigger's time."""

    seed: int
    outside_limits: bool
    instances: tuple[Instance, ...]
    other_backups: tuple[OtherBackup, ...]  # that others make
    trigger: str  # one of TRIGGERS
    tags: bool  # select by tags, not by ID
    dry_run: bool
    wait_seconds: int
    max_age_minutes: int
    polls: int  # how often a caller who waits for the answer sends the request again, with the answer's `jobs`
    republished: bool  # each delivery has an `aliyunpublishtime` of its own
    first_event_lead: float  # how much earlier the first of a batch's two events happened
    deliveries: tuple[float, ...]
    checks: tuple[float, ...]  # when the function is asked to check itself
    outages: tuple[tuple[float, float], ...]  # (begin, end); what runs then is killed
    function: FunctionConfig
    behaviour: Behaviour
    settings: dict[str, str]
    limits: dict[str, float] | None
    latency: float
    api_clock_offset: float
    fc_clock_offset: float
    faults: dict[str, Any]  # arguments of `Faults`
    proof: ProofPlan | None = None  # what is asked to be proved of backups

    @property
    def halves(self) -> tuple[range, range]:
        """Return which instances each of a batch's two events names. Both may name the same."""
        count = len(self.instances)
        return range(count // 2 + 1), range(count) if count < 3 else range(count // 2, count)

    def level_of(self, number: int) -> str:
        """Return what is asked to be proved of an instance's backup: one of `chaos.proofs.LEVELS`."""
        return self.proof.level_of(number, self.trigger, *self.halves) if self.proof else "none"

    @property
    def follow_seconds(self) -> int:
        """Return the setting BACKUP_FOLLOW_SECONDS."""
        return int(self.settings["BACKUP_FOLLOW_SECONDS"])

    @property
    def shard_size(self) -> int:
        """Return the setting BACKUP_SHARD_SIZE."""
        return int(self.settings["BACKUP_SHARD_SIZE"])

    @property
    def shards(self) -> int:
        """Return the number of invocations that the request is split into."""
        return -(-len(self.instances) // self.shard_size)

    def make_faults(self) -> Faults:
        """Return new faults, drawn from the round's seed."""
        return Faults(seed=self.seed, **self.faults)


def draw_plan(seed: int, instances: int | None = None) -> Plan:
    """Return the plan of a seed, with at most `instances` instances."""
    rng = random.Random(f"chaos/{seed}")  # noqa: S311 replays, no secret
    outside_limits = rng.random() < 0.25
    follow = rng.choice((0, 10, 30, 60, 60, 60, 120))
    count = _count(rng)
    count = min(count, instances or count)
    only_short = follow in (10, 30) and count > 3  # long backups would have very many follow-ups
    fleet = tuple(draw_instance(rng, number, outside_limits, only_short) for number in range(count))
    if rng.random() < 0.12:  # no instance and no backup fails
        fleet = tuple(replace(each, status="Normal", denied=False, outcomes=("success",)) for each in fleet)
    outages = _outages(rng)
    trigger = rng.choice(TRIGGERS)
    function = _function(rng, outside_limits)
    polled = trigger in ("manual", "http")
    settings = {
        "BACKUP_CONCURRENCY": "1",
        "BACKUP_FOLLOW_SECONDS": str(follow),
        "BACKUP_FOLLOW_HOURS": "2",
        "BACKUP_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
        "BACKUP_SHARD_SIZE": str(-(-count // rng.choice((2, 3))) if rng.random() < 0.25 else 200),
    }
    others = draw_other_backups(rng, count, outside_limits)
    proof, fleet = draw_proof(seed, fleet, len(others))
    settings |= {"BACKUP_STORE": STORE} if proof else {}
    if proof and proof.is_given_up:  # not after too many invocations
        settings |= {"BACKUP_FOLLOW_HOURS": "1", "BACKUP_FOLLOW_SECONDS": str(follow and max(60, follow))}
    return Plan(
        seed=seed,
        outside_limits=outside_limits,
        proof=proof,
        instances=fleet,
        other_backups=others,
        trigger=trigger,
        tags=rng.random() < 0.15,
        dry_run=rng.random() < 0.03,
        wait_seconds=rng.choice((0, 0, 0, 75, 150)),
        max_age_minutes=5 if rng.random() < 0.1 else 0,
        polls=rng.choice((0, 2, 6) if function.async_task else (0, 1)) if polled else 0,
        republished=trigger in ("event", "batch") and rng.random() < 0.3,
        first_event_lead=rng.choice((0.0, 0.0, rng.uniform(1, 90))) if trigger == "batch" else 0.0,
        deliveries=_deliveries(rng, fleet, outages),
        checks=_checks(seed),
        outages=outages,
        function=function,
        behaviour=_behaviour(rng, proof),
        settings=settings,
        limits={"kvstore:*": float(rng.choice((2, 5, 10)))} if rng.random() < 0.1 else None,
        latency=rng.choice((0.05, 0.05, 0.2)),
        api_clock_offset=rng.choice((0.0, rng.uniform(-3, 3))),
        fc_clock_offset=rng.choice((0.0, rng.uniform(-3, 3))),
        faults=_faults(rng, function),
    )


def _count(rng: random.Random) -> int:
    low, high = rng.choices(((1, 1), (2, 3), (4, 6), (7, 12), (13, 20)), weights=(4, 8, 5, 2, 1))[0]
    return rng.randint(low, high)


def _outages(rng: random.Random) -> tuple[tuple[float, float], ...]:
    if rng.random() >= 0.18:
        return ()
    begin = rng.choice((0.0, rng.uniform(0, 200)))
    return ((begin, begin + rng.uniform(20, 500)),)


def _deliveries(
    rng: random.Random, fleet: tuple[Instance, ...], outages: tuple[tuple[float, float], ...]
) -> tuple[float, ...]:
    """Return when the event comes: usually soon, up to four times, and again after an outage or a denial has ended."""
    times = [rng.uniform(0.3, 6) if rng.random() < 0.93 else rng.uniform(16, 120)]
    spans = ((0, 15), (15, 130), (15, 300), (300, 3000))
    while len(times) < 4 and rng.random() < 0.5:
        times.append(rng.uniform(*rng.choice(spans)))
    ends = [end for _, end in outages] + [each.denied_until for each in fleet if each.denied and each.denied_until]
    if ends and rng.random() < 0.9:
        times.append(max(ends) + rng.uniform(5, 600))
    return tuple(sorted(times))


def _checks(seed: int) -> tuple[float, ...]:
    """Return when checks come, in one round of four. Drawn apart, so that all else is as in rounds without them."""
    rng = random.Random(f"chaos/checks/{seed}")  # noqa: S311 replays, no secret
    return tuple(rng.uniform(0, 400) for _ in range(rng.choice((0, 0, 0, 0, 0, 0, 1, 3))))


def _function(rng: random.Random, outside_limits: bool) -> FunctionConfig:
    timeouts: tuple[float | str, ...] = (120, "120", 200, 280, 600, *((60, 60, 60) if outside_limits else ()))
    return FunctionConfig(
        generation=rng.choice((2, 3)),
        timeout=rng.choice(timeouts),
        context_credentials=rng.random() < 0.7,
        async_task=rng.random() < 0.85,
        duplicate_status=rng.choice((409, 409, 400)),
        max_async_retry_attempts=rng.choice((3, 3, 1)),
        async_retry_delays=rng.choice(((1.0, 5.0, 20.0), (10.0, 60.0, 300.0), (1.0, 60.0, 60.0))),
    )


def _behaviour(rng: random.Random, proof: ProofPlan | None) -> Behaviour:
    addresses = (proof.address_uses, proof.address_lifetime) if proof else (None, 3600.0)
    return Behaviour(
        address_uses=addresses[0],
        address_lifetime=addresses[1],
        task_lag=rng.choice((0.0, 0.0, 1.0)),
        wrong_state_code=rng.choice(("IncorrectDBInstanceState", "OperationDenied.DBInstanceStatus")),
        cloud_native_tasks=rng.random() < 0.5,
        tair_only_if_asked=rng.random() < 0.5,
        refused_types=("Tair",) if rng.random() < 0.05 else (),
    )


def _faults(rng: random.Random, function: FunctionConfig) -> dict[str, Any]:
    kills = rng.choice((0.0, 0.0, 0.05, 0.25, 0.4))
    return {
        "rate": rng.choice((0.0, 0.03, 0.1, 0.2, 0.4)),
        "kinds": ALL_KINDS,
        "kill_rate": kills,
        "max_kill_after": rng.choice((14, 60, 300)),
        "repeat_rate": rng.choice((0.0, 0.02, 0.2))
        if function.async_task
        else 0.0,  # each would have follow-ups of its own
        "early_rate": rng.choice((0.0, 0.0, 0.0, 0.2, 1.0)),
        "late_rate": rng.choice((0.0, 0.02)),
        "expire_rate": rng.choice((0.0, 0.0, 0.1)),
        "effect_rate": rng.choice((0.0, 0.5)),
    }

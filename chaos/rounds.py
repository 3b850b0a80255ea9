"""Runs a round, and checks it."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from chaos import events, invariants
from chaos.history import History
from chaos.plan import Plan, draw_plan
from chaos.proofs import STORE, ProofPlan
from simulator import ram
from simulator.clock import DEFAULT_START
from simulator.cloud import Cloud
from simulator.exact_clock import ExactClock
from simulator.fc.invocation import Handler
from simulator.fc.state import Invocation
from simulator.gateway import Call
from simulator.kvstore.fleet import Fleet

MAX_DELIVERIES = 1000  # a round with more is taken as endless


@dataclass
class Round:
    """The result of one round. `violations` is empty when every invariant holds."""

    seed: int
    outside_limits: bool
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)  # each begins with its kind and a colon

    @property
    def kinds(self) -> set[str]:
        """Return the kinds of violations, such as `double`."""
        return {violation.partition(":")[0] for violation in self.violations}


def run_round(seed: int, *, instances: int | None = None, handler: Handler | None = None) -> Round:
    """Draw a round's plan and run it. `instances`: at most so many. `handler`: replaces the project's function."""
    return run_plan(draw_plan(seed, instances), handler)


def run_plan(plan: Plan, handler: Handler | None = None) -> Round:
    """Deliver the plan's events and all that follows from them, then check the invariants."""
    result = Round(plan.seed, plan.outside_limits)
    clock = ExactClock(DEFAULT_START + plan.seed % 1000 / 1000, seed=plan.seed)
    since = clock.time()
    with Cloud(
        Fleet(plan.instances),
        clock=clock,
        function=plan.function,
        handler=handler,
        settings=plan.settings,
        faults=plan.make_faults(),
        behaviour=plan.behaviour,
        limits=plan.limits,
        latency=plan.latency,
        api_clock_offset=plan.api_clock_offset,
        fc_clock_offset=plan.fc_clock_offset,
    ) as cloud:
        cloud.platform.outages.extend((since + begin, since + end) for begin, end in plan.outages)
        _add_other_backups(cloud, plan, since)
        if plan.proof:
            _disturb(cloud, plan.proof, since)
        caller = Caller(cloud, plan, since)
        for delay in plan.deliveries:
            caller.deliver(delay)
        for delay in plan.checks:
            cloud.invoke_async(events.check_event(plan), delay=delay, punctual=True)
        try:
            cloud.platform.drain(limit=MAX_DELIVERIES)
        except RuntimeError as error:
            if plan.function.async_task:
                result.violations.append(f"endless: {error}")
            else:  # then lost answers and retries multiply follow-ups: a documented limit
                result.counts["ended early: task IDs not honoured, too many follow-ups"] += 1
            return result
        invariants.check(History(cloud, plan, since, caller.request_ids), result.counts, result.violations)
    return result


class Caller:
    """Sends the event: as a trigger, or as a caller who waits for the answer, then sends the answer's `jobs` along."""

    def __init__(self, cloud: Cloud, plan: Plan, since: float) -> None:
        """Prepare the caller. `since`: the trigger's time."""
        self.request_ids: set[str] = set()  # of all that was sent
        self._cloud, self._plan, self._since = cloud, plan, since
        self._waits = plan.trigger == "http" or (plan.trigger == "manual" and plan.seed % 2 == 0)
        self._polls: dict[str, int] = {}  # how many are left, by request ID of the last one
        cloud.platform.listeners.append(self._poll_again)

    def deliver(self, delay: float) -> None:
        """Send the event `delay` seconds from now."""
        event = events.build_event(self._plan, self._since, self._since + delay)
        self._send(event, delay, self._plan.polls)

    def _send(self, event: Any, delay: float, polls: int) -> None:
        request_id = self._cloud.invoke_async(event, delay=delay, once=self._waits, punctual=True)
        self.request_ids.add(request_id)
        self._polls[request_id] = polls

    def _poll_again(self, invocation: Invocation) -> None:
        polls = self._polls.get(invocation.request_id, 0)
        report = read_report(invocation)
        if not self._waits or polls <= 0 or report is None or report.get("done") or report.get("shards"):
            return
        request = json.loads(invocation.event)
        request = json.loads(request["body"]) if "body" in request else request
        event = events.manual_event(self._plan, {**request, "jobs": report.get("jobs", {})}, self._since)
        self._send(event, 20.0 + polls, polls - 1)


def read_report(invocation: Invocation) -> dict[str, Any] | None:
    """Return the report in an invocation's answer; None when there is none."""
    result = invocation.result
    if invocation.failed or not isinstance(result, dict):
        return None
    if "statusCode" in result:
        try:
            result = json.loads(result.get("body", ""))
        except ValueError:
            return None
    return result if isinstance(result, dict) and "counts" in result else None


def _disturb(cloud: Cloud, proof: ProofPlan, since: float) -> None:
    """Deny the store, and make files unreachable, for as long as the plan says: it is looked at after each call."""
    cloud.store.versioned, cloud.store.worm = proof.bucket == "versioned", proof.bucket == "worm"
    policy, behaviour = cloud.policy, cloud.kvstore.behaviour
    bucket = STORE.split("/")[2]
    resources = [f"acs:oss:*:*:{bucket}", f"acs:oss:*:*:{bucket}/*"]
    denied = {
        **policy,
        "Statement": [*policy["Statement"], *ram.allow(["oss:*"], resources, effect="Deny")["Statement"]],
    }
    unreachable = replace(behaviour, unreachable={"intranet": proof.how})

    def change(_: Call | None = None) -> None:
        now = cloud.clock.time() - since
        cloud.policy = denied if _is_within(now, proof.store_denied) else policy
        cloud.kvstore.behaviour = unreachable if _is_within(now, proof.unreachable) else behaviour

    change()
    cloud.gateway.listeners.append(change)


def _is_within(moment: float, span: tuple[float, float] | None) -> bool:
    return span is not None and span[0] <= moment < span[1]


def _add_other_backups(cloud: Cloud, plan: Plan, since: float) -> None:
    files = plan.proof.other_files if plan.proof else (None,) * len(plan.other_backups)
    for each, file in zip(plan.other_backups, files, strict=True):
        state = cloud.kvstore.instance(plan.instances[each.instance].id)
        start = since + each.start
        if each.start > 0:
            state.create_later(
                start, duration=each.duration, outcome=each.outcome, listing_lag=each.listing_lag, file=file
            )
        elif all(not (b.start < start + each.duration and start < b.end) for b in state.backups if b.end < math.inf):
            state.add_backup(
                start, start + each.duration, each.outcome, each.mode, listing_lag=each.listing_lag, file=file
            )

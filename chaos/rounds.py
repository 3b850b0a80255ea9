"""Runs a round, and has it checked."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from chaos import check, events
from chaos.plan import Plan, draw
from chaos.story import Story
from simulator.clock import DEFAULT_START
from simulator.cloud import Cloud
from simulator.exact_clock import ExactClock
from simulator.fc.invocation import Handler, Invocation
from simulator.kvstore.fleet import Fleet

MOST_DELIVERIES = 1000  # after which a round is taken for endless


@dataclass
class Round:
    """What one round came to. `violations` is empty where all that was promised held."""

    seed: int
    beyond: bool
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)  # each begins with its kind and a colon

    @property
    def kinds(self) -> set[str]:
        """What sorts of violations there are."""
        return {violation.partition(":")[0] for violation in self.violations}


def run_round(seed: int, *, instances: int | None = None, handler: Handler | None = None) -> Round:
    """Draw a round's plan and run it. `instances`: at most so many; `handler`: instead of the project's function."""
    return run_plan(draw(seed, instances), handler)


def run_plan(plan: Plan, handler: Handler | None = None) -> Round:
    """Deliver what the plan says and whatever follows, until nothing is left to do; then check."""
    result = Round(plan.seed, plan.beyond)
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
        _others_backups(cloud, plan, since)
        caller = Caller(cloud, plan, since)
        for delay in plan.deliveries:
            caller.deliver(delay)
        try:
            cloud.platform.drain(limit=MOST_DELIVERIES)
        except RuntimeError as error:
            if plan.function.async_task:
                result.violations.append(f"endless: {error}")
            else:  # then lost answers and retries multiply follow-ups, which the contract allows
                result.counts["cut off: task IDs not honoured, too many follow-ups"] += 1
            return result
        check.check(Story(cloud, plan, since, caller.sent), result.counts, result.violations)
    return result


class Caller:
    """Whoever sends the event: a trigger, or somebody who waits for the answer and asks again with its `jobs`."""

    def __init__(self, cloud: Cloud, plan: Plan, since: float) -> None:
        self.sent: set[str] = set()  # request IDs
        self._cloud, self._plan, self._since = cloud, plan, since
        self._asks = plan.trigger == "http" or (plan.trigger == "manual" and plan.seed % 2 == 0)
        self._polls: dict[str, int] = {}  # how many are left, by request ID
        cloud.platform.listeners.append(self._answered)

    def deliver(self, delay: float) -> None:
        """Have the event delivered `delay` seconds from now."""
        event = events.build(self._plan, self._since, self._since + delay)
        self._send(event, delay, self._plan.polls)

    def _send(self, event: Any, delay: float, polls: int) -> None:
        request_id = self._cloud.invoke_async(event, delay=delay, once=self._asks, punctual=True)
        self.sent.add(request_id)
        self._polls[request_id] = polls

    def _answered(self, invocation: Invocation) -> None:
        polls = self._polls.get(invocation.request_id, 0)
        report = answer(invocation)
        if not self._asks or polls <= 0 or report is None or report.get("done") or report.get("shards"):
            return
        request = json.loads(invocation.event)
        request = json.loads(request["body"]) if "body" in request else request
        event = events.asked(self._plan, {**request, "jobs": report.get("jobs", {})}, self._since)
        self._send(event, 20.0 + polls, polls - 1)


def answer(invocation: Invocation) -> dict[str, Any] | None:
    """The report that an invocation answered; None where there is none."""
    result = invocation.result
    if invocation.failed or not isinstance(result, dict):
        return None
    if "statusCode" in result:
        try:
            result = json.loads(result.get("body", ""))
        except ValueError:
            return None
    return result if isinstance(result, dict) and "counts" in result else None


def _others_backups(cloud: Cloud, plan: Plan, since: float) -> None:
    for each in plan.colleagues:
        state = cloud.kvstore.instance(plan.instances[each.instance].id)
        start = since + each.start
        if each.start > 0:
            state.create_later(start, duration=each.duration, outcome=each.outcome, listing_lag=each.listing_lag)
        elif all(not (b.start < start + each.duration and start < b.end) for b in state.backups if b.end < math.inf):
            state.add_backup(start, start + each.duration, each.outcome, each.mode, listing_lag=each.listing_lag)

"""Invariants under everything at once: rounds of chaos, and a state machine that Hypothesis drives."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator import Behaviour, Cloud, Fault, Faults, Fleet, Instance, SimulatedClock
from simulator.chaos import SECRETS, cost_of_following, run_round
from simulator.faults import KINDS


@pytest.mark.parametrize("seed", range(4))
def test_a_round_of_chaos_breaks_nothing(seed: int) -> None:
    assert run_round(seed).violations == []


def test_a_round_replays_exactly() -> None:
    assert run_round(3, instances=8).counts == run_round(3, instances=8).counts


def test_following_costs_a_fiftieth_of_waiting_at_most() -> None:
    following, waiting = cost_of_following()
    assert following < waiting / 50


class Ensured(RuleBasedStateMachine):
    """One event delivered at any time and any number of times, by workers that race, while everything fails."""

    @initialize(
        outcomes=st.lists(st.sampled_from([("success",), ("failed", "success"), ("failed",)]), min_size=3, max_size=3),
        kinds=st.permutations(["standard", "classic-cluster", "cloud-native"]),
        rate=st.sampled_from([0.0, 0.3]),
        seed=st.integers(0, 1000),
        workers=st.sampled_from(["1", "3"]),
    )
    def start(self, outcomes: list[tuple[str, ...]], kinds: list[str], rate: float, seed: int, workers: str) -> None:
        fleet = Fleet(
            Instance(
                f"r-{number}", kind=kind, shards=2 if kind == "classic-cluster" else 1, duration=45, outcomes=outcome
            )
            for number, (kind, outcome) in enumerate(zip(kinds, outcomes, strict=True))
        )
        self.cloud = Cloud(
            fleet,
            clock=SimulatedClock(grace=0 if workers == "1" else 0.001),
            settings={"BACKUP_CONCURRENCY": workers},
            faults=Faults(rate, seed),
            behaviour=Behaviour(),  # no lag: the one limit has a test of its own
            latency=0.05,
        )
        self.cloud.__enter__()

    def teardown(self) -> None:
        if hasattr(self, "cloud"):
            self.cloud.__exit__(None, None, None)

    @rule(delay=st.sampled_from([0, 1, 40, 100]))
    def deliver(self, delay: float) -> None:
        payload = json.dumps({"instance_ids": "r-0 r-1 r-2"})
        event = {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "t", "payload": payload}
        self.cloud.invoke_async(event, delay=delay)

    @rule(kill_after=st.none() | st.integers(1, 40))
    def run_one(self, kill_after: int | None) -> None:
        if len(self.cloud.platform.queue):
            self.cloud.platform.plan_kills([kill_after])
            self.cloud.platform.run_due()

    @rule(operation=st.sampled_from(["CreateBackup", "DescribeBackups", "InvokeFunction"]), kind=st.sampled_from(KINDS))
    def break_one(self, operation: str, kind: str) -> None:
        self.cloud.faults.plan(operation, [Fault(kind, after=not kind.startswith("throttle"))])

    @rule(seconds=st.sampled_from([1, 30, 60]))
    def let_time_pass(self, seconds: float) -> None:
        self.cloud.clock.advance(seconds)

    @rule()
    def finish(self) -> None:
        self.cloud.platform.drain(500)
        if any(not each.killed for each in self.cloud.platform.invocations):
            finals = defaultdict(set)
            for record in self.cloud.logs.records:
                if record.get("event") in ("backup_succeeded", "backup_failed"):
                    finals[record["instance_id"]].add((record["event"], record.get("error_code")))
            assert {name: len(found) for name, found in finals.items()} == {"r-0": 1, "r-1": 1, "r-2": 1}

    @invariant()
    def at_most_one_backup_that_did_not_fail(self) -> None:
        for state in self.cloud.kvstore.instances if hasattr(self, "cloud") else ():
            assert len(state.backups) <= 2
            assert all(not backup.succeeded for backup in state.backups[:-1])

    @invariant()
    def no_secret_is_out_and_no_time_out_was_hit(self) -> None:
        for invocation in self.cloud.platform.invocations if hasattr(self, "cloud") else ():
            assert not invocation.timed_out
            assert not [mark for mark in SECRETS if mark in invocation.everything()]


TestEnsured = Ensured.TestCase
TestEnsured.settings = settings(max_examples=10, stateful_step_count=12, deadline=None)

"""Invariants under everything at once: rounds of chaos, fleets under a quota, and a state machine of Hypothesis's."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chaos import SECRETS, Plan, cost_of_following, draw_plan, rounds, run_plan, run_round
from chaos.large_fleets import MAX_CALLS, Quota, run_fleet
from chaos.plan import TRIGGERS
from chaos.proofs import STORE, ProofPlan
from redis_backup.handle import handle
from simulator import Behaviour, Cloud, Fault, Faults, Fleet, FunctionConfig, Instance, SimulatedClock
from simulator.downloads.files import File
from simulator.faults import KINDS, ODD_ANSWERS, REDIRECTS
from simulator.server import Request

WITHIN_LIMITS = [seed for seed in range(20) if not draw_plan(seed).outside_limits]


@pytest.mark.parametrize("seed", WITHIN_LIMITS[:6])
def test_a_round_of_chaos_breaks_nothing(seed: int) -> None:
    assert run_round(seed).violations == []


def test_a_round_replays_exactly() -> None:
    plans = (draw_plan(seed, instances=3) for seed in range(100))
    plan = next(plan for plan in plans if len(plan.deliveries) > 2 and plan.faults["rate"] and plan.faults["kill_rate"])
    first, second = run_plan(plan), run_plan(plan)
    assert (first.counts, first.violations) == (second.counts, second.violations)


def test_following_costs_a_fiftieth_of_waiting_at_most() -> None:
    following, waiting = cost_of_following()
    assert following < waiting / 50


@pytest.mark.parametrize("quota", [Quota(60, 6), Quota(600, 6), Quota(1000, 25)], ids=lambda quota: quota.instances)
def test_a_fleet_under_a_quota_is_started_whole_and_in_time(quota: Quota) -> None:
    assert run_fleet(quota).violations == []


def test_shards_share_a_quota() -> None:
    outcome = run_fleet(Quota(400, 40, shard_size=40))
    assert (outcome.started, outcome.twice, outcome.invocations) == (400, 0, 11)
    assert outcome.calls <= MAX_CALLS


def test_plans_reach_all_that_can_go_wrong() -> None:
    plans = [draw_plan(seed) for seed in range(500)]
    assert {plan.trigger for plan in plans} == set(TRIGGERS)
    assert {plan.follow_seconds for plan in plans} == {0, 10, 30, 60, 120}
    assert {plan.function.timeout for plan in plans if not plan.outside_limits} == {120, "120", 200, 280, 600}
    within_limits = [each for plan in plans if not plan.outside_limits for each in plan.instances]
    assert min(min(each.durations) for each in within_limits) >= 15
    assert max(max(each.listing_lags) for each in within_limits) <= 60
    some = [
        any(plan.outages for plan in plans),
        any(plan.limits for plan in plans),
        any(plan.tags for plan in plans),
        any(plan.shards > 1 for plan in plans),
        any(plan.republished for plan in plans),
        any(plan.polls and plan.wait_seconds for plan in plans),
        any(not plan.function.async_task for plan in plans),
        any(plan.faults["early_rate"] == 1 for plan in plans),
        any(plan.faults["expire_rate"] for plan in plans),
        any(plan.dry_run for plan in plans),
        any(each.task_linger for each in within_limits),
        any(each.denied_until for each in within_limits),
        any(-3.1 < other.start < 3.1 for plan in plans for other in plan.other_backups),
        any(plan.function.timeout == 60 for plan in plans if plan.outside_limits),
        *(any(test(plan.proof) for plan in plans if plan.proof) for test in PROOFS),
        *(any(test(file) for each in within_limits for file in _files_of(each)) for test in FILES),
        any(each.kind == "cloud-native" and len(_files_of(each)) > 3 for each in within_limits),
        any(plan.proof and plan.proof.level != plan.proof.other_level and plan.trigger == "batch" for plan in plans),
    ]
    assert all(some)
    assert draw_plan(7) == draw_plan(7)


PROOFS: tuple[Callable[[ProofPlan], object], ...] = (
    lambda proof: proof.level == "quick",
    lambda proof: proof.level == "full",
    lambda proof: proof.level == "copy",
    lambda proof: proof.bucket == "versioned",
    lambda proof: proof.bucket == "worm",
    lambda proof: proof.store_denied,
    lambda proof: proof.unreachable and not proof.is_given_up,
    lambda proof: proof.is_given_up,
    lambda proof: proof.address_uses,
    lambda proof: proof.address_lifetime < 10,
)
FILES: tuple[Callable[[File], object], ...] = (
    lambda file: file.flip is not None,
    lambda file: file.cut,
    lambda file: file.encrypted,
    lambda file: not file.checksum,
    lambda file: file.empty,
    lambda file: file.version < 5,
    lambda file: file.size and file.size > 16 * 1024 * 1024,
)


def _files_of(instance: Instance) -> list[File]:
    nodes = (each if isinstance(each, tuple) else (each,) for each in instance.files)
    return [file for files in nodes for file in files]


def _calm(**changes: Any) -> Plan:
    """A round in which nothing goes wrong but what the function itself does."""
    plan = next(plan for seed in range(200) if (plan := draw_plan(seed)).trigger == "timer" and not plan.outside_limits)
    values: dict[str, Any] = {
        "seed": 1,
        "instances": (Instance("r-0", duration=30.0),),
        "deliveries": (1.0, 200.0),
        "function": FunctionConfig(),
        "settings": {**plan.settings, "BACKUP_FOLLOW_SECONDS": "60", "BACKUP_SHARD_SIZE": "200"},
        **dict.fromkeys(("other_backups", "outages"), ()),
        **dict.fromkeys(("tags", "dry_run"), False),
        "max_age_minutes": 0,
        "limits": None,
        "proof": None,
        "faults": {},
    }
    return replace(plan, **{**values, **changes})


def _creating(times: int, say: str = "") -> Any:
    """A function that starts a backup at each delivery, up to so many times, and looks at nothing."""
    from Tea.exceptions import TeaException

    def handler(_event: bytes, context: Any, runtime: Any) -> None:
        from alibabacloud_r_kvstore20150101 import models
        from alibabacloud_r_kvstore20150101.client import Client
        from alibabacloud_tea_openapi.utils_models import Config

        environ = runtime.environ
        client = Client(
            Config(
                access_key_id=environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
                access_key_secret=environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
                security_token=environ["ALIBABA_CLOUD_SECURITY_TOKEN"],
                endpoint=environ["BACKUP_ENDPOINT"].partition("://")[2],
                protocol="HTTP",
            )
        )
        for number in range(times):
            runtime.clock.sleep(100 * bool(number))
            try:
                answer = client.create_backup(models.CreateBackupRequest(instance_id="r-0")).body
            except TeaException:
                continue
            record = {"time": "2026-11-24T02:00:01.000Z", "event": "backup_started", "instance_id": "r-0"}
            record |= {"job_ids": str(answer.backup_job_id), "request_id": context.request_id}
            runtime.stdout.write(json.dumps(record) + "\n")
        if say:
            runtime.stdout.write(say + "\n")

    return handler


@pytest.mark.parametrize(
    ("times", "changes", "say", "expected"),
    [
        (1, {"deliveries": (1.0,)}, "", {"request_finished"}),
        (1, {}, "", {"double", "needless", "request_finished"}),
        (1, {"deliveries": (1.0, 14.0, 45.0)}, "", {"double", "request_finished"}),
        (2, {"deliveries": (1.0,)}, "SECRETTOKEN", {"double", "secret", "request_finished"}),
        (0, {"deliveries": (1.0,)}, "", {"lost", "request_finished"}),
        (3, {"instances": (Instance("r-0", duration=20.0, outcomes=("failed",)),)}, "", {"attempts", "lost"}),
        (1, {"dry_run": True}, "", {"dry run"}),
        (1, {"checks": (5.0,)}, "", {"check"}),
    ],
)
def test_chaos_sees_what_a_function_does_wrong(times: int, changes: Any, say: str, expected: set[str]) -> None:
    """Held against functions that break one promise or another, a round says which."""
    assert expected <= run_plan(_calm(**changes), _creating(times, say)).kinds


def test_chaos_sees_a_redirect_that_was_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(Cloud):
        def __enter__(self) -> Cloud:
            self.redirected.append(Request("GET", "/", {}, {}, b""))
            return super().__enter__()

    monkeypatch.setattr(rounds, "Cloud", Elsewhere)
    assert "redirect" in run_plan(_calm(), _creating(1)).kinds


def test_chaos_only_counts_second_backups_outside_the_limits() -> None:
    result = run_plan(_calm(outside_limits=True), _creating(1))
    assert not result.kinds & {"double", "needless"}
    assert result.counts["double (outside limits)"] == 1
    prompt = _calm(deliveries=(0.5, 11.0), instances=(Instance("r-0", duration=15.0, durations=(5.0,)),))
    assert run_plan(prompt, _creating(1)).kinds >= {"double"}  # 10.5 s apart is not far apart


def test_chaos_counts_a_backup_without_a_watch_apart(make_cloud: Any) -> None:
    cloud = make_cloud(Instance("r-0"), function=FunctionConfig(timeout=60))
    cloud.invoke({"instance_ids": ["r-0"], "since": "2026-11-24T01:58:00Z"})
    (warning,) = [record for record in cloud.logs.records if record["event"] == "warning"]
    result = run_plan(_calm(), _creating(1, json.dumps(warning)))
    assert "double" not in result.kinds
    assert result.counts["double (unwatched)"] == 1


def _proving(level: str, **changes: Any) -> Plan:
    """A calm round that asks for proof."""
    plan = _calm(deliveries=(1.0,), proof=ProofPlan(level), **changes)
    return replace(plan, settings={**plan.settings, "BACKUP_STORE": STORE})


Spoil = Callable[[Cloud, Callable[[dict[str, Any]], object]], None]


def _write_receipt(cloud: Cloud, _: object) -> None:
    """A receipt of a backup whose file is corrupt."""
    folder = f"redis/{cloud.function.account}/cn-hangzhou/r-0/20261124T020001Z-{_job_id(cloud)}"
    cloud.store.put(f"{folder}/full.json", b'{"verified":"full","files":[]}')


def _spoil_copy(cloud: Cloud, _: object) -> None:
    for key in cloud.store.objects:
        if key.endswith(".rdb"):
            cloud.store.put(key, b"REDIS0009")


def _remove_receipt(cloud: Cloud, _: object) -> None:
    for key in cloud.store.objects:
        if key.endswith("full.json"):
            cloud.store.delete(key)


def _leave_upload(cloud: Cloud, _: object) -> None:
    for key in cloud.store.objects:
        if key.endswith(".rdb"):
            cloud.store.initiate(key, {})


def _print_signature(cloud: Cloud, write: Callable[[dict[str, Any]], object]) -> None:
    write({"event": "warning", "error_message": " ".join(cloud.addresses.secrets)})


def _store_signature(cloud: Cloud, _: object) -> None:
    for key in cloud.store.objects:
        if key.endswith("progress.json"):
            cloud.store.put(key, "".join(cloud.addresses.secrets).encode())


def _read_much(cloud: Cloud, _: object) -> None:
    for call in [each for each in cloud.calls if each.operation == "Download"][:1]:
        cloud.calls.append(replace(call, bytes_sent=10**8))


def _say(event: str, **fields: Any) -> Spoil:
    def spoil(cloud: Cloud, write: Callable[[dict[str, Any]], object]) -> None:
        if cloud.kvstore.instance("r-0").backups:
            write({"event": event, "instance_id": "r-0", "job_ids": _job_id(cloud), **fields})

    return spoil


def _job_id(cloud: Cloud) -> str:
    return cloud.kvstore.instance("r-0").backups[0].job_ids[0]


CORRUPT_FILE = (Instance("r-0", duration=30.0, files=(File(flip=-20), File())),)
SAYS_CORRUPT = _say("backup_failed", error_code="BackupCorrupt", error_message="1 failed; job 10000, file a.rdb: wrong")


@pytest.mark.parametrize(
    ("level", "instances", "spoil", "expected"),
    [
        ("full", CORRUPT_FILE, _write_receipt, {"receipt"}),
        ("full", CORRUPT_FILE, _say("backup_succeeded", verified="full"), {"untrue", "verified", "receipt"}),
        ("quick", (), _say("backup_succeeded", verified="full"), {"verified"}),
        ("full", (), SAYS_CORRUPT, {"corrupt", "untrue"}),
        ("full", (), _say("backup_failed", error_code="FollowUpExpired", error_message="given up"), {"untrue"}),
        ("full", (), _remove_receipt, {"receipt"}),
        ("copy", (), _spoil_copy, {"copy", "receipt"}),
        ("copy", (), _leave_upload, {"upload"}),
        ("full", (), _print_signature, {"address"}),
        ("full", (), _store_signature, {"address"}),
        ("full", (), _read_much, {"bytes"}),
    ],
)
def test_chaos_sees_what_is_wrong_with_a_proof(
    level: str, instances: Any, spoil: Spoil, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project's own function, beside which something is written that must not be."""
    clouds: list[Cloud] = []

    class Kept(Cloud):
        def __enter__(self) -> Cloud:
            clouds.append(self)
            return super().__enter__()

    def handler(event: bytes, context: Any, runtime: Any) -> Any:
        result = handle(event, context, runtime)
        at = datetime.fromtimestamp(runtime.clock.time() + 60, timezone.utc).isoformat(timespec="milliseconds")
        common = {"time": at.replace("+00:00", "Z"), "request_id": context.request_id}
        spoil(clouds[-1], lambda record: runtime.stdout.write(json.dumps({**common, **record}) + "\n"))
        return result

    plan = _proving(level, **({"instances": instances} if instances else {}))
    assert run_plan(plan).violations == []
    monkeypatch.setattr(rounds, "Cloud", Kept)
    assert run_plan(plan, handler).kinds >= expected


def test_chaos_sees_that_a_backup_is_not_read() -> None:
    assert "unread" in run_plan(_proving("full"), _creating(1)).kinds


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

    @rule(
        operation=st.sampled_from(["CreateBackup", "DescribeBackups", "InvokeFunction"]),
        kind=st.sampled_from([*KINDS, *ODD_ANSWERS, *REDIRECTS]),
    )
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

"""The invariants: what must hold after a round. Each violation begins with its kind."""

from __future__ import annotations

from collections import Counter
from typing import Any

from chaos import proof_invariants
from chaos.history import SECRETS, History, InstanceHistory
from chaos.plan import MAX_ATTEMPTS
from simulator.kvstore.state import Backup

UNNECESSARY_AFTER = 62.0  # seconds after a good backup is listed; a backup that starts later is unnecessary
SEEN_AFTER = 30.0  # seconds after a backup is listed; later records know it
DEFAULT_STEP = 60.0  # seconds between follow-ups, where follow-ups are turned off


def check(history: History, counts: Counter[str], violations: list[str]) -> None:
    """Add to the counts what happened in the round, and to the violations what must not happen."""
    _count(history, counts)
    for instance in history.instances:
        _check_backups(history, instance, counts, violations)
        if not history.plan.dry_run:
            _check_result(history, instance, counts, violations)
            _check_records(history, instance, counts, violations)
    if not history.plan.dry_run:
        _check_request_finished(history, violations)
    _check_checks(history, counts, violations)
    if history.plan.proof:
        proof_invariants.check(history, counts, violations)
    for invocation in (*history.invocations, *history.checks):
        if invocation.timed_out:
            violations.append(f"time-out: {invocation.request_id} did not end before it")
        output = invocation.everything()
        violations.extend(f"secret: {invocation.request_id} wrote {mark}…" for mark in SECRETS if mark in output)
    if history.cloud.redirected:
        violations.append(f"redirect: {len(history.cloud.redirected)} calls followed one to another host")
    most, actual = max_invocations(history), count_first_attempts(history)
    if actual > most and history.plan.function.async_task:  # else each repeat has follow-ups of its own
        violations.append(f"invocations: {actual} for one event, at most {most:.0f} are expected")


def count_first_attempts(history: History) -> int:
    """Return the number of invocations without the platform's retries."""
    return len({each.request_id for each in history.invocations})


def max_invocations(history: History) -> float:
    """Return the limit: four for each complete delivery, and 1.5 for each step in which it may be followed up."""
    complete = sum(each.request_id in history.delivered and not each.killed for each in history.invocations)
    step = history.plan.follow_seconds or DEFAULT_STEP
    end = max((each.started + each.duration for each in history.invocations), default=history.since)
    steps = (end - history.since) / step
    chains = history.plan.shards + (len(history.instances) if history.plan.proof else 0)  # each reading has its own
    return len(history.delivered) + chains * (4 + max(1, complete) * (4 + 1.5 * steps))


def _count(history: History, counts: Counter[str]) -> None:
    calls = [call for call in history.cloud.calls if call.operation]  # without those of killed invocations
    counts["rounds"] += 1
    counts["instances"] += len(history.instances)
    counts["events delivered"] += len(history.delivered)
    counts["invocations"] += len(history.invocations)
    counts["invocations killed"] += sum(each.killed for each in history.invocations)
    counts["dead letters"] += len(history.cloud.platform.queue.dead_letters)
    counts["API calls"] += len(calls)
    counts["API calls with a fault"] += sum(call.fault is not None for call in calls)
    counts["compute seconds"] += int(sum(each.duration for each in history.invocations))


def _check_backups(history: History, instance: InstanceHistory, counts: Counter[str], violations: list[str]) -> None:
    """Check that no instance gets two good backups, too many, or one that it does not need."""
    started, category = instance.started, instance.category
    counts["backups started"] += len(started)
    if history.plan.dry_run:
        if started:
            violations.append(f"dry run: {instance.name} got a backup")
        return
    good = [backup for backup in started if backup in instance.good]
    ids = " and ".join(",".join(backup.job_ids) for backup in started)
    vanished = sum(backup.vanishes for backup in started)
    found = []
    if len(good) > 1:
        found.append(f"double: {instance.name}: {ids} are good backups for one request")
    if len(started) > MAX_ATTEMPTS + vanished and len(good) <= 1:
        found.append(f"attempts: {instance.name}: {len(started)} backups, at most {MAX_ATTEMPTS} are allowed")
    found += [
        f"needless: {instance.name}: {backup.job_ids} was started though a good one was listed"
        for backup in started
        if any(
            instance.listed(each) <= backup.start - UNNECESSARY_AFTER for each in instance.good if each is not backup
        )
    ]
    for text in found:
        kind = text.partition(":")[0]
        counts[f"{kind} ({category})"] += 1
        if category == "guaranteed":
            violations.append(text)


def _check_checks(history: History, counts: Counter[str], violations: list[str]) -> None:
    """Check that no check tried to start a backup of an instance, and that checks do not go on for ever."""
    counts["checks"] += len(history.plan.checks)
    keys = {each.access_key_id for each in history.checks}
    real = {each.id for each in history.plan.instances}
    violations.extend(
        f"check: {call.request_id} asked for a backup of {call.instance}"
        for call in history.cloud.calls
        if call.access_key_id in keys and call.operation == "CreateBackup" and call.instance in real
    )
    sent = {each.request_id for each in history.checks if b'"follow"' in each.event}
    most = len(history.checks) - sum(each.request_id in sent for each in history.checks)
    if history.plan.function.async_task and len(sent) > most:  # each delivery of a check sends one invocation to itself
        violations.append(f"check: {len(sent)} invocations were sent by {most} deliveries of checks")


def _check_result(history: History, instance: InstanceHistory, counts: Counter[str], violations: list[str]) -> None:
    """Check that an instance without a backup is reported."""
    if instance.good or instance.possibly_good:
        return
    began, _ = history.last_delivery
    if history.is_excused:
        counts["killed until no retry was left"] += 1
    elif instance.was_reported(began):
        counts["without a backup, and reported"] += 1
    elif history.plan.follow_seconds == 0 and instance.may_seem_to_run(began):
        counts["failed without a follow-up (BACKUP_FOLLOW_SECONDS=0)"] += 1
    else:
        violations.append(f"lost: {instance.name}: no backup, and no report of that")


def _check_records(history: History, instance: InstanceHistory, counts: Counter[str], violations: list[str]) -> None:
    """Check that every job ID is in a record, and that final records are true."""
    recorded = {job_id for _, record in instance.records for job_id in str(record.get("job_ids", "")).split(",")}
    must_be_recorded = instance.category == "guaranteed" and not history.is_excused and history.plan.follow_seconds
    for backup in instance.started:
        missing = [job_id for job_id in backup.job_ids if job_id not in recorded]
        if missing and instance.kind == "cloud-native":
            counts["job IDs lost with an answer (cloud-native)"] += 1
        elif missing and must_be_recorded:
            kind = "job IDs" if backup in instance.good else "job IDs of a failed attempt"
            violations.append(f"{kind}: {instance.name}: {missing} are in no record")
    for _, record in instance.finals:
        if record["event"] == "backup_succeeded" and not _is_true(record, instance, instance.possibly_good):
            violations.append(f"untrue: {instance.name} has succeeded, says the record {_shorten(record)}")
    if not instance.finals or history.is_excused or instance.state.config.denied:  # no list shows a denied instance
        return
    moment, last = instance.finals[-1]
    seen = [backup for backup in instance.good if instance.listed(backup) <= moment - SEEN_AFTER]
    if last["event"] == "backup_failed" and seen and not (instance.level != "none" and _was_not_read(history, last)):
        violations.append(
            f"untrue: {instance.name} has failed, says the record, but {seen[0].job_ids} is good: {_shorten(last)}"
        )


def _was_not_read(history: History, record: dict[str, Any]) -> bool:
    """Return whether a good backup was given up because its files or the store could not be reached for long."""
    proof = history.plan.proof
    return proof is not None and proof.is_given_up and record.get("error_code") == "FollowUpExpired"


def _is_true(record: dict[str, Any], instance: InstanceHistory, good: list[Backup]) -> bool:
    """Return whether the record's job IDs are those of a good backup."""
    ids = {each for each in str(record.get("job_ids", "")).split(",") if each}
    if instance.kind == "cloud-native":
        return bool(good)
    return any(ids == set(backup.job_ids) for backup in good)


def _shorten(record: dict[str, Any]) -> str:
    names = ("time", "event", "job_ids", "error_code", "error_message", "trigger")
    return str({name: record[name] for name in names if name in record})[:300]


def _check_request_finished(history: History, violations: list[str]) -> None:
    """Check that each request, unless its retries were all killed, has a `request_finished` with the right counts."""
    plan = history.plan
    if history.is_excused or not plan.follow_seconds or plan.tags:
        return
    if any("could not invoke itself" in record.get("error_message", "") for _, record in history.records):
        return  # the platform's retry, or the caller, goes on
    closing = [(moment, record) for moment, record in history.records if record["event"] == "request_finished"]
    expected = 2 if plan.trigger == "batch" else 1
    if len({record.get("trigger_id") or record["request_id"] for _, record in closing}) < expected:
        violations.append(f"request_finished: {len(closing)} of {expected} events have one")
        return
    if expected > 1 or plan.shards > 1 or plan.proof:  # an instance whose files are read has one of its own
        return
    _, last = closing[-1]
    finals = [{record["event"] for _, record in each.finals} for each in history.instances]
    least = sum(events == {"backup_succeeded"} for events in finals)
    most = sum("backup_succeeded" in events for events in finals)  # follow-ups do not know of a later delivery
    instances, succeeded, failed = (int(last.get(name, 0)) for name in ("instances", "succeeded", "failed"))
    if instances != len(finals) or succeeded + failed != instances or not least <= succeeded <= most:
        violations.append(
            f"request_finished: {instances} instances, {succeeded} succeeded and {failed} failed, "
            f"the records say {len(finals)}, and {least} to {most} succeeded"
        )

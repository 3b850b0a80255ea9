"""What must hold after a round. Each violation begins with its kind."""

from __future__ import annotations

from collections import Counter
from typing import Any

from chaos.plan import MAX_ATTEMPTS
from chaos.story import SECRETS, InstanceStory, Story
from simulator.kvstore.backups import Backup

VISIBLE = 62.0  # seconds for which a good backup has been listed, after which to start another is needless
SETTLED = 30.0  # seconds after its entry in a list by which a look has seen a backup
STEP = 60.0  # seconds between follow-ups where BACKUP_FOLLOW_SECONDS says nothing


def check(story: Story, counts: Counter[str], wrong: list[str]) -> None:
    """Count what the round came to, and add what should not be."""
    _count(story, counts)
    for instance in story.instances:
        _check_backups(story, instance, counts, wrong)
        if not story.plan.dry_run:
            _check_ending(story, instance, counts, wrong)
            _check_records(story, instance, counts, wrong)
    if not story.plan.dry_run:
        _check_closing(story, wrong)
    for invocation in story.invocations:
        if invocation.timed_out:
            wrong.append(f"time-out: {invocation.request_id} did not end before it")
        text = invocation.everything()
        wrong.extend(f"secret: {invocation.request_id} let out {mark}…" for mark in SECRETS if mark in text)
    if story.cloud.redirected:
        wrong.append(f"redirect: {len(story.cloud.redirected)} calls followed one to another host")
    most, made = most_invocations(story), first_attempts(story)
    if made > most and story.plan.function.async_task:  # else each repeat makes a chain of its own
        wrong.append(f"invocations: {made} for one event, at most {most:.0f} are to be expected")


def first_attempts(story: Story) -> int:
    """How many invocations there were that the platform did not make by itself."""
    return len({each.request_id for each in story.invocations})


def most_invocations(story: Story) -> float:
    """Four for each live delivery, and about one and a half for each step that it may have been followed."""
    live = sum(each.request_id in story.sent and not each.killed for each in story.invocations)
    step = story.plan.follow_seconds or STEP
    end = max((each.started + each.duration for each in story.invocations), default=story.since)
    steps = (end - story.since) / step
    return len(story.sent) + story.plan.shards * (4 + max(1, live) * (4 + 1.5 * steps))


def _count(story: Story, counts: Counter[str]) -> None:
    calls = [call for call in story.cloud.calls if call.operation]  # and not those of a dead invocation
    counts["rounds"] += 1
    counts["instances"] += len(story.instances)
    counts["events delivered"] += len(story.sent)
    counts["invocations"] += len(story.invocations)
    counts["of those killed"] += sum(each.killed for each in story.invocations)
    counts["dead letters"] += len(story.cloud.platform.queue.dead_letters)
    counts["API calls"] += len(calls)
    counts["of those struck by a fault"] += sum(call.fault is not None for call in calls)
    counts["compute seconds"] += int(sum(each.duration for each in story.invocations))


def _check_backups(story: Story, instance: InstanceStory, counts: Counter[str], wrong: list[str]) -> None:
    made, standing = instance.made, instance.standing
    counts["backups made"] += len(made)
    if story.plan.dry_run:
        if made:
            wrong.append(f"dry run: {instance.name} got a backup")
        return
    good = [backup for backup in made if backup in instance.good]
    ids = " and ".join(",".join(backup.job_ids) for backup in made)
    lost = sum(backup.vanishes for backup in made)
    found = []
    if len(good) > 1:
        found.append(f"double: {instance.name}: {ids} are good backups for one request")
    if len(made) > MAX_ATTEMPTS + lost and len(good) <= 1:
        found.append(f"attempts: {instance.name}: {len(made)} backups, at most {MAX_ATTEMPTS} are to be tried")
    found += [
        f"needless: {instance.name}: {backup.job_ids} was started though a good one was listed"
        for backup in made
        if any(instance.listed(each) <= backup.start - VISIBLE for each in instance.good if each is not backup)
    ]
    for text in found:
        kind = text.partition(":")[0]
        counts[f"{kind} ({standing})"] += 1
        if standing == "strict":
            wrong.append(text)


def _check_ending(story: Story, instance: InstanceStory, counts: Counter[str], wrong: list[str]) -> None:
    """Nothing is lost in silence."""
    if instance.good or instance.perhaps_good:
        return
    began, _ = story.last_delivery
    if story.is_excused:
        counts["killed until the retries were used up"] += 1
    elif instance.was_told(began):
        counts["ended without a backup, and said so"] += 1
    elif story.plan.follow_seconds == 0 and instance.seemed_to_run(began):
        counts["failed with nobody to follow (BACKUP_FOLLOW_SECONDS=0)"] += 1
    else:
        wrong.append(f"lost: {instance.name}: no backup, and nobody was told")


def _check_records(story: Story, instance: InstanceStory, counts: Counter[str], wrong: list[str]) -> None:
    recorded = {job_id for _, record in instance.records for job_id in str(record.get("job_ids", "")).split(",")}
    surely = instance.standing == "strict" and not story.is_excused and story.plan.follow_seconds
    for backup in instance.made:
        missing = [job_id for job_id in backup.job_ids if job_id not in recorded]
        if missing and instance.kind == "cloud-native":
            counts["IDs lost with an answer (cloud-native)"] += 1
        elif missing and surely:
            kind = "job IDs" if backup in instance.good else "job IDs of a failed attempt"
            wrong.append(f"{kind}: {instance.name}: {missing} are in no record")
    for _, record in instance.finals:
        if record["event"] == "backup_succeeded" and not _is_true(record, instance, instance.perhaps_good):
            wrong.append(f"untrue: {instance.name} is said to have succeeded: {_short(record)}")
    if not instance.finals or story.is_excused or instance.state.config.denied:  # what may not be looked at is not seen
        return
    moment, last = instance.finals[-1]
    seen = [backup for backup in instance.good if instance.listed(backup) <= moment - SETTLED]
    if last["event"] == "backup_failed" and seen:
        wrong.append(f"untrue: {instance.name} is said to have failed, {seen[0].job_ids} is good: {_short(last)}")


def _is_true(record: dict[str, Any], instance: InstanceStory, good: list[Backup]) -> bool:
    """Whether a good backup is the one that the record means."""
    ids = {each for each in str(record.get("job_ids", "")).split(",") if each}
    if instance.kind == "cloud-native":
        return bool(good)
    return any(ids == set(backup.job_ids) for backup in good)


def _short(record: dict[str, Any]) -> str:
    names = ("time", "event", "job_ids", "error_code", "error_message", "trigger")
    return str({name: record[name] for name in names if name in record})[:300]


def _check_closing(story: Story, wrong: list[str]) -> None:
    """A `request_finished` for each request that was not killed to death, whose counts are right."""
    plan = story.plan
    if story.is_excused or not plan.follow_seconds or plan.tags:
        return
    if any("could not invoke itself" in record.get("error_message", "") for _, record in story.records):
        return  # what is open was left to the caller
    closing = [(moment, record) for moment, record in story.records if record["event"] == "request_finished"]
    wanted = 2 if plan.trigger == "batch" else 1
    if len({record.get("trigger_id") or record["request_id"] for _, record in closing}) < wanted:
        wrong.append(f"request_finished: {len(closing)} of {wanted} events have one")
        return
    if wanted > 1 or plan.shards > 1:
        return
    _, last = closing[-1]
    told = [{record["event"] for _, record in each.finals} for each in story.instances]
    least = sum(events == {"backup_succeeded"} for events in told)
    most = sum("backup_succeeded" in events for events in told)  # a chain may not know what a later delivery mended
    instances, succeeded, failed = (int(last.get(name, 0)) for name in ("instances", "succeeded", "failed"))
    if instances != len(told) or succeeded + failed != instances or not least <= succeeded <= most:
        wrong.append(
            f"request_finished: {instances} instances, {succeeded} succeeded and {failed} failed, "
            f"the records say {len(told)}, and {least} to {most} succeeded"
        )

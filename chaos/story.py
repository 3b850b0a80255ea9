"""What happened in a round, told by instance: backups, records, who reached it when, and what died."""

from __future__ import annotations

import json
import math
from datetime import datetime
from functools import cached_property
from typing import Any

from chaos.events import since_of
from chaos.fleet_of import SHORTEST
from chaos.plan import Plan
from simulator.cloud import Cloud
from simulator.fc.invocation import Invocation
from simulator.gateway import Call
from simulator.kvstore.backups import Backup, InstanceState

SECRETS = ("SECRETKEY", "SECRETTOKEN", "SECRETURLSIGNATURE", "SECRETDIAGNOSTIC", "STS.", "Signature=")
FINAL = ("backup_succeeded", "backup_failed")
PROMPT = 12.0  # seconds after its `since`, or after being sent, within which an invocation is prompt
NEAR = 2.0  # seconds around `since` in which whole seconds and clocks that differ leave it open what counts
UNWATCHED = "unwatched"  # in the text of a warning record


class Story:
    """A round that has ended."""

    def __init__(self, cloud: Cloud, plan: Plan, since: float, sent: set[str]) -> None:
        """`sent`: the request IDs of the event's own deliveries."""
        self.cloud, self.plan, self.since, self.sent = cloud, plan, since, sent
        self.invocations = cloud.platform.invocations
        self.of_key = {each.access_key_id: each for each in self.invocations}
        self.wait = min(600.0, 60.0 + 0.5 * len(plan.instances))  # the contract's W

    @cached_property
    def instances(self) -> list[InstanceStory]:
        earliest = since_of(self.plan, self.since)
        states = (self.cloud.kvstore.instance(each.id) for each in self.plan.instances)
        return [InstanceStory(self, state, begin) for state, begin in zip(states, earliest, strict=True)]

    @cached_property
    def records(self) -> list[tuple[float, dict[str, Any]]]:
        """All records, each with its time, in the order of time."""
        found = [(_seconds(record), record) for each in self.invocations for record in each.records if "time" in record]
        return sorted(found, key=lambda each: each[0])

    @cached_property
    def by_instance(self) -> dict[str, list[tuple[float, dict[str, Any]]]]:
        found: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        for moment, record in self.records:
            found.setdefault(record.get("instance_id", ""), []).append((moment, record))
        return found

    @cached_property
    def calls(self) -> dict[str, list[Call]]:
        """The calls that reached the cloud, by instance."""
        found: dict[str, list[Call]] = {}
        for call in self.cloud.calls:
            found.setdefault(call.instance, []).append(call)
        return found

    @cached_property
    def last_delivery(self) -> tuple[float, float]:
        """When the last of the event's own deliveries that was not killed began and ended."""
        lived = [each for each in self.invocations if each.request_id in self.sent and not each.killed]
        last = max(lived, key=lambda each: each.started + each.duration, default=None)
        return (last.started, last.started + last.duration) if last else (-math.inf, -math.inf)

    @cached_property
    def last_death(self) -> float:
        """When a delivery was last killed for good: its retries were used up, or nobody retries it."""
        last = {each.request_id: each for each in self.invocations}  # the last attempt of each
        given_up = {letter.request_id for letter in self.cloud.platform.queue.dead_letters}
        dead = [
            each.started + each.duration
            for each in last.values()
            if each.killed and (each.request_id in given_up or not each.asynchronous)
        ]
        return max(dead, default=-math.inf)

    @property
    def is_excused(self) -> bool:
        """Killed until the retries were used up, and nothing was sent again afterwards."""
        return self.last_death >= self.last_delivery[1]

    def prompt_since(self, invocation: Invocation) -> bool:
        """Whether the contract lets the invocation start at its first look."""
        if invocation.request_id in self.sent:
            return invocation.started - self.since <= PROMPT
        sent_at = _follow(invocation).get("sent_at")
        return isinstance(sent_at, str) and invocation.started - _parse(sent_at) <= PROMPT


class InstanceStory:
    """One instance of it."""

    def __init__(self, story: Story, state: InstanceState, earliest: float) -> None:
        """`earliest`: from when on its backup is to have begun."""
        self.story, self.state, self.earliest = story, state, earliest
        self.id, self.kind = state.config.id, state.config.kind
        self.name = f"{self.id} ({self.kind}, {'/'.join(state.config.outcomes)})"
        self.records = story.by_instance.get(self.id, [])
        self.finals = [(moment, record) for moment, record in self.records if record["event"] in FINAL]

    @cached_property
    def made(self) -> list[Backup]:
        """The backups that the function has started."""
        return [backup for backup in self.state.backups if backup.by_api]

    @property
    def good(self) -> list[Backup]:
        """Every backup that satisfies the request beyond doubt."""
        return [b for b in self.state.backups if is_good(b) and (b.by_api or b.start >= self.earliest + NEAR)]

    @property
    def perhaps_good(self) -> list[Backup]:
        """Every one that may be taken to satisfy it."""
        return [b for b in self.state.backups if is_good(b) and b.start >= self.earliest - NEAR]

    def listed(self, backup: Backup) -> float:
        """When the whole backup could be seen to have ended."""
        lag = self.story.plan.behaviour.listing_lag
        return max(self.state.listed_at(backup, part, lag) for part in backup.parts)

    @cached_property
    def warned(self) -> bool:
        """Whether a warning says that it was started unwatched."""
        return any(
            record["event"] == "warning"
            and UNWATCHED in json.dumps(record).lower()
            and record.get("instance_id", self.id) == self.id
            for _, record in self.story.records
        )

    @cached_property
    def apart(self) -> bool:
        """Whether two prompt deliveries sent CreateBackup more than 15 s apart, which the contract lets happen."""
        until = self.story.since + self.story.wait + PROMPT + 3
        times: dict[str, list[float]] = {}
        for call in self.story.calls.get(self.id, []):
            invocation = self.story.of_key.get(call.access_key_id)
            sent = call.operation == "CreateBackup" and call.time <= until
            if sent and invocation and self.story.prompt_since(invocation):
                times.setdefault(call.access_key_id, []).append(call.time)
        every = [moment for moments in times.values() for moment in moments]
        return len(times) > 1 and max(every) - min(every) > SHORTEST - 1

    @property
    def standing(self) -> str:
        """`strict`, or why a second backup is counted apart here."""
        if self.story.plan.beyond:
            return "beyond"
        if self.warned:
            return "unwatched"
        return "reached apart" if self.apart else "strict"

    def seemed_to_run(self, moment: float) -> bool:
        """Whether a look at that moment, or later, could still take a backup for a running one."""
        begun = (backup for backup in self.state.backups if backup.start >= self.earliest - NEAR)
        return any(self.listed(backup) > moment for backup in begun)

    def was_told(self, since: float) -> bool:
        """Whether its failure, or that it is pending with nobody to follow, was told after that moment."""
        if any(moment >= since and record["event"] == "backup_failed" for moment, record in self.finals):
            return True
        records = self.story.records if self.story.plan.tags else []  # of instances that no listing has shown
        if any(moment >= since and record["event"] == "warning" for moment, record in records):
            return True
        for each in self.story.invocations:
            if each.started + each.duration < since:
                continue
            told = "" if each.error is None or each.killed else each.error["errorMessage"]
            if told and (self.id in told or self.story.plan.tags):
                return True
            is_shown = self.id in each.body.decode(errors="replace") or (
                self.state.config.denied and self.story.plan.tags
            )
            if (not each.asynchronous or self.story.plan.trigger == "manual") and not each.failed and is_shown:
                return True  # the answer is what a caller is told by; what the role may not see, no list shows
        return False


def is_good(backup: Backup) -> bool:
    """Whether it succeeds, and is listed in the end."""
    return backup.succeeded and not backup.vanishes


def _follow(invocation: Invocation) -> dict[str, Any]:
    if b'"follow"' not in invocation.event:
        return {}
    event = json.loads(invocation.event)
    return dict(event.get("follow") or {}) if isinstance(event, dict) else {}


def _parse(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _seconds(record: dict[str, Any]) -> float:
    return _parse(record["time"])

"""What happened in a round: for each instance its backups, records and calls, and which invocations were killed."""

from __future__ import annotations

import json
import math
from datetime import datetime
from functools import cached_property
from typing import Any

from chaos.events import earliest_starts
from chaos.instances import MIN_DURATION
from chaos.judgement import CORRUPT, judge_backup
from chaos.plan import Plan
from simulator.cloud import Cloud
from simulator.fc.state import Invocation
from simulator.gateway import Call
from simulator.kvstore.state import Backup, InstanceState

SECRETS = ("SECRETKEY", "SECRETTOKEN", "SECRETDIAGNOSTIC", "STS.", "Signature=")
FINAL_EVENTS = ("backup_succeeded", "backup_failed")
PROMPT_SECONDS = 12.0  # an invocation that begins so long after `since`, or after being sent, is prompt
CLOCK_MARGIN = 2.0  # seconds around `since`; whether a backup that starts there counts depends on clocks
UNFOLLOWED = "no follow-up will look at unfinished instances"  # words of an error; it names those that do not run yet
UNWATCHED = "without a watch"  # words of the warning that says so of a backup


class History:
    """A round that has ended."""

    def __init__(self, cloud: Cloud, plan: Plan, since: float, delivered: set[str]) -> None:
        """Take a round. `since`: the trigger's time. `delivered`: the request IDs of the event's own deliveries."""
        self.cloud, self.plan, self.since, self.delivered = cloud, plan, since, delivered
        every = cloud.platform.invocations
        self.checks = [each for each in every if b'"check": true' in each.event]  # and what they send to the function
        self.invocations = [each for each in every if each not in self.checks]
        self.by_access_key = {each.access_key_id: each for each in every}
        self.watch_start = min(600.0, 60.0 + 0.5 * len(plan.instances))  # W of docs/architecture.md, in seconds

    @cached_property
    def instances(self) -> list[InstanceHistory]:
        """Return the history of each instance, in the fleet's order."""
        earliest = earliest_starts(self.plan, self.since)
        states = (self.cloud.kvstore.instance(each.id) for each in self.plan.instances)
        levels = [self.plan.level_of(number) for number in range(len(earliest))]
        return [InstanceHistory(self, *each) for each in zip(states, earliest, levels, strict=True)]

    @cached_property
    def records(self) -> list[tuple[float, dict[str, Any]]]:
        """Return all records with their times (seconds since 1970), in the order of time."""
        found = [
            (_record_time(record), record) for each in self.invocations for record in each.records if "time" in record
        ]
        return sorted(found, key=lambda each: each[0])

    @cached_property
    def by_instance(self) -> dict[str, list[tuple[float, dict[str, Any]]]]:
        """Return the same, by instance ID; an empty ID for records of no instance."""
        found: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        for moment, record in self.records:
            found.setdefault(record.get("instance_id", ""), []).append((moment, record))
        return found

    @cached_property
    def calls(self) -> dict[str, list[Call]]:
        """Return the API calls, by instance ID."""
        found: dict[str, list[Call]] = {}
        for call in self.cloud.calls:
            found.setdefault(call.instance, []).append(call)
        return found

    @cached_property
    def last_delivery(self) -> tuple[float, float]:
        """Return the start and the end of the last of the event's own deliveries that was not killed."""
        complete = [each for each in self.invocations if each.request_id in self.delivered and not each.killed]
        last = max(complete, key=lambda each: each.started + each.duration, default=None)
        return (last.started, last.started + last.duration) if last else (-math.inf, -math.inf)

    @cached_property
    def last_kill(self) -> float:
        """Return when a delivery was last killed with no retry left."""
        last = {each.request_id: each for each in self.invocations}  # the last attempt
        given_up = {letter.request_id for letter in self.cloud.platform.queue.dead_letters}
        kills = [
            each.started + each.duration
            for each in last.values()
            if each.killed and (each.request_id in given_up or not each.asynchronous)
        ]
        return max(kills, default=-math.inf)

    @property
    def is_excused(self) -> bool:
        """Return whether every retry was killed, and the event was not delivered again: then backups may be missing."""
        return self.last_kill >= self.last_delivery[1]

    def is_prompt(self, invocation: Invocation) -> bool:
        """Return whether the invocation may start a backup at its first look."""
        if invocation.request_id in self.delivered:
            return invocation.started - self.since <= PROMPT_SECONDS
        sent_at = _follow_field(invocation).get("sent_at")
        return isinstance(sent_at, str) and invocation.started - _epoch(sent_at) <= PROMPT_SECONDS


class InstanceHistory:
    """What happened to one instance."""

    def __init__(self, history: History, state: InstanceState, earliest: float, level: str) -> None:
        """Take an instance. `earliest`: the earliest start time of a backup that satisfies the request.

        `level`: what is asked to be proved of it, one of `chaos.proofs.LEVELS`.
        """
        self.history, self.state, self.earliest, self.level = history, state, earliest, level
        self.id, self.kind = state.config.id, state.config.kind
        self.name = f"{self.id} ({self.kind}, {'/'.join(state.config.outcomes)}, {level})"
        self.records = history.by_instance.get(self.id, [])
        self.finals = [(moment, record) for moment, record in self.records if record["event"] in FINAL_EVENTS]

    @cached_property
    def started(self) -> list[Backup]:
        """Return the backups that the function started."""
        return [backup for backup in self.state.backups if backup.by_api]

    def is_good(self, backup: Backup) -> bool:
        """Return whether the backup succeeds, is listed after its end, and has files that are as asked for."""
        return backup.succeeded and not backup.vanishes and self.found(backup) != CORRUPT

    def found(self, backup: Backup) -> str:
        """Return what has to be found of the backup's files: see `chaos.judgement`; empty if nobody asks for it."""
        return "" if self.level == "none" else self.found_at(backup, self.level)

    def found_at(self, backup: Backup, level: str) -> str:
        """Return the same for another level."""
        return judge_backup(self.state, backup, level)

    @property
    def good(self) -> list[Backup]:
        """Return every backup that surely satisfies the request."""
        return [
            b for b in self.state.backups if self.is_good(b) and (b.by_api or b.start >= self.earliest + CLOCK_MARGIN)
        ]

    @property
    def possibly_good(self) -> list[Backup]:
        """Return every backup that satisfies the request if clocks and whole seconds are read in its favour."""
        return [b for b in self.state.backups if self.is_good(b) and b.start >= self.earliest - CLOCK_MARGIN]

    def listed(self, backup: Backup) -> float:
        """Return when the ends of all its jobs are listed."""
        lag = self.history.plan.behaviour.listing_lag
        return max(self.state.listed_at(backup, job, lag) for job in backup.jobs)

    @cached_property
    def is_unwatched(self) -> bool:
        """Return whether a warning says that its backup was started without a watch."""
        return any(
            record["event"] == "warning"
            and UNWATCHED in json.dumps(record).lower()
            and record.get("instance_id", self.id) == self.id
            for _, record in self.history.records
        )

    @cached_property
    def is_far_apart(self) -> bool:
        """Return whether prompt invocations sent CreateBackup 15 s or more apart: a limit of docs/architecture.md."""
        until = self.history.since + self.history.watch_start + PROMPT_SECONDS + 3
        times: dict[str, list[float]] = {}
        for call in self.history.calls.get(self.id, []):
            invocation = self.history.by_access_key.get(call.access_key_id)
            is_start = call.operation == "CreateBackup" and call.time <= until
            if is_start and invocation and self.history.is_prompt(invocation):
                times.setdefault(call.access_key_id, []).append(call.time)
        all_times = [moment for moments in times.values() for moment in moments]
        return len(times) > 1 and max(all_times) - min(all_times) > MIN_DURATION - 1

    @property
    def category(self) -> str:
        """Return `guaranteed`, or the reason why a second backup is counted and is not a violation."""
        if self.history.plan.outside_limits:
            return "outside limits"
        if self.is_unwatched:
            return "unwatched"
        return "far apart" if self.is_far_apart else "guaranteed"

    def may_seem_to_run(self, moment: float) -> bool:
        """Return whether the lists at that time, or later, can show a backup as running."""
        recent = (backup for backup in self.state.backups if backup.start >= self.earliest - CLOCK_MARGIN)
        return any(self.listed(backup) > moment for backup in recent)

    def was_reported(self, since: float) -> bool:
        """Return whether a record, an error or an answer after that time says that it failed or is pending."""
        if any(moment >= since and record["event"] == "backup_failed" for moment, record in self.finals):
            return True
        records = self.history.records if self.history.plan.tags else []  # an instance that no list has shown
        if any(moment >= since and record["event"] == "warning" for moment, record in records):
            return True
        for each in self.history.invocations:
            if each.started + each.duration < since:
                continue
            message = "" if each.error is None or each.killed else each.error["errorMessage"]
            is_unfinished = UNFOLLOWED in message and self.id in each.event.decode(errors="replace")
            if message and (self.id in message or self.history.plan.tags or is_unfinished):
                return True
            is_shown = self.id in each.body.decode(errors="replace") or (
                self.state.config.denied and self.history.plan.tags
            )
            if (not each.asynchronous or self.history.plan.trigger == "manual") and not each.failed and is_shown:
                return True  # the caller reads the answer; no list shows what the role may not see
        return False


def _follow_field(invocation: Invocation) -> dict[str, Any]:
    if b'"follow"' not in invocation.event:
        return {}
    event = json.loads(invocation.event)
    return dict(event.get("follow") or {}) if isinstance(event, dict) else {}


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _record_time(record: dict[str, Any]) -> float:
    return _epoch(record["time"])

"""From events to requests: each names instances that are to have a backup begun at or after `since`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from redis_backup import fields, timestamps
from redis_backup.errors import InvalidRequest
from redis_backup.event import Event, TriggerKind
from redis_backup.fields import Target
from redis_backup.invocation import Invocation, time_in
from redis_backup.settings import RETENTION_DAYS, Settings

MAX_AHEAD = timedelta(seconds=30)  # how far a sender's clock may be ahead of ours
_FIELDS = (
    "instance_ids",
    "tags",
    "region",
    "since",
    "max_age_minutes",
    "retention_days",
    "wait_seconds",
    "dry_run",
    "reason",
    "jobs",
)
# Case, `_` and `-` do not count, and the singular is as good as the plural.
_NAMES = {
    spelling: name
    for name in _FIELDS
    for bare in [name.replace("_", "")]
    for spelling in (bare, bare.removesuffix("s"))
}


@dataclass(frozen=True)
class Follow:
    """What a follow-up knows of the chain it belongs to; `count` 0 is a shard of a large request."""

    first: datetime
    due: datetime
    count: int
    trigger_id: str


@dataclass(frozen=True)
class Request:
    """One request, complete. `jobs` maps a target's key to the job IDs that earlier answers reported."""

    kind: TriggerKind
    trigger_id: str
    since: datetime
    targets: tuple[Target, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    region: str = ""
    max_age: timedelta = timedelta(0)
    retention_days: int | None = None
    wait_seconds: int = 0
    dry_run: bool = False
    reason: str | None = None
    jobs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    follow: Follow | None = None

    @property
    def begun_since(self) -> datetime:
        """The earliest begin of a backup that satisfies the request. R-KVStore answers in whole seconds, cut off."""
        return (self.since - self.max_age).replace(microsecond=0)


def read_requests(events: Sequence[Event], invocation: Invocation, settings: Settings, now: datetime) -> list[Request]:
    """Validate every field of every event. Raise one InvalidRequest that names all faults."""
    faults: list[str] = []
    requests = []
    for number, event in enumerate(events, 1):
        reader = _Reader(event, invocation, settings, now)
        requests.append(reader.read())
        prefix = f"event {number} of {len(events)}: " if len(events) > 1 else ""
        faults += [prefix + fault for fault in reader.faults]
    if faults:
        raise InvalidRequest(faults)
    return requests


def merge(requests: Iterable[Request], limit: int) -> list[Request]:
    """Leave each instance to one request: a real one before a dry run, then the one with the latest `since`.

    Raise InvalidRequest where more than `limit` instances are left.
    """
    owner: dict[str, Request] = {}
    jobs: dict[str, tuple[str, ...]] = {}
    requests = list(requests)
    for request in requests:
        for target in request.targets:
            other = owner.get(target.key)
            if other is None or (not request.dry_run, request.since) > (not other.dry_run, other.since):
                owner[target.key] = request
            if target.key in request.jobs:
                jobs[target.key] = tuple(dict.fromkeys(jobs.get(target.key, ()) + request.jobs[target.key]))
    if len(owner) > limit:
        fault = f"the request names {len(owner)} instances: at most {limit} go into one; raise BACKUP_MAX_INSTANCES"
        raise InvalidRequest([f"{fault} in the function's environment, or split the request"])
    merged = []
    for request in requests:
        targets = tuple(target for target in dict.fromkeys(request.targets) if owner[target.key] is request)
        own_jobs = {target.key: jobs[target.key] for target in targets if target.key in jobs}
        merged.append(replace(request, targets=targets, jobs=own_jobs))
    return merged


class _Reader:
    """Reads one event's fields, gathering what is wrong with them."""

    def __init__(self, event: Event, invocation: Invocation, settings: Settings, now: datetime) -> None:
        self.event, self.invocation, self.settings, self.now = event, invocation, settings, now
        self.faults: list[str] = []
        self.values: dict[str, Any] = {}

    def read(self) -> Request:
        self._gather()
        region = self._take("region", fields.region, "a region such as cn-hangzhou, not {}") or self.invocation.region
        self.region = region
        follow = self._follow() if self.event.kind is TriggerKind.FOLLOW else None
        request = Request(
            kind=self.event.kind,
            trigger_id=follow.trigger_id if follow else self.event.id,
            since=self._since(),
            targets=self._targets(),
            tags=self._take("tags", fields.tags, f"an object of 1 to {fields.MAX_TAGS} texts, not {{}}") or {},
            region=region,
            max_age=self._take("max_age_minutes", fields.minutes, "whole minutes, 0 or more, not {}") or timedelta(0),
            retention_days=self._take("retention_days", fields.retention, RETENTION_DAYS + ", not {}"),
            wait_seconds=min(
                86_400, self._take("wait_seconds", fields.not_negative, "whole seconds, 0 or more, not {}") or 0
            ),
            dry_run=self._take("dry_run", fields.boolean, "true or false, not {}") or False,
            reason=self._take("reason", fields.reason, "a text of at most 200 characters, not {}"),
            jobs=self._take("jobs", self._jobs, "an object that gives each REGION/r-… a list of job IDs, not {}") or {},
            follow=follow,
        )
        if not (request.targets or request.tags or self.faults):
            self.faults.append(
                f"instance_ids is missing: the {self.event.place} names no instance; it takes IDs such as "
                "r-bp1zxszhcgatnx01, cn-hangzhou/r-bp1zxszhcgatnx01 or an ARN, or `tags`"
            )
        if request.retention_days is None:
            return replace(request, retention_days=self.settings.retention_days)
        return request

    def _gather(self) -> None:
        """Sort the fields by the contract's names, however they are spelt."""
        if self.event.fault:
            self.faults.append(self.event.fault)
            return
        given = self.event.fields
        if given is None:
            given = {}
        if isinstance(given, str):
            words = fields.words(given)
            named = [fields.target_of(word, "") is not None for word in words]
            if self.event.strict and not any(named):
                # Not quoted: a text that is no request can be anything, a secret too.
                what = fields.json_fault(given) or f"neither JSON nor instance IDs ({len(given)} characters)"
                self.faults.append(f"the {self.event.place} is a text that is {what}")
                return
            given = {"instance_ids": words} if any(named) else {}
        elif isinstance(given, list):
            given = {"instance_ids": given}
        elif not isinstance(given, dict) and not self.event.strict:
            given = {}  # a foreign event's own data
        elif not isinstance(given, dict):
            self.faults.append(
                f"the {self.event.place} is {fields.kind_of(given)}: it takes a JSON object or instance IDs"
            )
            return
        unknown = []
        for name, value in given.items():
            known = _NAMES.get(re.sub("[_-]", "", str(name)).lower())
            if known is None:
                if self.event.strict and not (name == "follow" and self.event.kind is TriggerKind.FOLLOW):
                    unknown.append(" ".join(str(name)[:40].split()).encode("utf-8", "replace").decode())
            elif known == "instance_ids" and known in self.values:
                self.values[known] = fields.as_list(self.values[known]) + fields.as_list(value)
            elif known in self.values:
                self.faults.append(f"{known} is given twice")
            elif value is not None:
                self.values[known] = value
        if unknown:
            more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
            verb = "is no field" if len(unknown) == 1 else "are no fields"
            self.faults.append(f"{', '.join(unknown[:20])}{more} {verb} of a request: those are {', '.join(_FIELDS)}")

    def _take(self, name: str, convert: Callable[[Any], Any], takes: str) -> Any:
        if name not in self.values:
            return None
        try:
            return convert(self.values[name])
        except (ValueError, TypeError, AttributeError):
            self.faults.append(f"{name} takes {takes.format(fields.shown(self.values[name]))}")
            return None

    def _targets(self) -> tuple[Target, ...]:
        names = fields.as_list(self.values.get("instance_ids", []))
        if not any(names) and "tags" not in self.values and self.event.subject:
            names = [self.event.subject] if fields.ARN.fullmatch(self.event.subject) else []
        targets: dict[Target, None] = {}
        wrong = []
        for name in names:
            for word in fields.words(name) if isinstance(name, str) else [name]:
                target = fields.target_of(word, self.region)
                if target is None:
                    wrong.append(fields.shown(word if isinstance(self.values.get("instance_ids"), str) else name))
                else:
                    targets[target] = None
        if wrong:
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            self.faults.append(
                f"instance_ids takes r-…, REGION/r-… or acs:kvstore:REGION:ACCOUNT:instance/r-…, "
                f"not {', '.join(dict.fromkeys(wrong[:5]))}{more}"
            )
        if not self.region and ("tags" in self.values or any(not target.region for target in targets)):
            self.faults.append("region is missing, and the runtime names none: it takes a region such as cn-hangzhou")
        return tuple(targets)

    def _since(self) -> datetime:
        since = self._take("since", timestamps.parse, "an RFC 3339 time such as 2026-11-24T02:00:00Z, not {}")
        if since is None:
            since = self.event.since
        if since is None and self.event.kind is TriggerKind.MANUAL:
            since = time_in(self.invocation.request_id, self.now)
        since = since or self.now
        if since - self.now > MAX_AHEAD:
            self.faults.append(
                f"since is {timestamps.render(since)}, but the function's clock says {timestamps.render(self.now)}: "
                f"it takes a time at most {MAX_AHEAD.seconds} s ahead; set the sender's clock"
            )
        elif since.year < 2000:
            self.faults.append(f"since is {timestamps.render(since)}: it takes a time after the year 2000")
        return since

    def _follow(self) -> Follow | None:
        try:
            value = self.event.fields["follow"]
            return Follow(
                first=timestamps.parse(value["first"]),
                due=timestamps.parse(value.get("due", value["first"])),
                count=fields.not_negative(value["count"]),
                trigger_id=fields.line(value.get("trigger_id", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            self.faults.append("follow takes an object with first, due, count and trigger_id, as the function sends it")
            return None

    def _jobs(self, value: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        jobs: dict[str, tuple[str, ...]] = {}
        for name, ids in value.items():
            target = fields.target_of(name, self.region)
            listed = [str(item) for item in ids] if isinstance(ids, list) else fields.words(ids)
            if target is None or not all(fields.JOB_ID.fullmatch(item) for item in listed):
                raise ValueError
            jobs[target.key] = jobs.get(target.key, ()) + tuple(listed)
        return jobs

"""From events to requests: each names instances that are to have a backup begun at or after `since`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from redis_backup import timestamps
from redis_backup.errors import InvalidRequest
from redis_backup.event import Event, TriggerKind
from redis_backup.invocation import Invocation, time_in
from redis_backup.settings import RETENTION_DAYS, Settings, is_retention

MAX_AHEAD = timedelta(seconds=30)  # how far a sender's clock may be ahead of ours
MAX_TAGS = 5  # DescribeInstances takes no more
_INSTANCE_ID = re.compile(r"r-[a-z0-9][a-z0-9-]{0,62}")  # there is no documented pattern; ARNs and regions must not fit
_REGION = re.compile(r"(?=.{3,40}$)[a-z]{2,}(-[a-z0-9]+)+")
_ARN = re.compile(r"acs:kvstore:([^:]*):[^:]*:instance/(.+)")
_JOB_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
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
class Target:
    """One instance."""

    region: str
    instance_id: str

    @property
    def key(self) -> str:
        """`REGION/r-…`, as requests, settings and records name it."""
        return f"{self.region}/{self.instance_id}"


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
        raise InvalidRequest(faults[:50] + ([f"and {len(faults) - 50} more"] if len(faults) > 50 else []))
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
        region = self._take("region", _region, "a region such as cn-hangzhou, not {}") or self.invocation.region
        self.region = region
        follow = self._follow() if self.event.kind is TriggerKind.FOLLOW else None
        request = Request(
            kind=self.event.kind,
            trigger_id=follow.trigger_id if follow else self.event.id,
            since=self._since(),
            targets=self._targets(),
            tags=self._take("tags", _tags, f"an object of 1 to {MAX_TAGS} texts, not {{}}") or {},
            region=region,
            max_age=timedelta(minutes=self._take("max_age_minutes", _minutes, "whole minutes, 0 or more, not {}") or 0),
            retention_days=self._take("retention_days", _retention, RETENTION_DAYS + ", not {}"),
            wait_seconds=min(
                86_400, self._take("wait_seconds", _not_negative, "whole seconds, 0 or more, not {}") or 0
            ),
            dry_run=self._take("dry_run", _boolean, "true or false, not {}") or False,
            reason=self._take("reason", _reason, "a text of at most 200 characters, not {}"),
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
        fields = self.event.fields
        if fields is None:
            fields = {}
        if isinstance(fields, str):
            words = _words(fields)
            named = [_target(word, "") is not None for word in words]
            if self.event.strict and not any(named):
                # Not quoted: a text that is no request can be anything, a secret too.
                what = _json_fault(fields) or f"neither JSON nor instance IDs ({len(fields)} characters)"
                self.faults.append(f"the {self.event.place} is a text that is {what}")
                return
            fields = {"instance_ids": words} if any(named) else {}
        elif isinstance(fields, list):
            fields = {"instance_ids": fields}
        elif not isinstance(fields, dict) and not self.event.strict:
            fields = {}  # a foreign event's own data
        elif not isinstance(fields, dict):
            self.faults.append(f"the {self.event.place} is {_kind(fields)}: it takes a JSON object or instance IDs")
            return
        unknown = []
        for name, value in fields.items():
            known = _NAMES.get(re.sub("[_-]", "", str(name)).lower())
            if known is None:
                if self.event.strict and not (name == "follow" and self.event.kind is TriggerKind.FOLLOW):
                    unknown.append(" ".join(str(name)[:40].split()).encode("utf-8", "replace").decode())
            elif known == "instance_ids" and known in self.values:
                self.values[known] = _as_list(self.values[known]) + _as_list(value)
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
            self.faults.append(f"{name} takes {takes.format(_shown(self.values[name]))}")
            return None

    def _targets(self) -> tuple[Target, ...]:
        names = _as_list(self.values.get("instance_ids", []))
        if not any(names) and "tags" not in self.values and self.event.subject:
            names = [self.event.subject] if _ARN.fullmatch(self.event.subject) else []
        targets: dict[Target, None] = {}
        wrong = []
        for name in names:
            for word in _words(name) if isinstance(name, str) else [name]:
                target = _target(word, self.region)
                if target is None:
                    wrong.append(_shown(word if isinstance(self.values.get("instance_ids"), str) else name))
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
                count=_not_negative(value["count"]),
                trigger_id=_line(value.get("trigger_id", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            self.faults.append("follow takes an object with first, due, count and trigger_id, as the function sends it")
            return None

    def _jobs(self, value: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        jobs: dict[str, tuple[str, ...]] = {}
        for name, ids in value.items():
            target = _target(name, self.region)
            listed = [str(item) for item in ids] if isinstance(ids, list) else _words(ids)
            if target is None or not all(_JOB_ID.fullmatch(item) for item in listed):
                raise ValueError
            jobs[target.key] = jobs.get(target.key, ()) + tuple(listed)
        return jobs


def _target(name: Any, region: str) -> Target | None:
    """The instance that `r-…`, `REGION/r-…` or an ARN names; None where it names none."""
    if not isinstance(name, str):
        return None
    arn = _ARN.fullmatch(name.strip())
    if arn:
        region, name = arn[1] or region, arn[2]
    elif "/" in name:
        region, name = name.strip().split("/", 1)
    if not _INSTANCE_ID.fullmatch(name.strip()) or (region and not _REGION.fullmatch(region)):
        return None
    return Target(region, name.strip())


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", text) if word]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _line(value: Any) -> str:
    """A text in one line that any stream can write: white space and what ends lines become blanks."""
    if not isinstance(value, str):
        raise TypeError
    return " ".join(value.encode("utf-8", "replace").decode().split())


def _json_fault(text: str) -> str | None:
    """Where a text that was to be JSON is none; None for one that was not."""
    try:
        json.loads(text if text.lstrip()[:1] in ("{", "[") else "0")
    except json.JSONDecodeError as error:
        return f"no valid JSON (line {error.lineno}, column {error.colno}: {error.msg})"
    return None


def _shown(value: Any) -> str:
    """A value in a message: short, and in one line."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


def _kind(value: Any) -> str:
    return "true or false" if isinstance(value, bool) else "a number" if isinstance(value, (int, float)) else "null"


def _region(value: Any) -> str:
    if not _REGION.fullmatch(value):
        raise ValueError
    return str(value)


def _tags(value: Any) -> dict[str, str]:
    if not 1 <= len(value) <= MAX_TAGS or not all(isinstance(text, str) and key for key, text in value.items()):
        raise ValueError
    return dict(value)


def _not_negative(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _minutes(value: Any) -> int:
    if _not_negative(value) > 5_256_000:  # ten years: older than any backup is kept, and a date that exists
        raise ValueError
    return int(value)


def _retention(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not is_retention(value):
        raise ValueError
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _reason(value: Any) -> str:
    if len(value) > 200:
        raise ValueError
    return _line(value)

"""Read an event's fields into a `Request`. One error names everything that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redis_backup import timestamps
from redis_backup.errors import InvalidRequest
from redis_backup.request import parsers
from redis_backup.request.events import Event, TriggerKind, differ
from redis_backup.request.instances import ARN, InstanceRef, parse_instance
from redis_backup.request.request import FollowUpInfo, Request, too_many_instances
from redis_backup.settings import RETENTION_DAYS, Settings
from redis_backup.states import Proof

MAX_AHEAD = timedelta(seconds=30)  # how far a sender's clock may be ahead of the function's
FIELDS = (
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
    "check",
    "verify",
    "copy",
)
# Case, `_` and `-` in a name do not matter, and the singular is accepted too.
_NAMES = {
    spelling: name for name in FIELDS for bare in [name.replace("_", "")] for spelling in (bare, bare.removesuffix("s"))
}


@dataclass(frozen=True)
class Defaults:
    """Values for fields that a request does not have: the region, the retention in days, and `since`.

    `max_instances`: how many instances a request may name, None for any number; `verify`, `copy`: what has to be shown
    of backups; `has_store`: whether the function has a store.
    """

    region: str
    retention_days: int | None = None
    since: datetime | None = None
    max_instances: int | None = None
    verify: str = "none"
    copy: bool = False
    has_store: bool = False

    @classmethod
    def from_settings(cls, settings: Settings, region: str, since: datetime | None) -> Defaults:
        """Return the function's own values."""
        retention, most = settings.retention_days, settings.max_instances
        return cls(region, retention, since, most, settings.verify, settings.copy, settings.store is not None)


def _refuse_follow_up(_: object) -> FollowUpInfo:
    """Raise ValueError: only the function itself sends follow-ups."""
    raise ValueError


def read_request(
    event: Event, defaults: Defaults, now: datetime, read_follow_up: Callable[[Any], FollowUpInfo] = _refuse_follow_up
) -> Request:
    """Check every field of an event, and return the request. Raise one InvalidRequest that names all errors.

    An event with the fields `{"instanceIds": "r-1, r-2", "region": "cn-hangzhou"}` →
    `Request(instances=(cn-hangzhou/r-1, cn-hangzhou/r-2), …)`. `read_follow_up` reads the field `follow`; it raises
    ValueError, TypeError or KeyError if that is wrong.
    """
    return _Reader(event, defaults, now, read_follow_up).read()


def asks_for_check(event: Event) -> bool:
    """Return whether an event asks for a check instead of backups: `{"check": true}`.

    The data of a CloudEvent never does, and an HTTP body does if it has no fields of its own: there, `check` can be the
    sender's own field, and the backups must not be left out for that.
    """
    fields = event.fields
    if not isinstance(fields, dict) or not event.fields_are_ours or event.method not in ("", "POST"):
        return False
    known = {name: _known_name(name) for name in fields}
    if not event.strict and None in known.values():
        return False
    return any(fields[name] is True for name, field in known.items() if field == "check")


def _known_name(name: object) -> str | None:
    """Return the field that is meant, None for an unknown one: `"InstanceId"` → `"instance_ids"`."""
    return _NAMES.get(re.sub("[_-]", "", str(name)).lower())


def _repeated(fields: Mapping[str, Any], name: str) -> str:
    """Return the name of a field, or of a tag in it, that its JSON has twice with different values; "" if none."""
    if name in getattr(fields, "repeated", ()):
        return name
    return next((f"{name}.{key}" for key in getattr(fields[name], "repeated", ())), "")


class _Reader:
    """Reads one event's fields, and collects what is wrong with them in `errors`."""

    def __init__(
        self,
        event: Event,
        defaults: Defaults,
        now: datetime,
        read_follow_up: Callable[[Any], FollowUpInfo],
    ) -> None:
        self.event, self.defaults, self.now, self.read_follow_up = event, defaults, now, read_follow_up
        self.errors: list[str] = []
        self.values: dict[str, Any] = {}

    def read(self) -> Request:
        self._sort_fields()
        region = self._parse("region", parsers.region, "a region such as cn-hangzhou, not {}") or self.defaults.region
        self.region = region
        follow_up = self._read_follow_up() if self.event.kind is TriggerKind.FOLLOW else None
        request = Request(
            kind=self.event.kind,
            trigger_id=follow_up.trigger_id if follow_up else self.event.id,
            since=self._since(),
            instances=self._instances(),
            tags=self._parse("tags", parsers.tags, f"an object of 1 to {parsers.MAX_TAGS} strings, not {{}}") or {},
            region=region,
            max_age=self._parse("max_age_minutes", parsers.minutes, "an integer from 0 to 5256000, not {}")
            or timedelta(0),
            retention_days=self._retention_days(),
            wait_seconds=min(
                86_400, self._parse("wait_seconds", parsers.not_negative, "an integer of 0 or more, not {}") or 0
            ),
            dry_run=self._parse("dry_run", parsers.boolean, "true or false, not {}") or False,
            reason=self._parse("reason", parsers.reason, "a string of at most 200 characters, not {}") or None,
            jobs=self._parse("jobs", self._jobs, "an object with a list of job IDs for each REGION/r-…, not {}") or {},
            follow_up=follow_up,
            is_check=self._is_check(),
            proof=self._proof(),
        )
        if not (request.instances or request.tags or request.is_check or self.errors):
            self.errors.append(
                f"instance_ids is missing: the {self.event.place} names no instance; use IDs such as "
                "r-bp1zxszhcgatnx01, cn-hangzhou/r-bp1zxszhcgatnx01 or an ARN, or use tags"
            )
        limit = self.defaults.max_instances
        if limit is not None and len(request.instances) > limit:
            self.errors.append(too_many_instances(len(request.instances), limit))
        if self.errors:
            raise InvalidRequest(self.errors)
        return request

    def _is_check(self) -> bool:
        """Return whether a check is asked for. Where it cannot be, the field is the sender's own, and means nothing."""
        if self.event.strict:
            self._parse("check", parsers.boolean, "true or false, not {}")
        return asks_for_check(self.event)

    def _sort_fields(self) -> None:
        """Put the fields' values into `values`, by the names of FIELDS: `InstanceId` → `instance_ids`."""
        unknown, given = [], self._raw_fields()
        for name, value in given.items():
            known = _known_name(name)
            known = None if known == "check" and not self.event.strict else known  # `asks_for_check` has read it
            if known and (repeated := _repeated(given, name)):
                self.errors.append(f"{repeated} is given twice")
                continue
            if known is None:
                if self.event.strict and not (name == "follow" and self.event.kind is TriggerKind.FOLLOW):
                    unknown.append(" ".join(str(name)[:40].split()).encode("utf-8", "replace").decode())
            elif value is None:
                continue
            elif known == "instance_ids" and known in self.values:
                self.values[known] = parsers.as_list(self.values[known]) + parsers.as_list(value)
            elif known not in self.values:
                self.values[known] = value
            elif differ(self.values[known], value):
                self.errors.append(f"{known} is given twice")
        if unknown:
            more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
            noun = "field" if len(unknown) == 1 else "fields"
            self.errors.append(f"unknown {noun}: {', '.join(unknown[:20])}{more}. Known fields: {', '.join(FIELDS)}")

    def _raw_fields(self) -> Mapping[str, Any]:
        """Return the fields as they came: an object's fields; a list or a string of instance IDs is `instance_ids`."""
        raw, place, is_strict = self.event.fields, self.event.place, self.event.strict
        if self.event.error:
            self.errors.append(self.event.error)
        elif isinstance(raw, dict):
            return raw
        elif isinstance(raw, list):
            return {"instance_ids": raw}
        elif isinstance(raw, str):
            words = parsers.words(raw)
            if any(parse_instance(word, "") for word in words):
                return {"instance_ids": words}
            error = parsers.json_error(raw)
            if is_strict or (error and self.event.kind is TriggerKind.HTTP):  # not quoted: it could be a secret
                what = error or f"neither JSON nor instance IDs ({len(raw)} characters)"
                self.errors.append(f"the {place} is {what}; send a JSON object or instance IDs")
        elif raw is not None and is_strict:
            self.errors.append(f"the {place} is {parsers.json_type(raw)}; send a JSON object or instance IDs")
        return {}

    def _parse(self, name: str, parser: Callable[[Any], Any], expected: str) -> Any:
        if name not in self.values:
            return None
        try:
            return parser(self.values[name])
        except (ValueError, TypeError, AttributeError):
            self.errors.append(f"{name} must be {expected.format(parsers.quote(self.values[name]))}")
            return None

    def _instances(self) -> tuple[InstanceRef, ...]:
        names = parsers.as_list(self.values.get("instance_ids", []))
        if not any(names) and "tags" not in self.values and self.event.subject:
            names = [self.event.subject] if ARN.fullmatch(self.event.subject) else []
        found: dict[InstanceRef, None] = {}
        wrong = []
        for name in names:
            for word in parsers.words(name) if isinstance(name, str) else [name]:
                instance = parse_instance(word, self.region)
                if instance is None:
                    wrong.append(parsers.quote(word))
                else:
                    found[instance] = None
        if wrong:
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            self.errors.append(
                "instance_ids must be r-… (lower-case letters, digits and hyphens), REGION/r-… or "
                f"acs:kvstore:REGION:ACCOUNT:instance/r-…, "
                f"not {', '.join(dict.fromkeys(wrong[:5]))}{more}"
            )
        if not self.region and ("tags" in self.values or any(not instance.region for instance in found)):
            self.errors.append("region is missing, and the runtime names none; use a region such as cn-hangzhou")
        return tuple(found)

    def _since(self) -> datetime:
        since = self._parse("since", timestamps.parse, "an RFC 3339 time such as 2026-11-24T02:00:00Z, not {}")
        if since is None:
            since = self.event.since
        if since is None and self.event.kind is TriggerKind.MANUAL:
            since = self.defaults.since
        since = since or self.now
        if since - self.now > MAX_AHEAD:
            self.errors.append(
                f"since is {timestamps.render(since)}, but the function's clock says {timestamps.render(self.now)}; "
                f"use a time at most {MAX_AHEAD.seconds} s ahead of it, or set the sender's clock"
            )
        elif since.year < 2000:
            self.errors.append(f"since is {timestamps.render(since)} but must be in the year 2000 or later")
        return since

    def _retention_days(self) -> int | None:
        days: int | None = self._parse("retention_days", parsers.retention, RETENTION_DAYS + ", not {}")
        return self.defaults.retention_days if days is None else days

    def _proof(self) -> Proof:
        verify = self._parse("verify", parsers.verify, "none, quick or full, not {}") or self.defaults.verify
        copy = self._parse("copy", parsers.boolean, "true or false, not {}")
        proof = Proof.from_fields(verify, self.defaults.copy if copy is None else copy)
        if proof.needs_store and not self.defaults.has_store:
            wanted = "copy" if proof is Proof.COPY else "verify: full"
            self.errors.append(
                f"{wanted} needs a store for receipts: set BACKUP_STORE to oss://BUCKET/PREFIX in the function's "
                "environment, or use verify: quick"
            )
        return proof

    def _read_follow_up(self) -> FollowUpInfo | None:
        try:
            return self.read_follow_up(self.event.fields["follow"])
        except (KeyError, TypeError, ValueError, AttributeError):
            self.errors.append("follow must be an object with first, due and trigger_id, as the function sends it")
            return None

    def _jobs(self, value: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        jobs: dict[str, tuple[str, ...]] = {}
        for name, ids in value.items():
            instance = parse_instance(name, self.region)
            listed = [str(item) for item in ids] if isinstance(ids, list) else parsers.words(ids)
            if instance is None or not all(parsers.JOB_MARK.fullmatch(item) for item in listed):
                raise ValueError
            jobs[instance.key] = jobs.get(instance.key, ()) + tuple(listed)
        return jobs

"""From an event's fields to a request; all that is wrong with them is said at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redis_backup import timestamps
from redis_backup.errors import InvalidRequest
from redis_backup.request import parsers
from redis_backup.request.events import Event, TriggerKind
from redis_backup.request.instances import ARN, InstanceRef, parse_instance
from redis_backup.request.request import Follow, Request, too_many
from redis_backup.settings import RETENTION_DAYS

MAX_AHEAD = timedelta(seconds=30)  # how far a sender's clock may be ahead of ours
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
)
# Case, `_` and `-` do not count, and the singular is as good as the plural.
_NAMES = {
    spelling: name for name in FIELDS for bare in [name.replace("_", "")] for spelling in (bare, bare.removesuffix("s"))
}


@dataclass(frozen=True)
class Defaults:
    """What a request has that names none itself: a region, the days that backups are kept, a `since`.

    `max_instances`: how many a request may name, None for any number.
    """

    region: str
    retention_days: int | None = None
    since: datetime | None = None
    max_instances: int | None = None


def _no_follow(_: object) -> Follow:
    """Only the function itself sends follow-ups. Raise ValueError."""
    raise ValueError


def read_request(
    event: Event, defaults: Defaults, now: datetime, read_follow: Callable[[Any], Follow] = _no_follow
) -> Request:
    """Validate every field of an event. Raise one InvalidRequest that names all errors.

    `read_follow` reads the object `follow`; it raises ValueError, TypeError or KeyError where it is none.
    """
    return _Reader(event, defaults, now, read_follow).read()


def _repeated(fields: Mapping[str, Any], name: str) -> str:
    """Return the name of a field, or of a tag in it, that its JSON has twice with different values; "" if none."""
    if name in getattr(fields, "repeated", ()):
        return name
    return next((f"{name}.{key}" for key in getattr(fields[name], "repeated", ())), "")


class _Reader:
    """Reads one event's fields, gathering what is wrong with them."""

    def __init__(
        self,
        event: Event,
        defaults: Defaults,
        now: datetime,
        read_follow: Callable[[Any], Follow],
    ) -> None:
        self.event, self.defaults, self.now, self.read_follow = event, defaults, now, read_follow
        self.errors: list[str] = []
        self.values: dict[str, Any] = {}

    def read(self) -> Request:
        self._gather()
        region = self._take("region", parsers.region, "a region such as cn-hangzhou, not {}") or self.defaults.region
        self.region = region
        follow = self._follow() if self.event.kind is TriggerKind.FOLLOW else None
        request = Request(
            kind=self.event.kind,
            trigger_id=follow.trigger_id if follow else self.event.id,
            since=self._since(),
            instances=self._instances(),
            tags=self._take("tags", parsers.tags, f"an object of 1 to {parsers.MAX_TAGS} texts, not {{}}") or {},
            region=region,
            max_age=self._take("max_age_minutes", parsers.minutes, "whole minutes, 0 or more, not {}") or timedelta(0),
            retention_days=self._retention_days(),
            wait_seconds=min(
                86_400, self._take("wait_seconds", parsers.not_negative, "whole seconds, 0 or more, not {}") or 0
            ),
            dry_run=self._take("dry_run", parsers.boolean, "true or false, not {}") or False,
            reason=self._take("reason", parsers.reason, "a text of at most 200 characters, not {}") or None,
            jobs=self._take("jobs", self._jobs, "an object that gives each REGION/r-… a list of job IDs, not {}") or {},
            follow=follow,
        )
        if not (request.instances or request.tags or self.errors):
            self.errors.append(
                f"instance_ids is missing: the {self.event.place} names no instance; it takes IDs such as "
                "r-bp1zxszhcgatnx01, cn-hangzhou/r-bp1zxszhcgatnx01 or an ARN, or `tags`"
            )
        limit = self.defaults.max_instances
        if limit is not None and len(request.instances) > limit:
            self.errors.append(too_many(len(request.instances), limit))
        if self.errors:
            raise InvalidRequest(self.errors)
        return request

    def _gather(self) -> None:
        """Sort the fields by the contract's names, however they are spelt."""
        unknown, given = [], self._given()
        for name, value in given.items():
            known = _NAMES.get(re.sub("[_-]", "", str(name)).lower())
            if known and (repeated := _repeated(given, name)):
                self.errors.append(f"{repeated} is given twice")
                continue
            if known is None:
                if self.event.strict and not (name == "follow" and self.event.kind is TriggerKind.FOLLOW):
                    unknown.append(" ".join(str(name)[:40].split()).encode("utf-8", "replace").decode())
            elif known == "instance_ids" and known in self.values:
                self.values[known] = parsers.as_list(self.values[known]) + parsers.as_list(value)
            elif known in self.values:
                self.errors.append(f"{known} is given twice")
            elif value is not None:
                self.values[known] = value
        if unknown:
            more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
            verb = "is no field" if len(unknown) == 1 else "are no fields"
            self.errors.append(f"{', '.join(unknown[:20])}{more} {verb} of a request: those are {', '.join(FIELDS)}")

    def _given(self) -> Mapping[str, Any]:
        """The fields as they came: an object's; a list or a text of instance IDs is `instance_ids` alone."""
        given, place, is_strict = self.event.fields, self.event.place, self.event.strict
        if self.event.error:
            self.errors.append(self.event.error)
        elif isinstance(given, dict):
            return given
        elif isinstance(given, list):
            return {"instance_ids": given}
        elif isinstance(given, str):
            words = parsers.words(given)
            if any(parse_instance(word, "") for word in words):
                return {"instance_ids": words}
            error = parsers.json_error(given)
            if is_strict or (error and self.event.kind is TriggerKind.HTTP):  # not quoted: it could be a secret
                what = error or f"neither JSON nor instance IDs ({len(given)} characters)"
                self.errors.append(f"the {place} is a text that is {what}")
        elif given is not None and is_strict:
            self.errors.append(f"the {place} is {parsers.json_kind(given)}: it takes a JSON object or instance IDs")
        return {}

    def _take(self, name: str, convert: Callable[[Any], Any], takes: str) -> Any:
        if name not in self.values:
            return None
        try:
            return convert(self.values[name])
        except (ValueError, TypeError, AttributeError):
            self.errors.append(f"{name} takes {takes.format(parsers.shown(self.values[name]))}")
            return None

    def _instances(self) -> tuple[InstanceRef, ...]:
        names = parsers.as_list(self.values.get("instance_ids", []))
        if not any(names) and "tags" not in self.values and self.event.subject:
            names = [self.event.subject] if ARN.fullmatch(self.event.subject) else []
        found: dict[InstanceRef, None] = {}
        wrong = []
        for name in names:
            for word in parsers.words(name) if isinstance(name, str) else [name]:
                target = parse_instance(word, self.region)
                if target is None:
                    wrong.append(parsers.shown(word))
                else:
                    found[target] = None
        if wrong:
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            self.errors.append(
                f"instance_ids takes r-…, REGION/r-… or acs:kvstore:REGION:ACCOUNT:instance/r-…, "
                f"not {', '.join(dict.fromkeys(wrong[:5]))}{more}"
            )
        if not self.region and ("tags" in self.values or any(not target.region for target in found)):
            self.errors.append("region is missing, and the runtime names none: it takes a region such as cn-hangzhou")
        return tuple(found)

    def _since(self) -> datetime:
        since = self._take("since", timestamps.parse, "an RFC 3339 time such as 2026-11-24T02:00:00Z, not {}")
        if since is None:
            since = self.event.since
        if since is None and self.event.kind is TriggerKind.MANUAL:
            since = self.defaults.since
        since = since or self.now
        if since - self.now > MAX_AHEAD:
            self.errors.append(
                f"since is {timestamps.render(since)}, but the function's clock says {timestamps.render(self.now)}: "
                f"it takes a time at most {MAX_AHEAD.seconds} s ahead; set the sender's clock"
            )
        elif since.year < 2000:
            self.errors.append(f"since is {timestamps.render(since)}: it takes a time after the year 2000")
        return since

    def _retention_days(self) -> int | None:
        days: int | None = self._take("retention_days", parsers.retention, RETENTION_DAYS + ", not {}")
        return self.defaults.retention_days if days is None else days

    def _follow(self) -> Follow | None:
        try:
            return self.read_follow(self.event.fields["follow"])
        except (KeyError, TypeError, ValueError, AttributeError):
            self.errors.append("follow takes an object with first, due and trigger_id, as the function sends it")
            return None

    def _jobs(self, value: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        jobs: dict[str, tuple[str, ...]] = {}
        for name, ids in value.items():
            target = parse_instance(name, self.region)
            listed = [str(item) for item in ids] if isinstance(ids, list) else parsers.words(ids)
            if target is None or not all(parsers.JOB_MARK.fullmatch(item) for item in listed):
                raise ValueError
            jobs[target.key] = jobs.get(target.key, ()) + tuple(listed)
        return jobs

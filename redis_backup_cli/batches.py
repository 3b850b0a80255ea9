"""The command's request, checked by the function's own rules, in batches that one invocation accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from redis_backup import timestamps
from redis_backup.errors import InvalidRequest
from redis_backup.request.events import Event, TriggerKind
from redis_backup.request.instances import InstanceRef
from redis_backup.request.reader import Defaults, read_request
from redis_backup.request.request import Request

from .errors import RefusedError
from .report import Answer, Jobs
from .request import CommandRequest

BATCH = 200  # instances; as many as the function takes without splitting, by default
_MAX_SKEW = timedelta(minutes=15)  # Function Compute refuses a signature whose time differs by more


@dataclass(frozen=True, eq=False)
class Batch:
    """The part of a request that one invocation gets. Which instances the tags select is known after the first answer.

    `jobs` and `is_watched` are from the last answer: its `jobs` as they came, and whether an instance is being watched.
    `is_read_only`: the function has split the request, so that other invocations do the work. `not_before`: when it may
    be sent, in seconds of the monotonic clock.
    """

    instances: tuple[InstanceRef, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    jobs: Jobs = field(default_factory=dict)
    is_watched: bool = False
    is_read_only: bool = False
    not_before: float = 0.0

    def next_batches(self, answer: Answer, not_before: float) -> list[Batch]:
        """Return what to send after an answer: the same instances, and those that the tags selected, by name.

        They are always cut alike, since the function recognises a request by its instances.
        """
        instances = tuple(dict.fromkeys((*self.instances, *answer.outcomes)))
        size = min(BATCH, answer.shard_size or BATCH)
        is_read_only = self.is_read_only or answer.shard_size > 0
        batches = []
        for part in _cut(instances, size):
            keys = {instance.key for instance in part}
            is_whole = len(part) == len(instances)
            jobs = answer.jobs if is_whole else {key: ids for key, ids in answer.jobs.items() if key in keys}
            batches.append(Batch(part, {}, jobs, answer.is_watched, is_read_only, not_before))
        return batches


def read_fields(fields: Mapping[str, Any], region: str, now: datetime) -> CommandRequest:
    """Return the request as the function will read it. Raise RefusedError with all errors, before anything is sent.

    `{"instance_ids": ["r-1"], "since": "2026-11-24T02:00:00Z"}, "cn-hangzhou"` →
    `CommandRequest(instances=(InstanceRef("cn-hangzhou", "r-1"),), since=2026-11-24 02:00:00 UTC, …)`.

    Only the function knows whether it has a store. `now` is this machine's time, which may be slow: within 15 minutes
    the function judges whether `since` is too late.
    """
    try:
        since = timestamps.parse(str(fields["since"]))
    except ValueError:
        since = now
    now = max(now, since) if since - now <= _MAX_SKEW else now
    event = Event(TriggerKind.MANUAL, "", "command", dict(fields), strict=True)
    try:
        request = read_request(event, Defaults(region, has_store=True), now)
    except InvalidRequest as error:
        raise RefusedError("; ".join(error.errors), "nothing was started") from None
    return CommandRequest(**vars(request), verify=fields.get("verify"), copy=fields.get("copy"))


def split_request(request: Request) -> list[Batch]:
    """Return all of a request in batches of at most 200 instances; the first has the tags, too."""
    first, *others = _cut(request.instances, BATCH) or [()]
    return [Batch(first, request.tags), *map(Batch, others)]


def render_payload(request: CommandRequest, batch: Batch, wait_seconds: int = 0) -> bytes:
    """Return a batch as the JSON of an event: `{"instance_ids": ["cn-hangzhou/r-…"], "since": "…", …}`.

    `copy: false` is sent too, since the function's own setting can be true.
    """
    fields = {
        "instance_ids": [instance.key for instance in batch.instances],
        "tags": dict(batch.tags),
        "region": request.region,
        "since": timestamps.render(request.since),
        "max_age_minutes": int(request.max_age.total_seconds() // 60),
        "retention_days": request.retention_days,
        "wait_seconds": wait_seconds,
        "reason": request.reason,
        "dry_run": request.dry_run or batch.is_read_only,
        "jobs": batch.jobs,
    }
    return _render(request, fields)


def render_check(request: CommandRequest) -> bytes:
    """Return the JSON of an event that asks for a check: `{"check": true, "region": "cn-hangzhou"}`."""
    fields = {
        "check": True,
        "instance_ids": [instance.key for instance in request.instances],
        "tags": dict(request.tags),
        "region": request.region,
        "reason": request.reason,
    }
    return _render(request, fields)


def _render(request: CommandRequest, fields: Mapping[str, Any]) -> bytes:
    given = {name: value for name, value in {**fields, "verify": request.verify}.items() if value}
    return json.dumps(given if request.copy is None else given | {"copy": request.copy}).encode()


def _cut(instances: Sequence[InstanceRef], size: int) -> list[tuple[InstanceRef, ...]]:
    return [tuple(instances[start : start + size]) for start in range(0, len(instances), size)]

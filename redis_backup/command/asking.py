"""What the command asks for: one request, read by the function's own rules, in batches that one invocation takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from redis_backup import timestamps
from redis_backup.errors import InvalidRequest
from redis_backup.event import Event, TriggerKind
from redis_backup.fields import Target
from redis_backup.invocation import Credentials, Invocation
from redis_backup.request import Request, read_requests
from redis_backup.settings import Settings

from .problems import RefusedError

BATCH = 200  # instances; as many as the function takes without splitting, by default


@dataclass(frozen=True)
class Batch:
    """What goes into one invocation. What the tags select is not known before the first answer."""

    targets: tuple[Target, ...]
    tags: Mapping[str, str] = field(default_factory=dict)


def read(fields: Mapping[str, Any], region: str, now: datetime) -> Request:
    """The request as the function will read it. Raise RefusedError with all faults, before anything is sent."""
    event = Event(TriggerKind.MANUAL, "", "command", dict(fields), strict=True)
    invocation = Invocation("", region, "", "", "", "", Credentials("", "", ""), 0.0, 0.0)
    try:
        return read_requests([event], invocation, Settings(), now)[0]
    except InvalidRequest as error:
        raise RefusedError("; ".join(error.faults), "nothing was started") from None


def batches(request: Request) -> list[Batch]:
    """All of a request; the first batch bears the tags."""
    first, *others = cut(request.targets, BATCH) or [Batch(())]
    return [Batch(first.targets, request.tags), *others]


def cut(targets: Sequence[Target], size: int) -> list[Batch]:
    """Batches of at most that many instances, always cut alike: the function knows a request again by its instances."""
    return [Batch(tuple(targets[start : start + size])) for start in range(0, len(targets), size)]


def payload(request: Request, batch: Batch, jobs: Mapping[Target, Sequence[str]]) -> bytes:
    """A batch as an event. `jobs`: the job IDs that earlier answers told of."""
    fields = {
        "instance_ids": [target.key for target in batch.targets],
        "tags": dict(batch.tags),
        "region": request.region,
        "since": timestamps.render(request.since),
        "max_age_minutes": int(request.max_age.total_seconds() // 60),
        "retention_days": request.retention_days,
        "reason": request.reason,
        "dry_run": request.dry_run,
        "jobs": {target.key: list(jobs[target]) for target in batch.targets if jobs.get(target)},
    }
    return json.dumps({name: value for name, value in fields.items() if value}).encode()

"""What travels to the next invocation: the same request for what is not final, and how it is named.

A follow-up is named by what it covers and when it is due, and by nothing that was seen: so there is one for the same
instances at one time, however often the event is delivered, and Function Compute refuses the second. An event that is
sent again after its follow-ups have ended, or died, finds the next points of time free.

    since          + F           + 2 F          + 3 F
      |──────────────|──────────────|──────────────|────     F: BACKUP_FOLLOW_SECONDS
    a shard       follow-ups: the first point at least half a step from now
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from redis_backup import timestamps
from redis_backup.alibaba.function_compute import MAX_ASYNC_PAYLOAD
from redis_backup.reconcile.watch import AFTER_UNKNOWN, LEAST_TIMEOUT, WATCH, window_end
from redis_backup.reconcile.work import Work, totals
from redis_backup.request.events import TriggerKind
from redis_backup.request.parsers import line, not_negative
from redis_backup.request.request import Finished, Follow, Request

_WATCH_STEP = 10  # seconds between the points of time of follow-ups that are to watch
_SHARD_STEP = 60  # seconds; of shards that are sent once more, where BACKUP_FOLLOW_SECONDS is 0


@dataclass(frozen=True)
class FollowUp:
    """An invocation to come, for some instances of a request."""

    task_id: str
    payload: bytes
    due: datetime
    works: tuple[Work, ...]


def follow_up(request: Request, works: Sequence[Work], first: datetime, due: datetime) -> list[FollowUp]:
    """The next invocation for these instances; several where they do not fit into one payload."""
    follow = _next_follow(request, works, first, due)
    return _parts(request, [work for work in works if work.is_open], follow)


def shards(
    request: Request, works: Sequence[Work], size: int, first: datetime, *, sent_at: datetime | None
) -> list[FollowUp]:
    """The invocations that a large request is split into, cut in the order of the instances' keys.

    Each is due at the event's own time, so that Function Compute refuses a second delivery's. `sent_at`: now, where the
    invocation that splits it is prompt. What is known to be missing in all travels with the first.
    """
    works = sorted(works, key=lambda work: work.instance)
    cuts = [works[start : start + size] for start in range(0, len(works), size)]
    parts = []
    for number, cut in enumerate(cuts):
        finished = Finished(unlisted=request.unlisted if number == 0 else 0)
        follow = Follow(first, request.since, request.kind, request.trigger_id, request.total, sent_at, finished)
        follow = replace(follow, shard=f"{number + 1}/{len(cuts)}")
        parts += _parts(request, cut, follow)
    return parts


def sent_again(shard: FollowUp, request: Request, first: datetime, due: datetime) -> list[FollowUp]:
    """A shard whose name was taken, for a later time: what the first did, only looking can tell."""
    follow = read_follow(json.loads(shard.payload)["follow"])
    return _parts(request, shard.works, replace(follow, first=first, due=due, sent_at=None))


def next_due(request: Request, works: Iterable[Work], step: int, timeout: float, now: datetime) -> datetime:
    """When the next invocation for these is due: on the grid, soon where a watch is unfinished.

    `step` in seconds, 0 for that of shards. Not sooner than a watch, or a backup without one, can come to its end.
    """
    step, soonest = step or _SHARD_STEP, now
    watched = [work for work in works if work.is_open and work.wants_watch]
    if watched:
        step, least = _WATCH_STEP, timedelta(seconds=1)
        soonest = min(_useful_from(work, timeout, now) for work in watched)
    else:
        least = timedelta(seconds=step / 2)
    number = math.ceil((max(now + least, soonest) - request.since) / timedelta(seconds=step))
    before = request.follow.due if request.follow else request.since
    number = max(number, math.floor((before - request.since) / timedelta(seconds=step)) + 1)
    return request.since + timedelta(seconds=number * step)


def read_follow(value: Any) -> Follow:
    """What a follow-up's `follow` says. Raise ValueError, TypeError or KeyError where it is none that was sent."""
    finished: Mapping[str, Any] = value.get("finished", {})
    started = finished.get("first_started")
    return Follow(
        first=timestamps.parse(value["first"]),
        due=timestamps.parse(value.get("due", value["first"])),
        kind=TriggerKind(value.get("trigger", "follow")),
        trigger_id=line(value.get("trigger_id", "")),
        shard=line(value.get("shard", "")),
        total=not_negative(value.get("total", 0)),
        sent_at=timestamps.parse(value["sent_at"]) if "sent_at" in value else None,
        finished=Finished(
            **{name: not_negative(finished.get(name, 0)) for name in ("succeeded", "failed", "attempts", "unlisted")},
            first_started=timestamps.parse(started) if started else None,
            failed_ids=tuple(line(key) for key in finished.get("failed_ids", ())),
        ),
    )


def _write_follow(follow: Follow) -> dict[str, Any]:
    """What `read_follow` reads."""
    done = follow.finished
    finished = {
        "succeeded": done.succeeded,
        "failed": done.failed,
        "attempts": done.attempts,
        "unlisted": done.unlisted,
        "first_started": timestamps.render(done.first_started) if done.first_started else None,
        "failed_ids": list(done.failed_ids),
    }
    values = {
        "first": timestamps.render(follow.first),
        "due": timestamps.render(follow.due),
        "trigger": follow.kind.value,
        "trigger_id": follow.trigger_id,
        "shard": follow.shard,
        "total": follow.total,
        "sent_at": timestamps.render(follow.sent_at) if follow.sent_at else None,
        "finished": {name: value for name, value in finished.items() if value},
    }
    return {name: value for name, value in values.items() if value}


def _next_follow(request: Request, works: Sequence[Work], first: datetime, due: datetime) -> Follow:
    before, finished = request.follow, totals(request, works)
    if before:
        return replace(before, due=due, total=request.total, sent_at=None, finished=finished)
    return Follow(first, due, request.kind, request.trigger_id, request.total, None, finished)


def _useful_from(work: Work, timeout: float, now: datetime) -> datetime:
    """When another invocation can bring an instance on: it would watch in vain before, or wait."""
    if timeout < LEAST_TIMEOUT:
        return work.known.unanswered_at + AFTER_UNKNOWN if work.known.unanswered_at else now
    return window_end(work.request) - WATCH


def _parts(request: Request, works: Sequence[Work], follow: Follow) -> list[FollowUp]:
    if not works:
        return []
    payload = json.dumps(_request_again(request, works, follow), separators=(",", ":")).encode()
    if len(payload) > MAX_ASYNC_PAYLOAD and len(works) > 1:  # job IDs by the thousand
        half, shard = len(works) // 2, follow.shard or "1/1"
        rest = replace(follow, finished=Finished(), shard=f"{shard}b")  # what is final is told once
        return _parts(request, works[:half], replace(follow, shard=f"{shard}a")) + _parts(request, works[half:], rest)
    return [FollowUp(_task_id(request, works, follow), payload, follow.due, tuple(works))]


def _task_id(request: Request, works: Iterable[Work], follow: Follow) -> str:
    has_own_id = follow.kind not in (TriggerKind.MANUAL, TriggerKind.HTTP)  # else each poll would have its own
    identity = [
        follow.kind.value,
        follow.trigger_id if has_own_id else "",
        timestamps.render(request.since),
        request.max_age.total_seconds(),
        request.retention_days,
        request.reason,
        sorted(work.instance.key for work in works),
        timestamps.render(follow.due),
        *(["dry_run"] if request.dry_run else []),
    ]
    return f"backup-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]}"


def _request_again(request: Request, works: Sequence[Work], follow: Follow) -> dict[str, Any]:
    jobs = {work.instance.key: _jobs(work) for work in works}
    fields: dict[str, Any] = {
        "follow": _write_follow(follow),
        "instance_ids": [work.instance.key for work in works],
        "jobs": {key: texts for key, texts in jobs.items() if texts},
        "since": timestamps.render(request.since),
        "max_age_minutes": int(request.max_age.total_seconds() // 60),
        "retention_days": request.retention_days,
        "reason": request.reason,
        "dry_run": request.dry_run,
    }
    return {name: value for name, value in fields.items() if value}


def _jobs(work: Work) -> list[str]:
    """What is known of an instance, and what was last recorded of it."""
    return replace(work.known, recorded=work.recorded).encode()

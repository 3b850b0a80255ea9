"""Write and read follow-ups and shards: the events that the function sends to itself, and their task IDs.

A *follow-up* is the same request again, for the instances that are not in a final state yet; it carries what is known
of them. A *shard* is a part of a large request. The task ID is a hash of the request, the instances and the time at
which the follow-up is due, and of nothing that was observed. So there is only one follow-up for the same instances at
one time, however often the event is delivered: Function Compute refuses a task ID that is in use
(https://www.alibabacloud.com/help/en/functioncompute/fc/user-guide/asynchronous-task). If an event is sent again after
its follow-ups have ended or crashed, the next points of time are free.

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
from redis_backup.reconcile.watch import MIN_TIMEOUT, WAIT_AFTER_UNKNOWN, WATCH_LENGTH, window_end
from redis_backup.reconcile.work import WorkItem, totals
from redis_backup.request.events import TriggerKind
from redis_backup.request.parsers import not_negative, one_line
from redis_backup.request.request import FollowUpInfo, Request, Totals
from redis_backup.states import Proof

_WATCH_STEP = 10  # seconds between the points of time of follow-ups that have to watch an instance
_SHARD_STEP = 60  # seconds between the points of time of shards that are sent again, if BACKUP_FOLLOW_SECONDS is 0


@dataclass(frozen=True)
class FollowUp:
    """An invocation to send, for some instances of a request."""

    task_id: str
    payload: bytes
    due: datetime
    items: tuple[WorkItem, ...]


def follow_ups(request: Request, items: Sequence[WorkItem], first: datetime, due: datetime) -> list[FollowUp]:
    """Return the next invocation for these instances; several if they do not fit into one payload."""
    info = _next_info(request, items, first, due)
    return _split_to_fit(request, [item for item in items if item.is_left], info)


def shards(
    request: Request, items: Sequence[WorkItem], size: int, first: datetime, *, sent_at: datetime | None
) -> list[FollowUp]:
    """Return the shards of a large request, `size` instances each, in the order of the instances' keys.

    Each is due at the event's own time, so that Function Compute refuses those of a second delivery. `sent_at`: now, if
    the invocation that splits the request is prompt. The first shard carries the number of unlisted instances.
    """
    items = sorted(items, key=lambda item: item.instance)
    pieces = [items[start : start + size] for start in range(0, len(items), size)]
    parts = []
    for number, piece in enumerate(pieces):
        missing = Totals(unlisted=request.unlisted if number == 0 else 0)
        info = FollowUpInfo(first, request.since, request.kind, request.trigger_id, request.total, sent_at, missing)
        info = replace(info, shard=f"{number + 1}/{len(pieces)}")
        parts += _split_to_fit(request, piece, info)
    return parts


def delayed_check(request: Request, first: datetime, due: datetime) -> FollowUp:
    """Return the invocation that shows whether Function Compute honours the delay of a follow-up."""
    info = FollowUpInfo(first, due, request.kind, request.trigger_id)
    fields = {"follow": _write_follow_up(info), "check": True, "since": timestamps.render(request.since)}
    fields |= {"reason": request.reason} if request.reason else {}
    return FollowUp(_task_id(request, (), info), json.dumps(fields).encode(), due, ())


def reading(request: Request, item: WorkItem, first: datetime) -> FollowUp:
    """Return the invocation that reads the files of an instance's backup. It is due at once, like a shard.

    The instance is a shard of its own from then on, unless it is the only one that the request has.
    """
    info = _next_info(request, (), first, request.since)
    if len(request.instances) > 1:
        shard = f"{info.shard or '1/1'}/{item.instance.instance_id}"
        info = replace(info, totals=Totals(), shard=shard)
    [follow_up] = _split_to_fit(request, [item], replace(info, is_reading=True))
    return follow_up


def for_later(shard: FollowUp, request: Request, first: datetime, due: datetime) -> list[FollowUp]:
    """Return a shard whose task ID is in use, for a later time: only a new look shows what the first one did."""
    info = read_follow_up(json.loads(shard.payload)["follow"])
    return _split_to_fit(request, shard.items, replace(info, first=first, due=due, sent_at=None))


def next_due(request: Request, items: Iterable[WorkItem], step: int, timeout: float, now: datetime) -> datetime:
    """Return when the next invocation for these instances is due: a point of the grid, soon if a watch is unfinished.

    `step` is in seconds, 0 for that of shards. It is not before the watch can be complete.
    """
    step, soonest = step or _SHARD_STEP, now
    watched = [item for item in items if item.is_open and item.needs_watch]
    if watched:
        step, min_wait = _WATCH_STEP, timedelta(seconds=1)
        soonest = min(_earliest_useful(item, timeout, now) for item in watched)
    else:
        min_wait = timedelta(seconds=step / 2)
    number = math.ceil((max(now + min_wait, soonest) - request.since) / timedelta(seconds=step))
    previous_due = request.follow_up.due if request.follow_up else request.since
    number = max(number, math.floor((previous_due - request.since) / timedelta(seconds=step)) + 1)
    return request.since + timedelta(seconds=number * step)


def read_follow_up(value: Any) -> FollowUpInfo:
    """Read the field `follow` of a follow-up. Raise ValueError, TypeError or KeyError if the function did not write it.

    `{"first": "2026-11-24T02:00:01Z", "due": "2026-11-24T02:01:00Z", "trigger": "timer", "trigger_id": "nightly@…"}` →
    `FollowUpInfo(first=02:00:01, due=02:01:00, kind=TIMER, trigger_id="nightly@…")`.
    """
    finished: Mapping[str, Any] = value.get("finished", {})
    started = finished.get("first_started")
    return FollowUpInfo(
        first=timestamps.parse(value["first"]),
        due=timestamps.parse(value.get("due", value["first"])),
        kind=TriggerKind(value.get("trigger", "follow")),
        trigger_id=one_line(value.get("trigger_id", "")),
        shard=one_line(value.get("shard", "")),
        total=not_negative(value.get("total", 0)),
        sent_at=timestamps.parse(value["sent_at"]) if "sent_at" in value else None,
        is_reading=value.get("reading") is True,
        totals=Totals(
            **{name: not_negative(finished.get(name, 0)) for name in ("succeeded", "failed", "attempts", "unlisted")},
            first_started=timestamps.parse(started) if started else None,
            failed_ids=tuple(one_line(key) for key in finished.get("failed_ids", ())),
        ),
    )


def _write_follow_up(info: FollowUpInfo) -> dict[str, Any]:
    """Write what `read_follow_up` reads."""
    done = info.totals
    totals_so_far = {
        "succeeded": done.succeeded,
        "failed": done.failed,
        "attempts": done.attempts,
        "unlisted": done.unlisted,
        "first_started": timestamps.render(done.first_started) if done.first_started else None,
        "failed_ids": list(done.failed_ids),
    }
    values = {
        "first": timestamps.render(info.first),
        "due": timestamps.render(info.due),
        "trigger": info.kind.value,
        "trigger_id": info.trigger_id,
        "shard": info.shard,
        "total": info.total,
        "sent_at": timestamps.render(info.sent_at) if info.sent_at else None,
        "reading": info.is_reading,
        "finished": {name: value for name, value in totals_so_far.items() if value},
    }
    return {name: value for name, value in values.items() if value}


def _next_info(request: Request, items: Sequence[WorkItem], first: datetime, due: datetime) -> FollowUpInfo:
    earlier, totals_so_far = request.follow_up, totals(request, items)
    if earlier:
        return replace(earlier, due=due, total=request.total, sent_at=None, totals=totals_so_far)
    return FollowUpInfo(first, due, request.kind, request.trigger_id, request.total, None, totals_so_far)


def _earliest_useful(item: WorkItem, timeout: float, now: datetime) -> datetime:
    """Return when another invocation can start a backup of the instance; before that it could only watch or wait."""
    if timeout < MIN_TIMEOUT:
        return item.known.unanswered_at + WAIT_AFTER_UNKNOWN if item.known.unanswered_at else now
    return window_end(item.request) - WATCH_LENGTH


def _split_to_fit(request: Request, items: Sequence[WorkItem], info: FollowUpInfo) -> list[FollowUp]:
    if not items:
        return []
    least = min(request.proof_of(item.instance) for item in items)
    if more := [item for item in items if request.proof_of(item.instance) > least]:  # of a batch: see `merge`
        rest = [item for item in items if item not in more]
        return _split_in_two(request, rest, more, info)
    payload = json.dumps(_request_payload(request, items, info), separators=(",", ":")).encode()
    if len(payload) > MAX_ASYNC_PAYLOAD and len(items) > 1:  # job IDs by the thousand
        half = len(items) // 2
        return _split_in_two(request, items[:half], items[half:], info)
    return [FollowUp(_task_id(request, items, info), payload, info.due, tuple(items))]


def _split_in_two(
    request: Request, first: Sequence[WorkItem], second: Sequence[WorkItem], info: FollowUpInfo
) -> list[FollowUp]:
    shard = info.shard or "1/1"
    first_info = replace(info, shard=f"{shard}a")
    second_info = replace(info, totals=Totals(), shard=f"{shard}b")  # what is final is counted once
    return _split_to_fit(request, first, first_info) + _split_to_fit(request, second, second_info)


def _task_id(request: Request, items: Iterable[WorkItem], info: FollowUpInfo) -> str:
    identity = [
        info.kind.value,
        "" if info.kind.has_caller else info.trigger_id,
        timestamps.render(request.since),
        request.max_age.total_seconds(),
        request.retention_days,
        request.reason,
        list(_proof_of(request, items).fields.values()),
        sorted(item.instance.key for item in items),
        timestamps.render(info.due),
        *(["dry_run"] if request.dry_run else []),
        *(["check", request.trigger_id] if request.is_check else []),
    ]
    return f"backup-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]}"


def _request_payload(request: Request, items: Sequence[WorkItem], info: FollowUpInfo) -> dict[str, Any]:
    jobs = {item.instance.key: _encode_known(item) for item in items}
    fields: dict[str, Any] = {
        "follow": _write_follow_up(info),
        "instance_ids": [item.instance.key for item in items],
        "jobs": {key: marks for key, marks in jobs.items() if marks},
        "since": timestamps.render(request.since),
        "max_age_minutes": int(request.max_age.total_seconds() // 60),
        "retention_days": request.retention_days,
        "reason": request.reason,
        "dry_run": request.dry_run,
    }
    return {name: value for name, value in fields.items() if value} | _proof_of(request, items).fields


def _proof_of(request: Request, items: Iterable[WorkItem]) -> Proof:
    return max((request.proof_of(item.instance) for item in items), default=request.proof)


def _encode_known(item: WorkItem) -> list[str]:
    """Write what is known of an instance, and what was last recorded of it."""
    return replace(item.known, recorded=item.recorded).encode()

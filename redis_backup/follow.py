"""Sending the same request again: follow-ups for what is not final, and shards of what is too large.

Both are asynchronous invocations of the function by itself. Their task IDs are made from the request and a count, so
the platform refuses a repeat and one chain exists, however often the first event is delivered.

    event ─► invocation ─┬─ 409 or 202 ─► follow-up 1 ─► follow-up 2 ─► … until all are final
      └─► (delivered again) ─┘
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from redis_backup import function_compute, timestamps
from redis_backup.api_errors import ApiError
from redis_backup.ensure import Case
from redis_backup.event import TriggerKind
from redis_backup.invocation import Invocation
from redis_backup.pace import Deadline, jitter
from redis_backup.request import Request
from redis_backup.runtime import Clock
from redis_backup.settings import Settings
from redis_backup.states import ErrorKind, Outcome, Problem, State

_ROOM = 500  # bytes that an instance takes in a payload at most: its ID twice, and 30 job IDs
_ATTEMPTS = 6


@dataclass(frozen=True)
class Part:
    """Some cases of a request that go into one invocation."""

    task_id: str
    payload: bytes
    cases: Sequence[Case]
    problem: Problem | None = None  # why it could not be sent


def follow_ups(
    request: Request, cases: Sequence[Case], settings: Settings, started: datetime, now: datetime
) -> list[Part]:
    """The next invocations for those cases of a request that are not final."""
    before = request.follow
    count = before.count + 1 if before else 1
    follow = {
        "first": timestamps.render(before.first if before else started),
        "due": timestamps.render(now + timedelta(seconds=settings.follow_seconds)),
        "count": count,
        "trigger_id": request.trigger_id,
    }
    return _cut(request, cases, settings, follow)


def shards(request: Request, cases: Sequence[Case], settings: Settings, now: datetime) -> list[Part]:
    """The invocations that a large request is split into. Each is a follow-up without delay, the chain's beginning."""
    moment = timestamps.render(now)
    follow = {"first": moment, "due": moment, "count": 0, "trigger_id": request.trigger_id}
    return _cut(request, cases, settings, follow)


def send(part: Part, delay: int, invocation: Invocation, settings: Settings, clock: Clock) -> Part:
    """Send a part, and again after what passes, as long as there is time; with a `problem` where that was in vain."""
    name = function_compute.FunctionName.of(invocation)
    deadline = Deadline(clock, invocation.stop_sending_at)
    attempt = 0
    while True:
        try:
            function_compute.start(
                name,
                settings.fc_endpoint,
                invocation.credentials,
                part.payload,
                task_id=part.task_id,
                delay=delay,
                deadline=deadline,
            )
            return part
        except ApiError as error:
            if name.service and error.problem.code == "ServiceNotFound":
                name = replace(name, service="")  # FC 3.0, whose context names a service all the same
                continue
            attempt += 1
            if (
                error.kind is ErrorKind.PERMANENT
                or attempt >= _ATTEMPTS
                or not deadline.sleep(error.retry_after or jitter(clock, attempt - 1))
            ):
                return replace(part, problem=error.problem)


def expire(cases: Sequence[Case], settings: Settings) -> Iterator[tuple[Case, Outcome]]:
    """What a chain that gives up says of those that are not final."""
    for case in cases:
        if not case.outcome.state.is_final:
            last = f"; last error {case.outcome.error.code}" if case.outcome.error else ""
            problem = Problem(
                "FollowUpExpired",
                f"still {case.outcome.state.value} {settings.follow_hours:g} h after the request{last}",
                ErrorKind.UNKNOWN,
                hint="look at the backup jobs in the instance's console; `redis-backup … --since TIME --wait 2h` "
                "goes on looking",
            )
            yield case, replace(case.outcome, state=State.FAILED, error=problem)


def _cut(request: Request, cases: Sequence[Case], settings: Settings, follow: dict[str, Any]) -> list[Part]:
    """Cut by place, never by state, so that each delivery of an event cuts alike."""
    size = min(settings.shard_size, function_compute.MAX_ASYNC_PAYLOAD // _ROOM)
    groups = [cases[start : start + size] for start in range(0, len(cases), size)]
    return [part for place, group in enumerate(groups) for part in _parts(request, group, str(place), follow)]


def _parts(request: Request, group: Sequence[Case], place: str, follow: dict[str, Any]) -> Iterator[Part]:
    cases = [case for case in group if not case.outcome.state.is_final]
    if not cases:
        return
    payload = json.dumps(_request_again(request, cases, follow), separators=(",", ":")).encode()
    if len(payload) > function_compute.MAX_ASYNC_PAYLOAD and len(group) > 1:  # job IDs by the thousand
        half = len(group) // 2
        yield from _parts(request, group[:half], f"{place}.0", follow)
        yield from _parts(request, group[half:], f"{place}.1", follow)
        return
    # Failed instances count: where a later delivery finds one that can be backed up after all, it needs its own chain.
    failed = sorted(case.target.key for case in group if case.outcome.state is State.FAILED)
    steady = request.kind not in (TriggerKind.MANUAL, TriggerKind.HTTP)  # else each poll would have its own trigger ID
    identity = [
        request.trigger_id if steady else "",
        timestamps.render(request.since),
        request.max_age.total_seconds(),
        request.retention_days,
        request.reason,
        request.dry_run,
        [case.target.key for case in group],
        place,
        failed,
    ]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]
    yield Part(f"backup-{digest}-{follow['count']}", payload, cases)


def _request_again(request: Request, cases: Sequence[Case], follow: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "follow": follow,
        "instance_ids": [case.target.key for case in cases],
        "jobs": {case.target.key: case.known.jobs for case in cases if case.known.ids},
        "since": timestamps.render(request.since),
        "max_age_minutes": int(request.max_age.total_seconds() // 60),
        "retention_days": request.retention_days,
        "reason": request.reason,
        "dry_run": request.dry_run,
    }
    return {name: value for name, value in fields.items() if value}

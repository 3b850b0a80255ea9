"""Send follow-ups for requests that are not final, and shards of large ones. Say why one could not be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from redis_backup.alibaba.function_compute import FunctionName
from redis_backup.context import Context
from redis_backup.followups import payload
from redis_backup.followups.sending import Sender, SendStatus
from redis_backup.reconcile.watch import is_prompt
from redis_backup.reconcile.work import NotFollowed, WorkItem
from redis_backup.request.request import Request
from redis_backup.runtime import Clock, utc_now
from redis_backup.settings import Settings
from redis_backup.states import Problem, State


@dataclass(frozen=True)
class Shards:
    """The shards of a large request. `entries`: one for each shard, as the report shows it.

    `unsent`: the instances of shards that could not be sent, each with its error; `reason`: why, for people.
    """

    entries: Sequence[Mapping[str, object]]
    unsent: Sequence[tuple[WorkItem, Problem]]
    reason: str | None

    @property
    def none_sent(self) -> bool:
        """Return whether no shard could be sent."""
        return all(shard["sent"] == SendStatus.FAILED.value for shard in self.entries)


class Handover:
    """Sends the follow-ups and shards of one invocation.

    `began`: when the invocation began; `warn`: writes a warning, with the error that prevented sending.
    """

    def __init__(
        self,
        context: Context,
        settings: Settings,
        clock: Clock,
        began: datetime,
        warn: Callable[[str, Problem], None],
    ) -> None:
        self._context, self._settings, self._clock, self._began, self._warn = context, settings, clock, began, warn
        self._sender = Sender(context, settings, clock)
        self._has_warned = False

    def send_follow_ups(self, items_by_request: Mapping[Request, Sequence[WorkItem]]) -> dict[Request, NotFollowed]:
        """Send the follow-ups of all requests. Return the requests that have no follow-up, and why."""
        seconds = self._settings.follow_seconds
        not_followed: dict[Request, NotFollowed] = {}
        parts: list[tuple[Request, payload.FollowUp]] = []
        for request, items in items_by_request.items():
            if request.dry_run or not any(item.is_left for item in items):
                continue
            if not seconds:
                is_read = any(request.proof_of(item.instance) for item in items)
                # A running backup continues by itself; whether its files are good, nobody would see.
                states = (State.PENDING, State.RUNNING, State.VERIFYING) if is_read else (State.PENDING,)
                not_followed[request] = NotFollowed("BACKUP_FOLLOW_SECONDS is 0", states)
                continue
            due = payload.next_due(request, items, seconds, self._context.timeout, utc_now(self._clock))
            parts += [(request, part) for part in payload.follow_ups(request, items, self._began, due)]
        sent = self._sender.send([part for _, part in parts])
        for (request, _), each in zip(parts, sent, strict=True):
            if each.problem:
                not_followed[request] = NotFollowed(self._reason(each.problem))
        return not_followed

    def send_reading(self, item: WorkItem) -> bool:
        """Send the invocation that reads the files of an instance's backup. Return whether one is under way."""
        if not self._settings.follow_seconds:
            return False
        part = payload.reading(item.request, item, self._began)
        [sent] = self._sender.send([part])
        if sent.status is SendStatus.REPEAT:
            [sent] = self._sender.send(self._postpone(item.request, part))
        return sent.status is not SendStatus.FAILED

    def send_shards(self, items_by_request: Mapping[Request, Sequence[WorkItem]]) -> Shards:
        """Send the shards of all requests. A shard whose task ID is in use is sent again for the next point of time."""
        entries: list[Mapping[str, object]] = []
        unsent: list[tuple[WorkItem, Problem]] = []
        reason: str | None = None
        parts: list[tuple[Request, payload.FollowUp]] = []
        for request, items in items_by_request.items():
            sent_at = utc_now(self._clock) if is_prompt(request, self._began) else None
            shards = payload.shards(request, items, self._settings.shard_size, self._began, sent_at=sent_at)
            parts += [(request, shard) for shard in shards]
        sent = self._sender.send([part for _, part in parts])
        in_use = [part for part, each in zip(parts, sent, strict=True) if each.status is SendStatus.REPEAT]
        resent = self._sender.send([later for request, part in in_use for later in self._postpone(request, part)])
        problems = {item: each.problem for each in (*sent, *resent) for item in each.follow_up.items}
        for (request, part), each in zip(parts, sent, strict=True):
            problem = next((problems[item] for item in part.items if problems[item]), None)
            status = SendStatus.FAILED if problem else each.status
            entries.append({"task_id": part.task_id, "instances": len(part.items), "sent": status.value})
            if problem:
                reason = reason if request.dry_run else self._reason(problem)
                unsent += [(item, problem) for item in part.items]
        return Shards(entries, unsent, reason)

    def _postpone(self, request: Request, shard: payload.FollowUp) -> list[payload.FollowUp]:
        due = payload.next_due(request, (), self._settings.follow_seconds, self._context.timeout, utc_now(self._clock))
        return payload.for_later(shard, request, self._began, due)

    def _reason(self, problem: Problem) -> str:
        """Return why the function could not invoke itself, and what to do; record the first reason as a warning."""
        what = f"fc:InvokeFunction on {FunctionName.from_context(self._context).resource}"
        if not self._has_warned:
            self._has_warned = True
            self._warn(f"the function could not invoke itself ({what})", problem)
        return f"{what}: {problem.message} ({problem.code}); {problem.hint or 'send the request again'}"

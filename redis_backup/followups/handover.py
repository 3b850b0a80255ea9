"""Handing over what is not final: follow-ups for a request, shards of a large one, and why that could not be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from redis_backup.alibaba.function_compute import FunctionName
from redis_backup.context import Context
from redis_backup.followups import payload
from redis_backup.followups.sending import Sender, SentAs
from redis_backup.reconcile.watch import is_prompt
from redis_backup.reconcile.work import Unfollowed, Work
from redis_backup.request.request import Request
from redis_backup.runtime import Clock, utc_now
from redis_backup.settings import Settings
from redis_backup.states import Problem, State


@dataclass(frozen=True)
class Shards:
    """How a large request was split. `unsent`: the instances of the shards that could not be sent, and `why`."""

    listed: Sequence[Mapping[str, object]]
    unsent: Sequence[tuple[Work, Problem]]
    why: str | None

    @property
    def is_in_vain(self) -> bool:
        """Whether no shard could be sent."""
        return all(shard["sent"] == SentAs.FAILED.value for shard in self.listed)


class Handover:
    """Hands over in one invocation, which `began` then; `warn` takes what kept it from doing so."""

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
        self._told = False

    def follow_up(self, works: Mapping[Request, Sequence[Work]]) -> dict[Request, Unfollowed]:
        """Send the follow-ups of all requests; why that could not be done for some."""
        seconds = self._settings.follow_seconds
        unfollowed: dict[Request, Unfollowed] = {}
        parts: list[tuple[Request, payload.FollowUp]] = []
        for request, own in works.items():
            if request.dry_run or not any(work.is_open for work in own):
                continue
            if not seconds:
                unfollowed[request] = Unfollowed("BACKUP_FOLLOW_SECONDS is 0", (State.PENDING,))  # what runs goes on
                continue
            due = payload.next_due(request, own, seconds, self._context.timeout, utc_now(self._clock))
            parts += [(request, part) for part in payload.follow_up(request, own, self._began, due)]
        sent = self._sender.send([part for _, part in parts])
        for (request, _), each in zip(parts, sent, strict=True):
            if each.problem:
                unfollowed[request] = Unfollowed(self._why(each.problem))
        return unfollowed

    def split(self, works: Mapping[Request, Sequence[Work]]) -> Shards:
        """Send the shards of all requests. One whose name was taken is sent again for the next point of time."""
        listed: list[Mapping[str, object]] = []
        unsent: list[tuple[Work, Problem]] = []
        why: str | None = None
        parts: list[tuple[Request, payload.FollowUp]] = []
        for request, own in works.items():
            sent_at = utc_now(self._clock) if is_prompt(request, self._began) else None
            shards = payload.shards(request, own, self._settings.shard_size, self._began, sent_at=sent_at)
            parts += [(request, shard) for shard in shards]
        sent = self._sender.send([part for _, part in parts])
        taken = [part for part, each in zip(parts, sent, strict=True) if each.sent_as is SentAs.REPEAT]
        again = [later for request, part in taken for later in self._again(request, part)]
        problems = {work: each.problem for each in (*sent, *self._sender.send(again)) for work in each.follow_up.works}
        for (request, part), each in zip(parts, sent, strict=True):
            problem = next((problems[work] for work in part.works if problems[work]), None)
            sent_as = SentAs.FAILED if problem else each.sent_as
            listed.append({"task_id": part.task_id, "instances": len(part.works), "sent": sent_as.value})
            if problem:
                why = why if request.dry_run else self._why(problem)
                unsent += [(work, problem) for work in part.works]
        return Shards(listed, unsent, why)

    def _again(self, request: Request, shard: payload.FollowUp) -> list[payload.FollowUp]:
        due = payload.next_due(request, (), self._settings.follow_seconds, self._context.timeout, utc_now(self._clock))
        return payload.sent_again(shard, request, self._began, due)

    def _why(self, problem: Problem) -> str:
        """Why the function could not invoke itself, and what to do; the first reason is put on record."""
        what = f"fc:InvokeFunction on {FunctionName.from_context(self._context).resource}"
        if not self._told:
            self._told = True
            self._warn(f"the function could not invoke itself ({what})", problem)
        return f"{what}: {problem.message} ({problem.code}); {problem.hint or 'send the request again'}"

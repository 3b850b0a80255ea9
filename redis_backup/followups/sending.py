"""Sending follow-ups and shards: asynchronous invocations of the function by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from functools import partial

from redis_backup.alibaba import function_compute
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.function_compute import MAX_DELAY, FunctionName
from redis_backup.alibaba.patience import call_patiently, side_by_side
from redis_backup.backoff import Deadline
from redis_backup.context import Context
from redis_backup.followups.payload import FollowUp
from redis_backup.runtime import Clock, utc_now
from redis_backup.settings import Settings
from redis_backup.states import Problem, out_of_time


class SentAs(str, Enum):
    """What became of a follow-up. `REPEAT`: its very instances will be looked at then, by one that was sent before."""

    NEW = "new"
    REPEAT = "repeat"
    FAILED = "failed"


@dataclass(frozen=True)
class Sent:
    """A follow-up that was sent, or why it could not be."""

    follow_up: FollowUp
    sent_as: SentAs
    problem: Problem | None = None


class Sender:
    """Sends what one invocation hands over. Raises nothing."""

    def __init__(self, context: Context, settings: Settings, clock: Clock) -> None:
        self._context, self._settings, self._clock = context, settings, clock
        self._deadline = Deadline(clock, context.stop_sending_at)

    def send(self, follow_ups: Sequence[FollowUp]) -> list[Sent]:
        """Send all, side by side."""
        steps = [partial(self._send, follow_up) for follow_up in follow_ups]
        sent = side_by_side(steps, self._settings.concurrency, self._deadline)
        late = out_of_time()
        return [each or Sent(follow_up, SentAs.FAILED, late) for follow_up, each in zip(follow_ups, sent, strict=True)]

    def _send(self, follow_up: FollowUp) -> Sent:
        name = FunctionName.from_context(self._context)
        try:
            is_new = self._start(follow_up, name)
        except ApiError as error:
            if not (name.service and error.problem.code == "ServiceNotFound"):
                return Sent(follow_up, SentAs.FAILED, error.problem)
            try:  # FC 3.0, whose context names a service all the same
                is_new = self._start(follow_up, replace(name, service=""))
            except ApiError as second:
                return Sent(follow_up, SentAs.FAILED, second.problem)
        return Sent(follow_up, SentAs.NEW if is_new else SentAs.REPEAT)

    def _start(self, follow_up: FollowUp, name: FunctionName) -> bool:
        def start() -> bool:
            left = follow_up.due - utc_now(self._clock)
            return function_compute.start(
                name,
                self._settings.fc_endpoint,
                self._context.credentials,
                follow_up.payload,
                task_id=follow_up.task_id,
                delay=min(MAX_DELAY, max(0, math.ceil(left / timedelta(seconds=1)))),
                deadline=self._deadline,
            )

        return call_patiently(start, self._clock, self._deadline)

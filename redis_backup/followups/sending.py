"""Send follow-ups and shards: the function invokes itself asynchronously."""

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
from redis_backup.alibaba.retries import call_with_retries, run_in_parallel
from redis_backup.backoff import Deadline
from redis_backup.context import Context
from redis_backup.followups.payload import FollowUp
from redis_backup.runtime import Clock, utc_now
from redis_backup.settings import Settings
from redis_backup.states import Problem, out_of_time


class SendStatus(str, Enum):
    """The result of sending a follow-up. `REPEAT`: one for the same instances and time was sent before."""

    NEW = "new"
    REPEAT = "repeat"
    FAILED = "failed"


@dataclass(frozen=True)
class SendResult:
    """A follow-up, and whether it was sent; `problem`: why it could not be sent."""

    follow_up: FollowUp
    status: SendStatus
    problem: Problem | None = None


class Sender:
    """Sends the follow-ups and shards of one invocation. It raises nothing."""

    def __init__(self, context: Context, settings: Settings, clock: Clock) -> None:
        self._context, self._settings, self._clock = context, settings, clock
        self._deadline = Deadline(clock, context.stop_sending_at)

    def send(self, follow_ups: Sequence[FollowUp]) -> list[SendResult]:
        """Send all at the same time. Return one result for each, in order."""
        steps = [partial(self._send, follow_up) for follow_up in follow_ups]
        sent = run_in_parallel(steps, self._settings.concurrency, self._deadline)
        late = out_of_time()
        return [
            each or SendResult(follow_up, SendStatus.FAILED, late)
            for follow_up, each in zip(follow_ups, sent, strict=True)
        ]

    def _send(self, follow_up: FollowUp) -> SendResult:
        name = FunctionName.from_context(self._context)
        try:
            is_new = self._start(follow_up, name)
        except ApiError as error:
            if not (name.service and error.problem.code == "ServiceNotFound"):
                return SendResult(follow_up, SendStatus.FAILED, error.problem)
            try:  # FC 3.0, though its context names a service
                is_new = self._start(follow_up, replace(name, service=""))
            except ApiError as second:
                return SendResult(follow_up, SendStatus.FAILED, second.problem)
        return SendResult(follow_up, SendStatus.NEW if is_new else SendStatus.REPEAT)

    def _start(self, follow_up: FollowUp, name: FunctionName) -> bool:
        def start() -> bool:
            remaining = follow_up.due - utc_now(self._clock)
            return function_compute.invoke_async(
                name,
                self._settings.fc_endpoint,
                self._context.credentials,
                follow_up.payload,
                task_id=follow_up.task_id,
                delay=min(MAX_DELAY, max(0, math.ceil(remaining / timedelta(seconds=1)))),
                deadline=self._deadline,
            )

        return call_with_retries(start, self._clock, self._deadline)

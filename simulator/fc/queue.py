"""The asynchronous invocations that wait: due times, task IDs, retries, dead letters."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from simulator.errors import ApiError

if TYPE_CHECKING:
    from simulator.faults import Faults
    from simulator.fc.config import FunctionConfig
    from simulator.fc.invocation import Invocation

MAX_REPEATS = 2  # of one event, after it has succeeded
REPEAT_DELAY = 5.0  # seconds


@dataclass(frozen=True, order=True)
class Delivery:
    """One delivery of an event. Times are the clock's."""

    due: float
    number: int
    event: bytes = field(compare=False)
    request_id: str = field(compare=False)
    enqueued: float = field(compare=False)
    task_id: str | None = field(compare=False, default=None)
    attempt: int = field(compare=False, default=0)
    repeat: int = field(compare=False, default=0)
    once: bool = field(compare=False, default=False)  # by a caller who waits: neither retried nor repeated


class AsyncQueue:
    """Holds deliveries in the order of their due times, and decides what follows each."""

    def __init__(self, config: FunctionConfig, faults: Faults, time: Callable[[], float]) -> None:
        self.dead_letters: list[Delivery] = []  # what the onFailure destination got
        self.changed = threading.Condition()
        self._config, self._faults, self._time = config, faults, time
        self._waiting: list[Delivery] = []
        self._tasks: set[str] = set()
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(
        self,
        event: bytes,
        request_id: str,
        delay: float = 0.0,
        task_id: str | None = None,
        *,
        once: bool = False,
        punctual: bool = False,
    ) -> None:
        """Take an event that is due in `delay` seconds (`punctual`: neither early nor late).

        Raise ApiError (409) when the task ID has been taken before.
        """
        with self.changed:
            if task_id is not None and self._config.async_task:
                if task_id in self._tasks:
                    message = f"stateful async invocation {task_id} already exists"
                    raise ApiError(self._config.duplicate_status, "StatefulAsyncInvocationAlreadyExists", message)
                self._tasks.add(task_id)
            number, now = next(self._numbers), self._time()
            due = now + delay
            if not punctual:
                due = now if self._faults.early(number) else due + self._faults.lateness(number)
            self._push(Delivery(due, number, event, request_id, now, task_id, once=once))

    def next_due(self) -> float | None:
        """When the next delivery is due; None when none waits."""
        with self.changed:
            return self._waiting[0].due if self._waiting else None

    def take(self) -> Delivery | None:
        """The next delivery that is due by now."""
        with self.changed:
            if self._waiting and self._waiting[0].due <= self._time():
                return heapq.heappop(self._waiting)
            return None

    def settle(self, delivery: Delivery, invocation: Invocation) -> None:
        """Given what came of a delivery, retry it, give it up, repeat it or be done."""
        if delivery.once:
            return
        now, config = self._time(), self._config
        with self.changed:
            if not invocation.failed:
                if delivery.repeat < MAX_REPEATS and self._faults.repeated(delivery.number):
                    self._again(delivery, now + REPEAT_DELAY, repeat=delivery.repeat + 1)
                return
            delay = config.async_retry_delays[min(delivery.attempt, len(config.async_retry_delays) - 1)]
            too_old = now + delay - delivery.enqueued > config.max_async_event_age
            if delivery.attempt >= config.max_async_retry_attempts or too_old:
                self.dead_letters.append(delivery)
            else:
                self._again(delivery, now + delay, attempt=delivery.attempt + 1)

    def _again(self, delivery: Delivery, due: float, **changes: int) -> None:
        self._push(replace(delivery, due=due, number=next(self._numbers), **changes))

    def _push(self, delivery: Delivery) -> None:
        heapq.heappush(self._waiting, delivery)
        self.changed.notify_all()

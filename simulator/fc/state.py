"""The state of Function Compute: invocations that have ended, deliveries that wait, task IDs, dead letters."""

from __future__ import annotations

import heapq
import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from simulator.fc import errors

if TYPE_CHECKING:
    from simulator.faults import Faults
    from simulator.fc.config import FunctionConfig

MAX_REPEATS = 2  # of one event, after it has succeeded
REPEAT_DELAY = 5.0  # seconds


@dataclass
class Invocation:
    """One invocation and its result. Times and durations are the clock's, in seconds."""

    request_id: str
    event: bytes
    asynchronous: bool
    attempt: int  # 0 for the first delivery, 1 for its first retry, …
    task_id: str | None
    access_key_id: str
    started: float
    duration: float = 0.0
    body: bytes = b""  # the answer as it goes out
    result: Any = None  # `body` as JSON; as a string where it is not JSON
    error: dict[str, Any] | None = None  # errorMessage, errorType, stackTrace
    exception: BaseException | None = None
    killed: bool = False
    timed_out: bool = False
    events: int = 0  # I/O events; a `kill_after` of at most this number kills such an invocation
    stdout: list[str] = field(default_factory=list)
    stderr: str = ""
    logged: list[str] = field(default_factory=list)  # by Python's logging and by the runtime

    @property
    def failed(self) -> bool:
        """Return whether the platform retries it, if it was asynchronous."""
        return self.killed or self.timed_out or self.error is not None

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """Return the lines of standard output that are JSON objects."""
        return [value for line in self.stdout if isinstance(value := parse_json(line), dict)]

    def everything(self) -> str:
        """Return all that the process wrote and answered, to search it for secrets."""
        return "\n".join([*self.stdout, *self.logged, self.stderr, self.body.decode(errors="replace")])


@dataclass(frozen=True, order=True)
class Delivery:
    """One delivery of an event to the function. Times are the clock's."""

    due: float
    number: int
    event: bytes = field(compare=False)
    request_id: str = field(compare=False)
    enqueued: float = field(compare=False)
    task_id: str | None = field(compare=False, default=None)
    attempt: int = field(compare=False, default=0)
    repeat: int = field(compare=False, default=0)
    once: bool = field(compare=False, default=False)  # neither retried nor repeated: its caller waits for the answer


class AsyncQueue:
    """The deliveries that wait, in the order of their due times."""

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
        """Add an event that is due in `delay` seconds (`punctual`: with no random change of that).

        Raise ApiError (409) when the task ID was used before.
        """
        with self.changed:
            if task_id is not None and self._config.async_task:
                if task_id in self._tasks:
                    raise errors.task_exists(task_id, self._config.duplicate_status)
                self._tasks.add(task_id)
            number, now = next(self._numbers), self._time()
            due = now + delay
            if not punctual:
                due = now if self._faults.early(number) else due + self._faults.lateness(number)
            self._push(Delivery(due, number, event, request_id, now, task_id, once=once))

    def next_due(self) -> float | None:
        """Return when the next delivery is due; None when none waits."""
        with self.changed:
            return self._waiting[0].due if self._waiting else None

    def take(self) -> Delivery | None:
        """Remove and return the next delivery that is due; None when there is none."""
        with self.changed:
            if self._waiting and self._waiting[0].due <= self._time():
                return heapq.heappop(self._waiting)
            return None

    def settle(self, delivery: Delivery, invocation: Invocation) -> None:
        """Handle a delivery's result: retry it, make it a dead letter, repeat it, or forget it."""
        if delivery.once:
            return
        now, config = self._time(), self._config
        with self.changed:
            if not invocation.failed:
                if delivery.repeat < MAX_REPEATS and self._faults.repeated(delivery.number):
                    self._push(self._copy(delivery, now + REPEAT_DELAY, repeat=delivery.repeat + 1))
                return
            delay = config.async_retry_delays[min(delivery.attempt, len(config.async_retry_delays) - 1)]
            too_old = now + delay - delivery.enqueued > config.max_async_event_age
            if delivery.attempt >= config.max_async_retry_attempts or too_old:
                self.dead_letters.append(delivery)
            else:
                self._push(self._copy(delivery, now + delay, attempt=delivery.attempt + 1))

    def _copy(self, delivery: Delivery, due: float, attempt: int | None = None, repeat: int | None = None) -> Delivery:
        return replace(
            delivery,
            due=due,
            number=next(self._numbers),
            attempt=delivery.attempt if attempt is None else attempt,
            repeat=delivery.repeat if repeat is None else repeat,
        )

    def _push(self, delivery: Delivery) -> None:
        heapq.heappush(self._waiting, delivery)
        self.changed.notify_all()


def parse_json(text: str) -> Any:
    """Return the JSON value of a string: `{"a": 1}` → a dict; the string itself when it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text

"""Sends the same request until it is answered, and with `--wait` until all instances are final."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

from redis_backup.alibaba.sdk import LEAST_TIME
from redis_backup.backoff import Deadline
from redis_backup.request.request import Request
from redis_backup.runtime import Clock

from . import batches
from .batches import Batch
from .errors import CommandError, FunctionBrokenError, Unanswered
from .report import Answer, MergedReport

T = TypeVar("T")
R = TypeVar("R")
SIDE_BY_SIDE = 8
_PAUSE = (3.0, 30.0)  # seconds between rounds: the first pause and the longest
_ATTEMPTS = 5  # without --wait
_LAST_LOOK = 3.0  # seconds that are left for it
_AFTER_SPLIT = 15.0  # seconds that the invocations have to begin, into which the function has split a request
_WATCH = 75  # seconds: a watch takes 62, and the function's next look is the end of it
_ON_ITS_WAY = 5.0  # seconds that an answer takes at most; the client gives up on it at the deadline


class Display(Protocol):
    """What shows how it goes."""

    def show(self) -> None:
        """The report has changed."""

    def note(self, text: str) -> None:
        """Something happened that concerns no single instance."""


class Polling:
    """One request's way. `send` is `FunctionClient.send`."""

    def __init__(
        self,
        request: Request,
        send: Callable[[bytes, Deadline], Answer],
        report: MergedReport,
        display: Display,
        clock: Clock,
    ) -> None:
        self._request, self._send, self._report = request, send, report
        self._display, self._clock = display, clock
        self._unasked = batches.batches(request)  # what has had no answer yet
        self._asked: list[Batch] = []

    def run(self, deadline: Deadline, *, wait: bool) -> None:
        """Return when all is final or time is out; without `wait`, when every batch has been answered.

        Raise CommandError where it cannot go on, after what was under way has been heard.
        """
        pause, rounds = _PAUSE[0], 0
        while todo := self._todo(wait):
            hold = self._round(todo, deadline)
            rounds += 1
            left = deadline.remaining() - _LAST_LOOK
            if not self._todo(wait):
                return
            if not wait and (rounds >= _ATTEMPTS or left <= 0):
                raise CommandError(
                    f"the function gave no answer in {rounds} attempts",
                    "whether backups have started is not known; sent again with the same --since, none starts twice",
                )
            if left <= 0:
                return
            self._clock.sleep(min(left, max(hold, pause * self._clock.uniform(0.75, 1.25))))
            pause = min(pause * 1.5, _PAUSE[1])

    def _todo(self, wait: bool) -> list[Batch]:
        open_batches = [batch for batch in self._asked if not self._report.are_final(batch.instances)] if wait else []
        return self._unasked + open_batches

    def _round(self, todo: Sequence[Batch], deadline: Deadline) -> float:
        """Send what is due of these; how many seconds to wait then. Raise the first CommandError when all are back."""
        failure: CommandError | None = None
        hold, now = 0.0, self._clock.monotonic()
        due = [batch for batch in todo if batch.not_before <= now]
        for batch, result in side_by_side(lambda batch: self._try(batch, deadline), due, deadline):
            if isinstance(result, Answer):
                self._take(batch, result)
                hold = max(hold, _AFTER_SPLIT if result.shard_size else 0.0)
            elif isinstance(result, CommandError):
                failure = failure or result
            else:
                hold = max(hold, result.retry_after or 0.0)
                self._display.note(f"no answer yet: {result}; the same request is sent again")
        if failure:
            raise failure
        return hold

    def _try(self, batch: Batch, deadline: Deadline) -> Answer | CommandError | Unanswered:
        if deadline.remaining() < LEAST_TIME:
            return Unanswered("time ran out before it could be sent")
        wait_seconds = max(0, min(_WATCH, int(deadline.remaining() - _ON_ITS_WAY))) if batch.is_watched else 0
        try:
            return self._send(batches.payload(self._request, batch, wait_seconds), deadline)
        except (CommandError, Unanswered) as error:
            return error
        except Exception as error:  # noqa: BLE001 - in a thread it would be lost, and the main one wait for ever
            return FunctionBrokenError(f"{type(error).__name__} in the command itself", "report this with its version")

    def _take(self, batch: Batch, answer: Answer) -> None:
        """From now on what the tags selected is asked for by name; what the function has split is only looked at."""
        if batch.only_looks and not self._request.dry_run:
            answer = answer.without_plans()
        if answer.unsent:
            self._display.note(f"the function could not hand over {answer.unsent} of the instances: its log says why")
        self._report.take(answer)
        (self._unasked if batch in self._unasked else self._asked).remove(batch)
        self._asked += batch.after(answer, self._clock.monotonic() + (_AFTER_SPLIT if answer.shard_size else 0.0))
        self._display.show()


def side_by_side(work: Callable[[T], R], items: Sequence[T], deadline: Deadline) -> Iterator[tuple[T, R]]:
    """Each item with what `work` makes of it, as they get ready in time. `work` must not raise.

    The threads are daemons, so that neither Ctrl-C nor the deadline need wait for an answer that drips in.
    """
    waiting: SimpleQueue[T] = SimpleQueue()
    ready: SimpleQueue[tuple[T, R]] = SimpleQueue()
    for item in items:
        waiting.put(item)

    def work_on() -> None:
        while True:
            try:
                item = waiting.get_nowait()
            except Empty:
                return
            ready.put((item, work(item)))

    for _ in range(min(SIDE_BY_SIDE, len(items))):
        threading.Thread(target=work_on, daemon=True).start()
    for _ in items:
        try:
            yield ready.get(timeout=max(0.1, deadline.remaining() + 1))
        except Empty:
            return

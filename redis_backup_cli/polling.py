"""Sends the same request until it is answered, and with `--wait` until the state of every instance is final."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

from redis_backup.alibaba.sdk import MIN_TIME
from redis_backup.backoff import Deadline
from redis_backup.runtime import Clock

from . import batches
from .batches import Batch
from .errors import CommandError, FunctionBrokenError, NoAnswerError, NotReachedError, RefusedError
from .report import Answer, MergedReport
from .request import CommandRequest

T = TypeVar("T")
R = TypeVar("R")
MAX_CONCURRENT = 8
_PAUSES = (3.0, 30.0)  # seconds between rounds: the first pause and the longest
_ATTEMPTS = 5  # without --wait
_LAST_POLL = 3.0  # seconds before the deadline
_AFTER_SPLIT = 15.0  # seconds for the shards of a request to begin, which are invocations of their own
_WATCH_SECONDS = 75  # a watch takes 62 seconds, and ends with the next look at the instance
_RESPONSE_MARGIN = 5.0  # seconds for the answer to arrive before the deadline


class Display(Protocol):
    """Shows progress, between its `__enter__` and `__exit__`."""

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self) -> None:
        """Show the report, which has changed."""

    def note(self, text: str) -> None:
        """Show a message that concerns no single instance."""


class Polling:
    """Sends one request until its report is complete. `send` is `FunctionClient.send`."""

    def __init__(
        self,
        request: CommandRequest,
        send: Callable[[bytes, Deadline], Answer],
        report: MergedReport,
        display: Display,
        clock: Clock,
    ) -> None:
        self._request, self._send, self._report = request, send, report
        self._display, self._clock = display, clock
        self._unanswered = batches.split_request(request)  # have had no answer yet
        self._answered: list[Batch] = []
        self._was_reached = False
        self._not_reached: NotReachedError | None = None

    def run(self, deadline: Deadline, *, wait: bool, is_once: bool = False) -> None:
        """Return when all states are final or time is out; without `wait`, when every batch has been answered.

        `is_once`: send each batch once, whatever comes back.
        Raise CommandError where it cannot go on, after all calls that were under way have ended; also where Function
        Compute's host never had an address, since nothing was sent then.
        """
        pause, rounds = _PAUSES[0], 0
        while batches_left := self._open_batches(wait):
            delay = self._send_due(batches_left, deadline)
            rounds += 1
            seconds_left = deadline.remaining() - _LAST_POLL
            if self._not_reached and not self._was_reached and rounds >= _ATTEMPTS:  # it is not a passing fault
                raise RefusedError(str(self._not_reached), self._not_reached.hint)
            if is_once or not self._open_batches(wait):
                return
            if not wait and (rounds >= _ATTEMPTS or seconds_left <= 0):
                raise CommandError(
                    f"the function gave no answer in {rounds} attempts",
                    "it is not known whether backups have started; with the same --since, none starts twice",
                )
            if seconds_left <= 0:
                return
            self._clock.sleep(min(seconds_left, max(delay, pause * self._clock.uniform(0.75, 1.25))))
            pause = min(pause * 1.5, _PAUSES[1])

    def _open_batches(self, wait: bool) -> list[Batch]:
        if not wait:
            return self._unanswered
        return self._unanswered + [batch for batch in self._answered if not self._report.are_final(batch.instances)]

    def _send_due(self, todo: Sequence[Batch], deadline: Deadline) -> float:
        """Send the batches that are due. Return how many seconds to wait. Raise the first CommandError at the end."""
        failure: CommandError | None = None
        delay, now = 0.0, self._clock.monotonic()
        due = [batch for batch in todo if batch.not_before <= now]
        for batch, result in run_concurrently(lambda batch: self._try(batch, deadline), due, deadline):
            if isinstance(result, NotReachedError):
                self._not_reached = result
            else:
                self._was_reached = True
            if isinstance(result, Answer):
                self._add_answer(batch, result)
                delay = max(delay, _AFTER_SPLIT if result.shard_size else 0.0)
            elif isinstance(result, CommandError):
                failure = failure or result
            else:
                delay = max(delay, result.retry_after or 0.0)
                self._display.note(f"no answer yet: {result}; the same request is sent again")
        if failure:
            raise failure
        return delay

    def _try(self, batch: Batch, deadline: Deadline) -> Answer | CommandError | NoAnswerError:
        if deadline.remaining() < MIN_TIME:
            return NoAnswerError("time ran out before it could be sent")
        seconds = max(0, min(_WATCH_SECONDS, int(deadline.remaining() - _RESPONSE_MARGIN)))
        wait_seconds = seconds if batch.is_watched else 0
        try:
            return self._send(batches.render_payload(self._request, batch, wait_seconds), deadline)
        except (CommandError, NoAnswerError) as error:
            return error
        except Exception as error:  # noqa: BLE001 - in a thread it would be lost, and the main one would wait for ever
            return FunctionBrokenError(f"internal error ({type(error).__name__})", "report this with its version")

    def _add_answer(self, batch: Batch, answer: Answer) -> None:
        """Add an answer to the report; next time, name what the tags selected, and only read what was split."""
        if batch.is_read_only and not self._request.dry_run:
            answer = answer.without_plans()
        if answer.unsent:
            instances = f"{answer.unsent} instance{'s' * (answer.unsent != 1)}"
            self._display.note(f"the function could not start shards for {instances}; see its log")
        self._report.add(answer)
        (self._unanswered if batch in self._unanswered else self._answered).remove(batch)
        pause = _AFTER_SPLIT if answer.shard_size else 0.0
        is_answer = not (self._request.dry_run and answer.shard_size)  # else no instance was looked at for it
        todo = self._answered if is_answer else self._unanswered
        todo += batch.next_batches(answer, self._clock.monotonic() + pause)
        self._display.show()


def run_concurrently(work: Callable[[T], R], items: Sequence[T], deadline: Deadline) -> Iterator[tuple[T, R]]:
    """Yield each item with the result of `work`, which must not raise, as they get ready before the deadline.

    The threads are daemons, so that neither a signal nor the deadline has to wait for a slow answer.
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

    for _ in range(min(MAX_CONCURRENT, len(items))):
        threading.Thread(target=work_on, daemon=True).start()
    for _ in items:
        try:
            yield ready.get(timeout=max(0.1, deadline.remaining() + 1))
        except Empty:
            return

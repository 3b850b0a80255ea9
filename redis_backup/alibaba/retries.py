"""Repeat calls after temporary errors, and make several at once, outside of `redis_backup.reconcile.fleet`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.backoff import Deadline, jitter
from redis_backup.runtime import Clock
from redis_backup.states import ErrorKind

T = TypeVar("T")
ATTEMPTS = 6  # of a call; a throttled call is tried for as long as there is time


def call_with_retries(call: Callable[[], T], clock: Clock, deadline: Deadline) -> T:
    """Make a call, and repeat it after temporary errors. Raise the last ApiError if no attempt succeeds."""
    attempt = 0
    while True:
        try:
            return call()
        except ApiError as error:
            attempt += 1
            is_throttled = error.kind is ErrorKind.THROTTLED
            is_retryable = is_throttled or (
                error.kind in (ErrorKind.TRANSIENT, ErrorKind.UNKNOWN) and attempt < ATTEMPTS
            )
            if not is_retryable or not deadline.sleep(error.retry_after or jitter(clock, min(attempt - 1, 5))):
                raise


def run_in_parallel(steps: Sequence[Callable[[], T]], workers: int, deadline: Deadline) -> list[T | None]:
    """Run all steps on threads and return their results in order; None for a step that did not end in time.

    A call can take longer than its own time-outs: an answer may come byte by byte.
    """
    executor = ThreadPoolExecutor(max(1, min(workers, len(steps))))
    futures = [executor.submit(step) for step in steps]
    results: list[T | None] = []
    for future in futures:
        try:
            results.append(future.result(timeout=max(0.0, deadline.remaining())))
        except FutureTimeoutError:
            results.append(None)
    executor.shutdown(wait=False, cancel_futures=True)
    return results

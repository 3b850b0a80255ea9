"""Calls that are made outside the fleet's loop: tried again after what passes, and side by side."""

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
ATTEMPTS = 6  # of a call, but for throttled ones, which are tried for as long as there is time


def call_with_retries(call: Callable[[], T], clock: Clock, deadline: Deadline) -> T:
    """Call, and call again after what passes. Raise the last ApiError where that was in vain."""
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
    """The results of all steps, in their order; None for one that did not end in time.

    On threads, since a call whose answer drips in byte by byte outlives every time-out that it was given.
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

"""Limits on API calls a second, with the errors of R-KVStore's own throttling."""

from __future__ import annotations

import threading
from collections.abc import Callable

from simulator.errors import ApiError


class RateLimits:
    """Token buckets of one second each, filled by the clock."""

    def __init__(self, limits: dict[str, float] | None, time: Callable[[], float], hint: bool = True) -> None:
        """Set the limits. `limits`: calls a second by operation; `hint`: refuse with x-acs-retry-after.

        `*` is for each other operation; `kvstore:*` is one bucket for all operations of R-KVStore together (`fc:*`: of
        Function Compute).
        """
        self._limits = limits or {}
        self._time = time
        self._hint = hint
        self._buckets: dict[str, tuple[float, float]] = {}  # by operation: (tokens, when they were counted)
        self._lock = threading.Lock()

    def check(self, action: str) -> None:
        """Take a token for an action, such as `kvstore:CreateBackup`. Raise ApiError (Throttling.User) without one."""
        service, _, operation = action.partition(":")
        shared = f"{service}:*"
        operation = shared if shared in self._limits else operation
        rate = self._limits.get(operation, self._limits.get("*"))
        if rate is None:
            return
        with self._lock:
            now = self._time()
            tokens, then = self._buckets.get(operation, (max(1.0, rate), now))
            tokens = min(max(1.0, rate), tokens + (now - then) * rate)
            taken = tokens >= 1
            self._buckets[operation] = (tokens - 1 if taken else tokens, now)
        if not taken:
            wait = max(1, int(1000 * (1 - tokens) / rate))
            headers = {"x-acs-retry-after": str(wait)} if self._hint else {}
            message = "Request was denied due to user flow control."
            raise ApiError(400, "Throttling.User", message, headers=headers)

"""Measure how far R-KVStore's clock is ahead of the function's, by the `Date` header of its answers.

A header is in whole seconds. So one answer gives the difference to a second and the duration of the call; each further
answer makes it more exact.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from redis_backup.runtime import Clock, utc_now

MAX_DIFFERENCE = 30.0  # seconds; a header that differs by more is not R-KVStore's own


class ApiClock:
    """R-KVStore's clock, as far as its answers have shown it. Threads may share it."""

    def __init__(self, clock: Clock, max_difference: float = MAX_DIFFERENCE) -> None:
        self._clock, self._max_difference = clock, max_difference
        self._lock = threading.Lock()
        self._low, self._high = 0.0, 0.0  # seconds that it is ahead, at least and at most
        self.is_known = False

    def note(self, header: str | None, sent: float) -> None:
        """Note an answer's `Date` header. `sent`: when the call was sent, in seconds of the function's clock."""
        received = self._clock.time()
        try:
            date = parsedate_to_datetime(header or "").timestamp()
        except (ValueError, TypeError, OverflowError):
            return
        low, high = date - received, date + 1 - sent
        if max(abs(low), abs(high)) > self._max_difference + 2:
            return
        with self._lock:
            narrowed = max(low, self._low), min(high, self._high)
            if not self.is_known or narrowed[0] > narrowed[1]:  # the first answer, or a clock that was set
                narrowed = low, high
            self._low, self._high = narrowed
            self.is_known = True

    def difference(self) -> float:
        """Return the seconds that it is certainly ahead; negative if it is behind, 0 if both may be the same."""
        return min(self._high, 0.0) + max(self._low, 0.0)

    def most(self) -> float:
        """Return how many seconds it may differ at most, in either direction."""
        return max(abs(self._low), abs(self._high))

    def at_least(self) -> datetime:
        """Return the earliest time that the clock may show now; the function's own time before the first answer."""
        return utc_now(self._clock) + timedelta(seconds=self._low)

    def ahead(self) -> timedelta:
        """Return how far it is certainly ahead, zero if it may be equal or behind."""
        return timedelta(seconds=max(0.0, self._low))

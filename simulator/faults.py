"""What goes wrong between a client and an API: written down beforehand, or by chance that replays.

Chance is drawn from (seed, operation, instance, nth call of the two), so that threads that overtake each other change
nothing.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.errors import ApiError
from simulator.server import ConnectionDroppedError, Response

if TYPE_CHECKING:
    from simulator.clock import Clock

HANG_SECONDS = 10.0  # the SDK's read time-out
PAGE_502 = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
ERRORS = {  # kind: (HTTP status, code)
    "throttle": (400, "Throttling.User"),
    "throttle-hint": (429, "Throttling.Api"),
    "throttle-503": (503, "Throttling"),
    "unavailable": (503, "ServiceUnavailable"),
    "busy": (503, "ServerBusy"),
    "internal": (500, "InternalError"),
    "lock": (400, "LockTimeout"),
    "5xx": (500, "SomethingUnheardOf"),
}
LOST = ("reset", "hang", "page502", "truncated", "5xx")  # the client cannot know whether the state changed
KINDS = tuple(dict.fromkeys([*LOST, *ERRORS]))


@dataclass(frozen=True)
class Fault:
    """One fault: `kind` is one of `KINDS`; `after` means that the call was processed, and the answer then lost.

    `code` replaces an error's own; `retry_after_ms` goes out as `x-acs-retry-after`; `seconds` is how long a hang takes
    by the clock before the connection is closed.
    """

    kind: str
    after: bool = False
    code: str | None = None
    retry_after_ms: int | None = None
    seconds: float = HANG_SECONDS

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a fault is one of {', '.join(KINDS)}, not {self.kind!r}")

    def strike(self, clock: Clock, answer: Response | None, patience: float = HANG_SECONDS) -> Response:
        """What the client gets instead of `answer`. Raises ApiError or ConnectionDroppedError.

        `patience`: how long the client waits at most. (On a simulated clock its read time-out cannot be seen.)
        """
        if self.kind == "reset":
            raise ConnectionDroppedError(reset=True)
        if self.kind == "hang":
            clock.sleep(min(self.seconds, patience))
            raise ConnectionDroppedError
        if self.kind == "page502":
            return Response(502, PAGE_502, {"Content-Type": "text/html"})
        if self.kind == "truncated":
            body = answer.body if answer else b'{"RequestId":"00000000-0000-0000-0000-000000000000"}'
            return Response(200, body[: len(body) // 2], {"Content-Type": "application/json"})
        status, code = ERRORS[self.kind]
        hint = self.retry_after_ms or (1500 if self.kind == "throttle-hint" else None)
        headers = {"x-acs-retry-after": str(hint)} if hint else {}
        raise ApiError(status, self.code or code, "A simulated fault.", headers=headers)


class Faults:
    """Decides for each call which fault strikes it, and for each delivery whether it is killed, repeated or early."""

    def __init__(
        self,
        rate: float = 0.0,
        seed: int = 0,
        *,
        kinds: Sequence[str] = KINDS,
        operations: Iterable[str] | None = None,
        kill_rate: float = 0.0,
        repeat_rate: float = 0.0,
        early_rate: float = 0.0,
        max_kill_after: int = 60,
    ) -> None:
        """All rates are shares of 1. `rate` is that of calls, of `operations` alone if given; `kill_rate` that of
        asynchronous deliveries killed at one of their first `max_kill_after` I/O events; `repeat_rate` of those
        delivered again; `early_rate` of those whose delay is ignored.
        """
        self.rate = rate
        self.seed = seed
        self._kinds = tuple(kinds)
        self._operations = None if operations is None else frozenset(operations)
        self._kill_rate, self._repeat_rate, self._early_rate = kill_rate, repeat_rate, early_rate
        self._max_kill_after = max_kill_after
        self._plans: dict[tuple[str, str | None], deque[Fault | None]] = defaultdict(deque)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def plan(self, operation: str, faults: Iterable[Fault | None], instance: str | None = None) -> None:
        """Strike the next calls of `operation` (on `instance`, if given), one each; None leaves one alone."""
        self._plans[operation, instance].extend(faults)

    def of(self, operation: str, instance: str) -> Fault | None:
        """The fault of this call, if any."""
        with self._lock:
            self._counts[operation, instance] += 1
            count = self._counts[operation, instance]
            for key in ((operation, instance), (operation, None)):
                if plan := self._plans.get(key):
                    return plan.popleft()
        if not self.rate or (self._operations is not None and operation not in self._operations):
            return None
        chance = self._chance(operation, instance, count)
        if chance.random() >= self.rate:
            return None
        kind = chance.choice(self._kinds)
        return Fault(kind, after=not kind.startswith("throttle") and chance.random() < 0.5)

    def kill_after(self, delivery: int) -> int | None:
        """At which I/O event the nth asynchronous delivery dies; None if it lives."""
        chance = self._chance("kill", delivery)
        return chance.randint(1, self._max_kill_after) if chance.random() < self._kill_rate else None

    def repeated(self, delivery: int) -> bool:
        """Whether the nth asynchronous delivery comes again."""
        return self._chance("repeat", delivery).random() < self._repeat_rate

    def early(self, delivery: int) -> bool:
        """Whether the nth asynchronous delivery does not wait for its delay."""
        return self._chance("early", delivery).random() < self._early_rate

    def _chance(self, *key: object) -> random.Random:
        return random.Random(f"{self.seed}/{key}")  # noqa: S311 replays, no secret


class RateLimits:
    """At most so many calls of an operation a second: a bucket of one second's tokens each, filled by the clock."""

    def __init__(self, limits: dict[str, float] | None, time: Callable[[], float], hint: bool = True) -> None:
        """`limits`: calls a second by operation, `*` for any other. `hint`: answer with x-acs-retry-after."""
        self._limits = limits or {}
        self._time = time
        self._hint = hint
        self._buckets: dict[str, tuple[float, float]] = {}  # operation: (tokens, when)
        self._lock = threading.Lock()

    def check(self, operation: str) -> None:
        """Take a token. Raise ApiError (Throttling.User) when there is none."""
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

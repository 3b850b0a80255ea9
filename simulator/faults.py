"""What goes wrong between a client and an API: written down beforehand, or by chance that replays.

Chance is drawn from (seed, operation, instance, nth call of the two), so that threads that overtake each other change
nothing.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
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
ODD_ANSWERS = {  # status 200, and not what was asked for
    "200-object": b"{}",
    "200-list": b"[]",
    "200-text": b'""',
    "200-request-id": b'{"RequestId":"5D2B9C2F-0000-0000-0000-000000000200"}',
    "200-error": b'{"Code":"ServiceUnavailable","Message":"The request has failed.",'
    b'"RequestId":"5D2B9C2F-0000-0000-0000-000000000503"}',
}
SHORT_PAGES = ("empty-page", "cut-page")  # of a listing; its TotalCount stays right
REDIRECTS = {"redirect-302": 302, "redirect-307": 307}  # to another host
ALL_KINDS = (*KINDS, *ODD_ANSWERS, *SHORT_PAGES, *REDIRECTS)
COUNTED = {"DescribeBackups": ("Backups", "Backup"), "DescribeInstances": ("Instances", "KVStoreInstance")}
LISTS = {**COUNTED, "DescribeBackupTasks": ("BackupJobs",), "DescribeClusterBackupList": ("ClusterBackups",)}


@dataclass(frozen=True)
class Fault:
    """One fault: `kind` is one of `ALL_KINDS`; `after` means that the call was processed, and the answer then lost.

    `code` replaces an error's own; `retry_after_ms` goes out as `x-acs-retry-after`; `seconds` is how long a hang takes
    by the clock before the connection is closed. `effect_after`: the call is lost, and what CreateBackup was to do is
    done so many seconds later.
    """

    kind: str
    after: bool = False
    code: str | None = None
    retry_after_ms: int | None = None
    seconds: float = HANG_SECONDS
    effect_after: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ALL_KINDS:
            raise ValueError(f"a fault is one of {', '.join(ALL_KINDS)}, not {self.kind!r}")

    @property
    def needs_answer(self) -> bool:
        """Whether the call is processed before the fault strikes."""
        return (self.after and not self.effect_after) or self.kind in SHORT_PAGES

    def strike(
        self,
        clock: Clock,
        answer: Response | None,
        patience: float = HANG_SECONDS,
        operation: str = "",
        elsewhere: str = "",
    ) -> Response:
        """What the client gets instead of `answer`. Raises ApiError or ConnectionDroppedError.

        `patience`: how long the client waits at most. (On a simulated clock its read time-out cannot be seen.)
        `elsewhere`: where a redirect leads.
        """
        if self.kind in ODD_ANSWERS:
            return Response(200, ODD_ANSWERS[self.kind], {"Content-Type": "application/json;charset=utf-8"})
        if self.kind in REDIRECTS:
            return Response(REDIRECTS[self.kind], b"", {"Location": elsewhere})
        if self.kind in SHORT_PAGES and answer:
            return replace(answer, body=_shortened(answer.body, LISTS.get(operation), self.kind == "cut-page"))
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


def _shortened(body: bytes, path: tuple[str, ...] | None, cut: bool) -> bytes:
    """A listing's answer without its entries, or without the second half of them."""
    document = json.loads(body)
    if path is None or not isinstance(document, dict):
        return body
    *folders, name = path
    holder = document
    for folder in folders:
        holder = holder[folder]
    holder[name] = holder[name][: len(holder[name]) // 2] if cut else []
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


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
        late_rate: float = 0.0,
        expire_rate: float = 0.0,
        effect_rate: float = 0.0,
        max_kill_after: int = 60,
    ) -> None:
        """All rates are shares of 1. `rate` is that of calls, of `operations` alone if given; `kill_rate` that of
        asynchronous deliveries killed at one of their first `max_kill_after` I/O events; `repeat_rate` of those
        delivered again; `early_rate` of those whose delay is ignored; `late_rate` of those that come up to 150 s late;
        `expire_rate` of those whose credentials end within two minutes; `effect_rate` of the lost CreateBackups that
        take effect only 0.02 to 2 s later.
        """
        self.rate = rate
        self.seed = seed
        self._kinds = tuple(kinds)
        self._operations = None if operations is None else frozenset(operations)
        self._kill_rate, self._repeat_rate, self._early_rate = kill_rate, repeat_rate, early_rate
        self._late_rate, self._expire_rate, self._effect_rate = late_rate, expire_rate, effect_rate
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
        kind = chance.choice([kind for kind in self._kinds if _applies(kind, operation)] or KINDS)
        if kind.startswith("throttle") or kind in REDIRECTS:
            return Fault(kind)
        after = chance.random() < 0.5
        late = after and operation == "CreateBackup" and kind in LOST and chance.random() < self._effect_rate
        return Fault(kind, after, effect_after=chance.uniform(0.02, 2.0) if late else 0.0)

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

    def lateness(self, delivery: int) -> float:
        """How many seconds after its time the nth asynchronous delivery comes."""
        if not self._late_rate:
            return 0.0
        chance = self._chance("late", delivery)
        return chance.uniform(15, 150) if chance.random() < self._late_rate else chance.uniform(0, 1.5)

    def lifetime(self, delivery: int) -> float | None:
        """How many seconds the nth asynchronous delivery's credentials last; None: longer than any invocation."""
        chance = self._chance("expire", delivery)
        return chance.uniform(0.5, 120) if chance.random() < self._expire_rate else None

    def _chance(self, *key: object) -> random.Random:
        return random.Random(f"{self.seed}/{key}")  # noqa: S311 replays, no secret


def _applies(kind: str, operation: str) -> bool:
    """Whether chance may choose it: a short page only where a count gives it away, an odd 200 not where 202 is due."""
    if kind in SHORT_PAGES:
        return operation in COUNTED
    return kind not in ODD_ANSWERS or operation != "InvokeFunction"


class RateLimits:
    """At most so many calls a second: buckets of one second's tokens each, filled by the clock."""

    def __init__(self, limits: dict[str, float] | None, time: Callable[[], float], hint: bool = True) -> None:
        """`limits`: calls a second by operation; `*` for each other operation; `kvstore:*` for one bucket that all of
        R-KVStore's operations share (`fc:*`: Function Compute's). `hint`: answer with x-acs-retry-after.
        """
        self._limits = limits or {}
        self._time = time
        self._hint = hint
        self._buckets: dict[str, tuple[float, float]] = {}  # operation: (tokens, when)
        self._lock = threading.Lock()

    def check(self, action: str) -> None:
        """Take a token for an action such as `kvstore:CreateBackup`. Raise ApiError (Throttling.User) without one."""
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

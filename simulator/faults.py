"""Faults between a client and an API: planned for certain calls, or drawn at random.

A call's random numbers depend on the seed, its operation, its instance, and how many such calls came before it: the
same seed gives the same faults, whichever thread comes first.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simulator import bodies
from simulator.errors import ApiError
from simulator.oss.operations import OPERATIONS as STORE_OPERATIONS
from simulator.server import ConnectionDroppedError, Request, Response

if TYPE_CHECKING:
    from simulator.bodies import Body
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
UNKNOWN_OUTCOMES = (
    "reset",
    "hang",
    "page502",
    "truncated",
    "5xx",
)  # the client cannot know whether the call had an effect
KINDS = tuple(dict.fromkeys([*UNKNOWN_OUTCOMES, *ERRORS]))
ODD_ANSWERS = {  # status 200, with a body that is not the answer
    "200-object": b"{}",
    "200-list": b"[]",
    "200-text": b'""',
    "200-request-id": b'{"RequestId":"5D2B9C2F-0000-0000-0000-000000000200"}',
    "200-error": b'{"Code":"ServiceUnavailable","Message":"The request has failed.",'
    b'"RequestId":"5D2B9C2F-0000-0000-0000-000000000503"}',
}
SHORT_PAGES = ("empty-page", "cut-page")  # of a list; its TotalCount stays right
REDIRECTS = {"redirect-302": 302, "redirect-307": 307}  # to another host
BODY_KINDS = ("cut", "flip", "slow")  # half of the body is missing, one byte is another one, or half of it comes late
READ_KINDS = (*BODY_KINDS, "whole", "denied")  # of an object; whole: the range that was asked for is ignored
ALL_KINDS = (*KINDS, *ODD_ANSWERS, *SHORT_PAGES, *REDIRECTS, *READ_KINDS)
READS = ("Download", "GetObject")
READS_FAIL_BY = ("reset", "hang", "page502", "5xx", "internal", "unavailable", *REDIRECTS, *READ_KINDS)
UPLOADS = ("PutObject", "UploadPart")
STORE_FAILS_BY = ("reset", "hang", "page502", "5xx", "internal", "unavailable", "throttle-503", *REDIRECTS)
DENIED = (403, "AccessDenied")
COUNTED = {"DescribeBackups": ("Backups", "Backup"), "DescribeInstances": ("Instances", "KVStoreInstance")}
LISTS = {**COUNTED, "DescribeBackupTasks": ("BackupJobs",), "DescribeClusterBackupList": ("ClusterBackups",)}


@dataclass(frozen=True)
class Fault:
    """One fault: `kind` is one of `ALL_KINDS`; `after`: the call is processed first, and its answer is lost.

    `code` replaces the error's code. `retry_after_ms` is sent as `x-acs-retry-after`. `seconds`: how long a hanging
    call takes, by the clock, before the connection is closed, or how late a slow body's second half comes.
    `effect_after`: the answer of CreateBackup is lost, and the backup starts that many seconds later. `flip_at`,
    `flip_mask`: which byte is another one, as a part of the body's length, and which of its bits.
    """

    kind: str
    after: bool = False
    code: str | None = None
    retry_after_ms: int | None = None
    seconds: float = HANG_SECONDS
    effect_after: float = 0.0
    flip_at: float = 0.5
    flip_mask: int = 0xFF

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind."""
        if self.kind not in ALL_KINDS:
            raise ValueError(f"a fault is one of {', '.join(ALL_KINDS)}, not {self.kind!r}")

    @property
    def needs_answer(self) -> bool:
        """Return whether the call is processed before the fault happens."""
        return (self.after and not self.effect_after) or self.kind in (*SHORT_PAGES, *BODY_KINDS, "whole")

    def request(self, request: Request) -> Request:
        """Return the request as the service sees it.

        Without its range when the answer is to be the whole object; with another byte in a body that is uploaded.
        """
        if self.kind == "flip" and request.stream:
            position = int(int(request.headers.get("content-length") or 0) * self.flip_at)
            return replace(request, stream=bodies.flip(request.stream, position, self.flip_mask))
        if self.kind != "whole":
            return request
        return replace(request, headers={name: value for name, value in request.headers.items() if name != "range"})

    def apply(
        self,
        clock: Clock,
        answer: Response | None,
        max_wait: float = HANG_SECONDS,
        operation: str = "",
        redirect_to: str = "",
    ) -> Response:
        """Return what the client gets instead of `answer`. Raise ApiError or ConnectionDroppedError.

        `max_wait`: the client's read time-out in seconds, which a simulated clock does not show. `redirect_to`: the URL
        that a redirect names.
        """
        if answer and self.kind in (*BODY_KINDS, "whole"):
            return replace(answer, body=b"", stream=self._body(answer.content, clock))
        if self.kind in ODD_ANSWERS:
            return Response(200, ODD_ANSWERS[self.kind], {"Content-Type": "application/json;charset=utf-8"})
        if self.kind in REDIRECTS:
            return Response(REDIRECTS[self.kind], b"", {"Location": redirect_to})
        if self.kind in SHORT_PAGES and answer:
            return replace(answer, body=_shorten(answer.body, LISTS.get(operation), half=self.kind == "cut-page"))
        if self.kind == "reset":
            raise ConnectionDroppedError(reset=True)
        if self.kind == "hang":
            clock.sleep(min(self.seconds, max_wait))
            raise ConnectionDroppedError
        if self.kind == "page502":
            return Response(502, PAGE_502, {"Content-Type": "text/html"})
        if self.kind == "truncated":
            body = answer.body if answer else b'{"RequestId":"00000000-0000-0000-0000-000000000000"}'
            return Response(200, body[: len(body) // 2], {"Content-Type": "application/json"})
        status, code = ERRORS.get(self.kind, DENIED)
        hint = self.retry_after_ms or (1500 if self.kind == "throttle-hint" else None)
        headers = {"x-acs-retry-after": str(hint)} if hint else {}
        raise ApiError(status, self.code or code, "A simulated fault.", headers=headers)

    def _body(self, body: Body, clock: Clock) -> Body:
        if self.kind == "slow":
            return bodies.delayed(body, lambda: clock.sleep(self.seconds))
        if self.kind == "flip":
            return bodies.flipped(body, self.flip_at, self.flip_mask)
        return bodies.cut(body) if self.kind == "cut" else body


def _shorten(body: bytes, path: tuple[str, ...] | None, *, half: bool) -> bytes:
    """Return a list's answer without its entries, or with the first half of them."""
    document = json.loads(body)
    if path is None or not isinstance(document, dict):
        return body
    *folders, name = path
    holder = document
    for folder in folders:
        holder = holder[folder]
    holder[name] = holder[name][: len(holder[name]) // 2] if half else []
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


class Faults:
    """Decides which fault each call gets, and whether each asynchronous delivery is killed, repeated, early or late."""

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
        """Set the rates, between 0 and 1. `rate`: of API calls (only of `operations`, if given) that get a fault.

        Of asynchronous deliveries, `kill_rate`: killed at one of the first `max_kill_after` I/O events; `repeat_rate`:
        delivered again; `early_rate`: delivered without their delay; `late_rate`: delivered up to 150 s late;
        `expire_rate`: with credentials that expire within two minutes. `effect_rate`: of the CreateBackup calls whose
        answer is lost, those that start the backup 0.02 to 2 s later.
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
        """Give one fault each to the next calls of `operation` (on `instance`, if given); None lets a call pass."""
        self._plans[operation, instance].extend(faults)

    def next_fault(self, operation: str, instance: str) -> Fault | None:
        """Return the fault of this call; None when it passes."""
        with self._lock:
            self._counts[operation, instance] += 1
            count = self._counts[operation, instance]
            for key in ((operation, instance), (operation, None)):
                if plan := self._plans.get(key):
                    return plan.popleft()
        if not self.rate or (self._operations is not None and operation not in self._operations):
            return None
        rng = self._rng(operation, instance, count)
        if rng.random() >= self.rate:
            return None
        possible = (*self._kinds, *KINDS) if not any(_applies(kind, operation) for kind in self._kinds) else self._kinds
        kind = rng.choice([kind for kind in possible if _applies(kind, operation)])
        if kind.startswith("throttle") or kind in REDIRECTS:
            return Fault(kind)
        after = rng.random() < 0.5
        late = after and operation == "CreateBackup" and kind in UNKNOWN_OUTCOMES and rng.random() < self._effect_rate
        effect_after = rng.uniform(0.02, 2.0) if late else 0.0
        return Fault(kind, after, effect_after=effect_after, flip_at=rng.random(), flip_mask=rng.randint(1, 255))

    def kill_after(self, delivery: int) -> int | None:
        """Return the number of the I/O event that kills the nth delivery; None when it is not killed."""
        rng = self._rng("kill", delivery)
        return rng.randint(1, self._max_kill_after) if rng.random() < self._kill_rate else None

    def repeated(self, delivery: int) -> bool:
        """Return whether the nth delivery is delivered again after it succeeded."""
        return self._rng("repeat", delivery).random() < self._repeat_rate

    def early(self, delivery: int) -> bool:
        """Return whether the nth delivery comes at once, without its delay."""
        return self._rng("early", delivery).random() < self._early_rate

    def lateness(self, delivery: int) -> float:
        """Return how many seconds late the nth delivery comes."""
        if not self._late_rate:
            return 0.0
        rng = self._rng("late", delivery)
        return rng.uniform(15, 150) if rng.random() < self._late_rate else rng.uniform(0, 1.5)

    def lifetime(self, delivery: int) -> float | None:
        """Return how many seconds the nth delivery's credentials are valid; None: longer than any invocation."""
        rng = self._rng("expire", delivery)
        return rng.uniform(0.5, 120) if rng.random() < self._expire_rate else None

    def _rng(self, *key: object) -> random.Random:
        return random.Random(f"{self.seed}/{key}")  # noqa: S311 replays, no secret


def _applies(kind: str, operation: str) -> bool:
    """Return whether a random fault may be of that kind.

    Short pages need a TotalCount, InvokeFunction answers 202 and not 200, and OSS has no JSON and errors of its own.
    """
    if operation in READS:
        return kind in READS_FAIL_BY
    if operation in STORE_OPERATIONS:
        return kind in STORE_FAILS_BY or (kind == "flip" and operation in UPLOADS)
    if kind in READ_KINDS:
        return False
    if kind in SHORT_PAGES:
        return operation in COUNTED
    return kind not in ODD_ANSWERS or operation != "InvokeFunction"

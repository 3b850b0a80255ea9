"""What every API call passes through, whichever service it is for.

kill switch > signature > latency > rate limit > fault before > permission > operation > fault after > kill switch

Every answer bears a `Date`, by the clock of its service.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from simulator import ram, signatures
from simulator.endpoints import localise
from simulator.errors import ApiError
from simulator.exact import Strand
from simulator.faults import HANG_SECONDS, REDIRECTS
from simulator.server import ConnectionDroppedError, Request, Response

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.credentials import Credential, CredentialStore
    from simulator.faults import Faults, RateLimits


@dataclass(frozen=True)
class Target:
    """What a call is about: the operation, the instance (or function) it names, and what RAM calls the two."""

    operation: str
    instance: str
    region: str | None
    action: str
    resource: str


@dataclass(frozen=True)
class Call:
    """One API call as it went. `status` 0: no answer was sent. Times are the clock's."""

    number: int
    time: float
    operation: str
    instance: str
    region: str | None
    access_key_id: str
    request_id: str | None  # of the invocation that called
    status: int
    code: str
    fault: str | None


class Service(Protocol):
    """One of the cloud's services, as the gateway sees it."""

    denial_code: str

    @property
    def clock_offset(self) -> float:
        """How many seconds the service's clock is ahead of the cloud's."""

    def target(self, request: Request) -> Target:
        """What the request is about. Raise ApiError when it names no operation."""

    def find(self, target: Target, request: Request) -> None:
        """Raise ApiError where a thing that does not exist is told before a lack of permission."""

    def perform(self, target: Target, request: Request, request_id: str, delay: float = 0.0) -> Response:
        """Do it (`delay` seconds from now, where that can be), and answer. Raise ApiError when it is refused."""

    def refuse(self, error: ApiError, request: Request, request_id: str) -> Response:
        """The answer to a call that was refused."""


class Gateway:
    """The server's application: checks a call, hands it to its service, and logs it."""

    def __init__(
        self,
        route: Callable[[Request], Service],
        *,
        clock: Clock,
        credentials: CredentialStore,
        policies: Callable[[Credential], Iterable[ram.Policy] | None],
        faults: Faults,
        limits: RateLimits,
        latency: float = 0.0,
        real_latency: float = 0.0,
        elsewhere: Callable[[], str] = str,
    ) -> None:
        """`policies` gives a caller's policy documents, None for no limits. `latency` is in seconds of the clock and
        `real_latency` in the machine's; `elsewhere` gives the URL that a redirect leads to.
        """
        self.calls: list[Call] = []
        self.listeners: list[Callable[[Call], None]] = []  # told of each that ended
        self._numbers = itertools.count(1)
        self._route, self._clock, self._credentials, self._policies = route, clock, credentials, policies
        self._faults, self._limits = faults, limits
        self._latency, self._real_latency, self._elsewhere = latency, real_latency, elsewhere

    def __call__(self, request: Request) -> Response:
        """Answer a request. Raise ConnectionDroppedError when there is to be no answer."""
        request = localise(request)
        service = self._route(request)
        response = self._answer(service, request)
        date = _http_date(int(self._clock.time() + service.clock_offset))
        return replace(response, headers={**response.headers, "Date": date})

    def _answer(self, service: Service, request: Request) -> Response:
        request_id = str(uuid.uuid4()).upper()
        number, began = next(self._numbers), self._clock.time()
        target, credential, fault = None, None, None
        status, code = 0, ""
        try:
            try:
                signed = signatures.read(request)
                credential = self._credentials.find(signed.access_key_id)
                _check_kill_switch(credential)
                target = service.target(request)
                now = time.time() + service.clock_offset
                caller = signatures.verify(signed, credential, self._credentials, now)
                with _serving(credential, self._clock) as clock:
                    self._delay(clock)
                    self._limits.check(target.action)
                    fault = self._faults.of(target.operation, target.instance)
                    answer = None
                    if fault is None or fault.needs_answer or fault.effect_after:
                        service.find(target, request)
                        self._authorize(caller, target, service)
                        delay = fault.effect_after if fault else 0.0
                        answer = response = service.perform(target, request, request_id, delay)
                    if fault:
                        elsewhere = self._elsewhere() if fault.kind in REDIRECTS else ""
                        response = fault.strike(clock, answer, _patience(credential), target.operation, elsewhere)
            except ApiError as error:
                response, code = service.refuse(error, request, request_id), error.code
            _check_kill_switch(credential)
            status = response.status
            return response
        finally:
            self._log(number, began, target, credential, status, code, fault and fault.kind)

    def _delay(self, clock: Clock) -> None:
        if self._latency:
            clock.sleep(self._latency)
        if self._real_latency:
            time.sleep(self._real_latency)

    def _authorize(self, caller: Credential, target: Target, service: Service) -> None:
        policies = self._policies(caller)
        if policies is not None and not ram.is_allowed(policies, target.action, target.resource):
            raise ram.denial(target.action, target.resource, code=service.denial_code)

    def _log(
        self,
        number: int,
        began: float,
        target: Target | None,
        credential: Credential | None,
        status: int,
        code: str,
        fault: str | None,
    ) -> None:
        kill_switch = credential.kill_switch if credential else None
        call = Call(
            number,
            began,
            target.operation if target else "",
            target.instance if target else "",
            target.region if target else None,
            credential.access_key_id if credential else "",
            kill_switch.request_id if kill_switch else None,
            status,
            code,
            fault,
        )
        self.calls.append(call)
        for listener in self.listeners:
            listener(call)


def _serving(credential: Credential | None, clock: Clock) -> AbstractContextManager[Clock]:
    """By which clock a caller's call is worked on: that of its invocation, where there is one."""
    if credential and credential.kill_switch and isinstance(credential.kill_switch.clock, Strand):
        return credential.kill_switch.clock.call()
    return nullcontext(clock)


@lru_cache(maxsize=64)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def _patience(credential: Credential) -> float:
    """A client that minds its own time-out does not wait for longer than a part of what is left of it."""
    return credential.kill_switch.remaining() / 2 if credential.kill_switch else HANG_SECONDS


def _check_kill_switch(credential: Credential | None) -> None:
    """Close the connection of a caller that is dead: nothing that it sends is processed, nothing sent reaches it."""
    if credential and credential.kill_switch and not credential.kill_switch.is_alive_after():
        raise ConnectionDroppedError

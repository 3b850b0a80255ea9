"""Handle every API call, for all services, in these steps:

kill switch → signature → latency → rate limit → fault before → permission → operation → fault after → kill switch

Every answer has a `Date` header, by its service's clock.
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
from simulator.endpoints import with_region
from simulator.errors import ApiError
from simulator.exact_clock import InvocationClock
from simulator.faults import HANG_SECONDS, REDIRECTS
from simulator.kill_switch import Killed
from simulator.server import ConnectionDroppedError, Request, Response
from simulator.signatures import SignatureErrors

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.credentials import Credential, CredentialStore
    from simulator.faults import Fault, Faults
    from simulator.rate_limits import RateLimits


@dataclass(frozen=True)
class Target:
    """The operation and the instance (or function) of a call, and their names in RAM: action and resource."""

    operation: str
    instance: str
    region: str | None
    action: str
    resource: str


@dataclass(frozen=True)
class Call:
    """One API call that has ended. `time`: of its arrival, by the clock. `status` 0: no answer was sent."""

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


class Service(SignatureErrors, Protocol):
    """The methods of a service that the gateway calls. Each service's `wire` module has a class for it."""

    denial_code: str

    @property
    def clock_offset(self) -> float:
        """Return how many seconds the service's clock is ahead of the cloud's."""

    def target(self, request: Request) -> Target:
        """Return what the request is for. Raise ApiError when it names no operation."""

    def find(self, target: Target, request: Request) -> None:
        """Raise ApiError when the target does not exist, if the service checks that before the permission."""

    def perform(self, target: Target, request: Request, request_id: str, delay: float = 0.0) -> Response:
        """Perform the operation and return its answer. Raise ApiError when the service refuses it.

        `delay`: the operation has its effect that many seconds later, if it is one that can.
        """

    def translated(self, error: ApiError) -> ApiError:
        """Return an error of the gateway's, or of another service's, as this service states it."""

    def refuse(self, error: ApiError, request: Request, request_id: str) -> Response:
        """Return the answer for an error."""


class Gateway:
    """Checks each call, passes it to its service, and keeps it in `calls`. It is the server's application."""

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
        redirect_target: Callable[[], str] = str,
    ) -> None:
        """Create the gateway. `route` returns a request's service.

        `policies` returns a caller's policy documents; None allows everything. `latency`: of each
        call, in seconds of the clock; `real_latency`: in real seconds. `redirect_target` returns the URL that redirects
        name.
        """
        self.calls: list[Call] = []
        self.listeners: list[Callable[[Call], None]] = []  # called with each call that has ended
        self._numbers = itertools.count(1)
        self._route, self._clock, self._credentials, self._policies = route, clock, credentials, policies
        self._faults, self._limits = faults, limits
        self._latency, self._real_latency, self._redirect_target = latency, real_latency, redirect_target

    def __call__(self, request: Request) -> Response:
        """Answer a request. Raise ConnectionDroppedError when there is to be no answer."""
        request = with_region(request)
        service = self._route(request)
        response = self._answer(service, request)
        date = _http_date(int(self._clock.time() + service.clock_offset))
        return replace(response, headers={**response.headers, "Date": date})

    def _answer(self, service: Service, request: Request) -> Response:
        request_id = str(uuid.uuid4()).upper()
        number, began = next(self._numbers), self._clock.time()
        target: Target | None = None
        credential: Credential | None = None
        fault: Fault | None = None
        status, code = 0, ""
        try:
            try:
                signature = signatures.read(request)
                credential = self._credentials.find(signature.access_key_id)
                _check_kill_switch(credential)
                target = service.target(request)
                now = time.time() + service.clock_offset
                caller = signatures.verify(signature, credential, self._credentials, now, service)
                with _call_clock(caller, self._clock) as clock:
                    self._delay(clock)
                    self._limits.check(target.action)
                    fault = self._faults.next_fault(target.operation, target.instance)
                    answer = None
                    if fault is None or fault.needs_answer or fault.effect_after:
                        service.find(target, request)
                        self._authorize(caller, target, service)
                        delay = fault.effect_after if fault else 0.0
                        answer = response = service.perform(target, request, request_id, delay)
                    if fault:
                        redirect_to = self._redirect_target() if fault.kind in REDIRECTS else ""
                        response = fault.apply(clock, answer, _max_wait(caller), target.operation, redirect_to)
            except ApiError as raised:
                error = service.translated(raised)
                response, code = service.refuse(error, request, request_id), error.code
            _check_kill_switch(credential)
            status = response.status
            return response
        finally:
            self._log(number, began, target, credential, status, code, fault.kind if fault else None)

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


def _call_clock(caller: Credential, clock: Clock) -> AbstractContextManager[Clock]:
    """Return the clock by which a call is processed: that of the caller's invocation, if it has one of its own."""
    if caller.kill_switch and isinstance(caller.kill_switch.clock, InvocationClock):
        return caller.kill_switch.clock.call()
    return nullcontext(clock)


@lru_cache(maxsize=64)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def _max_wait(caller: Credential) -> float:
    """Return the read time-out of a caller: half of what is left of its invocation's time-out."""
    return caller.kill_switch.remaining() / 2 if caller.kill_switch else HANG_SECONDS


def _check_kill_switch(credential: Credential | None) -> None:
    """Count an event of the caller's invocation. Raise ConnectionDroppedError when that has ended."""
    if credential and credential.kill_switch:
        try:
            credential.kill_switch.count_event()
        except Killed:
            raise ConnectionDroppedError from None

"""Handle every API call, for all services, in these steps:

kill switch → signature → latency → rate limit → fault before → permission → operation → fault after → kill switch

Every answer has a `Date` header, by its service's clock.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from simulator import ram, signatures
from simulator.endpoints import with_region
from simulator.errors import ApiError
from simulator.exact_clock import CallClock, InvocationClock
from simulator.faults import HANG_SECONDS, REDIRECTS, Fault
from simulator.kill_switch import Killed
from simulator.server import ConnectionDroppedError, Request, Response
from simulator.signatures import SignatureErrors

if TYPE_CHECKING:
    from simulator.bodies import Body
    from simulator.clock import Clock
    from simulator.credentials import Credential, CredentialStore
    from simulator.faults import Faults
    from simulator.rate_limits import RateLimits


@dataclass(frozen=True)
class Target:
    """The operation and the instance (or function) of a call, and their names in RAM: action and resource."""

    operation: str
    instance: str
    region: str | None
    action: str  # empty for what needs no permission: no policy and no rate limit holds for it
    resource: str
    hangs: bool = False  # nothing answers there
    latency: float = 0.0  # seconds, besides that of all calls


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
    range: str = ""  # of an object, as the request asked for it
    bytes_sent: int = 0  # of a streamed body


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
        """Return an error of the gateway's as this service states it."""

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
        call = _OpenCall(next(self._numbers), self._clock.time(), request.headers.get("range", ""))
        is_streamed = False
        try:
            try:
                response = self._process(service, request, call)
            except ApiError as raised:
                error = service.translated(raised)
                response, call.code = service.refuse(error, request, call.request_id), error.code
            _check_kill_switch(call.credential)
            call.status = response.status
            is_streamed = response.stream is not None and request.method != "HEAD"
            if response.stream and is_streamed:
                response = replace(response, stream=self._log_at_end(response.stream, call))
            return response
        finally:
            if not is_streamed:
                self._log(call)

    def _process(self, service: Service, request: Request, call: _OpenCall) -> Response:
        """Return the answer of the service, or of a fault. Raise ApiError when one of the two refuses the call."""
        signature = signatures.read(request)
        call.credential = credential = self._credentials.find(signature.access_key_id)
        _check_kill_switch(credential)
        call.target = target = service.target(request)
        now = time.time() + service.clock_offset
        caller = signatures.verify(signature, credential, self._credentials, now, service)
        with _call_clock(caller, self._clock) as clock:
            self._delay(clock, target.latency)
            if target.action:
                self._limits.check(target.action)
            fault = Fault("hang") if target.hangs else self._faults.next_fault(target.operation, target.instance)
            call.fault = fault.kind if fault else None
            answer = None
            if fault is None or fault.needs_answer or fault.effect_after:
                service.find(target, request)
                if target.action:
                    self._authorize(caller, target, service)
                asked = fault.request(request) if fault else request
                if asked.stream and isinstance(clock, CallClock):
                    asked = replace(asked, stream=clock.awaiting(asked.stream))
                answer = service.perform(target, asked, call.request_id, fault.effect_after if fault else 0.0)
            if fault:
                redirect_to = self._redirect_target() if fault.kind in REDIRECTS else ""
                answer = fault.apply(clock, answer, _max_wait(caller), target.operation, redirect_to)
        assert answer  # noqa: S101 without a fault there is one
        return answer

    def _log_at_end(self, body: Body, call: _OpenCall) -> Body:
        """Return the body that logs the call just before its last bytes are sent, or where the sending ends."""

        def chunks() -> Iterator[bytes]:
            is_logged = False
            made = iter(body.chunks)
            try:
                while True:
                    with _call_clock(call.credential, self._clock):  # not while the client takes its time
                        chunk = next(made, None)
                    if chunk is None:
                        break
                    call.bytes_sent += len(chunk)
                    if call.bytes_sent == body.size:
                        is_logged = True
                        self._log(call)
                    yield chunk
            finally:
                if not is_logged:
                    self._log(call)

        return replace(body, chunks=chunks())

    def _delay(self, clock: Clock, latency: float) -> None:
        if self._latency + latency:
            clock.sleep(self._latency + latency)
        if self._real_latency:
            time.sleep(self._real_latency)

    def _authorize(self, caller: Credential, target: Target, service: Service) -> None:
        policies = self._policies(caller)
        if policies is not None and not ram.is_allowed(policies, target.action, target.resource):
            raise ram.denial(target.action, target.resource, code=service.denial_code)

    def _log(self, open_call: _OpenCall) -> None:
        call = open_call.ended()
        self.calls.append(call)
        for listener in self.listeners:
            listener(call)


@dataclass
class _OpenCall:
    """A call that is being answered: what is known of it so far."""

    number: int
    began: float
    range: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()).upper())
    target: Target | None = None
    credential: Credential | None = None
    status: int = 0
    code: str = ""
    fault: str | None = None
    bytes_sent: int = 0

    def ended(self) -> Call:
        """Return the call as it is kept."""
        target, credential = self.target, self.credential
        kill_switch = credential.kill_switch if credential else None
        return Call(
            self.number,
            self.began,
            target.operation if target else "",
            target.instance if target else "",
            target.region if target else None,
            (credential.issued_for or credential.access_key_id) if credential else "",
            kill_switch.request_id if kill_switch else None,
            self.status,
            self.code,
            self.fault,
            self.range,
            self.bytes_sent,
        )


def _call_clock(caller: Credential | None, clock: Clock) -> AbstractContextManager[Clock]:
    """Return the clock by which a call is processed: that of the caller's invocation, if it has one of its own."""
    if caller and caller.kill_switch and isinstance(caller.kill_switch.clock, InvocationClock):
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

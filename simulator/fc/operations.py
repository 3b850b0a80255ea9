"""The operations of Function Compute: it invokes the function now, or queues an event for later."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from simulator.credentials import ROLE_LIFETIME
from simulator.fc import context as runtime_context
from simulator.fc.invocation import Handler, project_handler, run
from simulator.fc.state import AsyncQueue, Invocation
from simulator.kill_switch import KillSwitch
from simulator.logstore import Log, LogStore

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.credentials import CredentialStore
    from simulator.exact_clock import InvocationClock
    from simulator.faults import Faults
    from simulator.fc.config import FunctionConfig


class FunctionCompute:
    """The service, with one function. `invocations` has all that have ended, in the order of their ends."""

    def __init__(
        self,
        config: FunctionConfig,
        clock: Clock,
        credentials: CredentialStore,
        faults: Faults,
        logs: LogStore,
        handler: Handler | None = None,
    ) -> None:
        """Create the service. `handler` is called with (event, context, runtime); default: the project's own."""
        self.config = config
        self.environment: dict[str, str] = {}  # variables that add to, or replace, those of `config`
        self.invocations: list[Invocation] = []
        self.listeners: list[Callable[[Invocation], None]] = []  # called with each invocation that has ended
        self.queue = AsyncQueue(config, faults, clock.time)
        self.clock_offset = 0.0  # how many seconds Function Compute's clock is ahead, in its `Date` headers
        self.outages: list[tuple[float, float]] = []  # (begin, end) by the clock; what runs then is killed
        self._clock, self._credentials, self._logs = clock, credentials, logs
        self._handler = handler or project_handler
        self._random = random.Random(f"platform/{faults.seed}")  # noqa: S311 replays, no secret
        self._instances = 1  # of the function, so far

    def invoke(
        self,
        event: bytes,
        *,
        request_id: str | None = None,
        asynchronous: bool = False,
        attempt: int = 0,
        task_id: str | None = None,
        kill_after: int | None = None,
        lifetime: float | None = None,
        clock: InvocationClock | None = None,
    ) -> Invocation:
        """Run the function on the event and return the invocation.

        `kill_after`: the number of the I/O event that kills it. `lifetime`: of its credentials, in seconds. `clock`:
        its own, where several run side by side.
        """
        request_id = request_id or self._new_request_id()
        own_clock: Clock = clock or self._clock
        now, config = own_clock.time(), self.config
        deadline = own_clock.monotonic() + float(config.timeout)
        kill_switch = KillSwitch(request_id, own_clock, deadline, kill_after, self.outages)
        credential = self._credentials.issue(kill_switch, ROLE_LIFETIME if lifetime is None else lifetime)
        instance_id = f"c-{int(now):08x}-{self._instances:012x}"
        environ = runtime_context.environment(config, instance_id, credential) | self.environment
        context = runtime_context.context(config, request_id, credential, attempt)

        def sink(line: str) -> None:
            self._logs.append(Log(int(own_clock.time()), config.name, config.qualifier, instance_id, line))

        invocation = Invocation(request_id, event, asynchronous, attempt, task_id, credential.access_key_id, now)
        sink(f"FC Invoke Start RequestId: {request_id}")
        run(invocation, self._handler, context, environ, own_clock, kill_switch, sink)
        sink(f"FC Invoke End RequestId: {request_id}")
        if invocation.failed:
            self._instances += 1  # an instance that crashed is not used again
        self.invocations.append(invocation)
        for listener in self.listeners:
            listener(invocation)
        return invocation

    def invoke_async(
        self,
        event: bytes,
        *,
        delay: float = 0.0,
        task_id: str | None = None,
        once: bool = False,
        punctual: bool = False,
    ) -> str:
        """Queue the event and return its request ID. Raise ApiError (409) when the task ID was used before.

        `once`: it is not retried, since its caller waits for the answer. `punctual`: it is delivered after exactly
        `delay` seconds, and not at random earlier or later.
        """
        request_id = self._new_request_id()
        self.queue.add(event, request_id, delay, task_id, once=once, punctual=punctual)
        return request_id

    def _new_request_id(self) -> str:
        return runtime_context.request_id(self._clock.time(), self._random)

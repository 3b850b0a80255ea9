"""Function Compute: invokes the function now, or later from its queue."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from simulator.credentials import ROLE_LIFETIME
from simulator.exact import ExactClock, Strand
from simulator.fc import context as runtime_context
from simulator.fc.invocation import Handler, Invocation, project_handler, run
from simulator.fc.kill_switch import KillSwitch
from simulator.fc.queue import AsyncQueue, Delivery
from simulator.logstore import Log, LogStore

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.credentials import CredentialStore
    from simulator.faults import Faults
    from simulator.fc.config import FunctionConfig


class Platform:
    """Runs one function. `invocations` holds all that ended, in that order."""

    def __init__(
        self,
        config: FunctionConfig,
        clock: Clock,
        credentials: CredentialStore,
        faults: Faults,
        logs: LogStore,
        handler: Handler | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """`handler` is called with (event, context, runtime); by default the project's. `environment` adds to, or
        replaces, what the platform and the function's configuration set.
        """
        self.config = config
        self.environment = environment if environment is not None else {}
        self.invocations: list[Invocation] = []
        self.listeners: list[Callable[[Invocation], None]] = []  # told of each that ended
        self.queue = AsyncQueue(config, faults, clock.time)
        self.clock_offset = 0.0  # how many seconds Function Compute's clock is ahead, as its `Date` shows
        self.outages: list[tuple[float, float]] = []  # from when to when, by the clock, whatever runs is killed
        self._clock, self._credentials, self._faults, self._logs = clock, credentials, faults, logs
        self._handler = handler or project_handler
        self._chance = random.Random(f"platform/{faults.seed}")  # noqa: S311 replays, no secret
        self._deliveries = itertools.count(1)
        self._planned_kills: list[int | None] = []
        self._planned_lifetimes: list[float | None] = []
        self._busy = 0
        self._instances = 1

    def new_request_id(self) -> str:
        return runtime_context.request_id(self._clock.time(), self._chance)

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
        strand: Strand | None = None,
    ) -> Invocation:
        """Run the function on the event and return what came of it. `kill_after`: die at the nth I/O event.

        `lifetime`: of its credentials, in seconds. `strand`: its own clock, where several run side by side.
        """
        request_id = request_id or self.new_request_id()
        clock: Clock = strand or self._clock
        now, config = clock.time(), self.config
        kill_switch = KillSwitch(request_id, clock, clock.monotonic() + float(config.timeout), kill_after, self.outages)
        credential = self._credentials.issue(kill_switch, ROLE_LIFETIME if lifetime is None else lifetime)
        instance_id = f"c-{int(now):08x}-{self._instances:012x}"
        environ = runtime_context.environment(config, instance_id, credential) | self.environment
        context = runtime_context.context(config, request_id, credential, attempt)

        def sink(line: str) -> None:
            self._logs.append(Log(int(clock.time()), config.name, config.qualifier, instance_id, line))

        invocation = Invocation(request_id, event, asynchronous, attempt, task_id, credential.access_key_id, now)
        sink(f"FC Invoke Start RequestId: {request_id}")
        run(invocation, self._handler, context, environ, clock, kill_switch, sink)
        sink(f"FC Invoke End RequestId: {request_id}")
        if invocation.failed:
            self._instances += 1  # a crashed instance is not used again
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
        """Queue the event and return its request ID. Raise ApiError (409) when the task ID was taken before.

        `once`: for a caller who waits for the answer, so that nothing is retried. `punctual`: chance makes it neither
        earlier nor later than `delay`.
        """
        request_id = self.new_request_id()
        self.queue.add(event, request_id, delay, task_id, once=once, punctual=punctual)
        return request_id

    def plan_kills(self, kill_after: Iterable[int | None]) -> None:
        """Kill the next deliveries from the queue at these I/O events, one each; None lets one live."""
        self._planned_kills.extend(kill_after)

    def plan_lifetimes(self, seconds: Iterable[float | None]) -> None:
        """End the credentials of the next deliveries from the queue after these times; None: they last."""
        self._planned_lifetimes.extend(seconds)

    def run_due(self) -> Invocation | None:
        """Move the clock to the next delivery and run it; None when nothing waits."""
        due = self.queue.next_due()
        if due is None:
            return None
        self._clock.sleep(due - self._clock.time())
        delivery = self.queue.take()
        return self._deliver(delivery) if delivery else None

    def drain(self, limit: int = 10_000) -> list[Invocation]:
        """Run deliveries until none waits: side by side on an exact clock, else one after the other.

        Raise RuntimeError after `limit` of them.
        """
        if isinstance(self._clock, ExactClock):
            return self._drain_side_by_side(self._clock, limit)
        done: list[Invocation] = []
        while (invocation := self.run_due()) is not None:
            done.append(invocation)
            if len(done) >= limit and len(self.queue):
                raise RuntimeError(f"the queue still holds {len(self.queue)} deliveries after {limit}")
        return done

    def _drain_side_by_side(self, clock: ExactClock, limit: int) -> list[Invocation]:
        before = len(self.invocations)
        broken: list[BaseException] = []

        def run_one(delivery: Delivery, strand: Strand) -> None:
            try:
                self._deliver(delivery, strand)
            except BaseException as error:  # noqa: BLE001 it is raised below
                broken.append(error)
            finally:
                clock.end(strand)

        def begin(strand: Strand) -> None:
            delivery = self.queue.take()
            if broken or delivery is None or len(self.invocations) - before >= limit:
                raise RuntimeError(f"the queue still holds {len(self.queue)} deliveries after {limit}")
            threading.Thread(target=run_one, args=(delivery, strand), daemon=True).start()

        clock.drive(self.queue.next_due, begin)
        if broken:
            raise broken[0]
        return self.invocations[before:]

    @contextmanager
    def running(self, workers: int = 8) -> Iterator[None]:
        """While the block runs, deliver what is due by the clock, `workers` at a time."""
        stopped = threading.Event()
        with ThreadPoolExecutor(workers, thread_name_prefix="invocation") as pool:
            feeder = threading.Thread(target=self._feed, args=(pool, stopped), daemon=True)
            feeder.start()
            try:
                yield
            finally:
                stopped.set()
                feeder.join()

    def wait_idle(self) -> None:
        """Inside `running()`: return when the queue is empty and nothing runs."""
        with self.queue.changed:
            while self._busy or len(self.queue):
                self.queue.changed.wait(0.05)

    def _feed(self, pool: ThreadPoolExecutor, stopped: threading.Event) -> None:
        while not stopped.is_set():
            with self.queue.changed:
                delivery = self.queue.take()
                if delivery is None:
                    self.queue.changed.wait(0.02)
                    continue
                self._busy += 1
            pool.submit(self._deliver_counted, delivery)

    def _deliver_counted(self, delivery: Delivery) -> None:
        try:
            self._deliver(delivery)
        finally:
            with self.queue.changed:
                self._busy -= 1
                self.queue.changed.notify_all()

    def _deliver(self, delivery: Delivery, strand: Strand | None = None) -> Invocation:
        number = next(self._deliveries)
        planned = self._planned_kills.pop(0) if self._planned_kills else self._faults.kill_after(number)
        lifetime = self._planned_lifetimes.pop(0) if self._planned_lifetimes else self._faults.lifetime(number)
        invocation = self.invoke(
            delivery.event,
            request_id=delivery.request_id,
            asynchronous=not delivery.once,
            attempt=delivery.attempt,
            task_id=delivery.task_id,
            kill_after=planned,
            lifetime=lifetime,
            strand=strand,
        )
        self.queue.settle(delivery, invocation)
        return invocation

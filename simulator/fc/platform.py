"""Delivers what waits in Function Compute's queue: in turn, side by side, or as a service that runs."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from simulator.exact_clock import ExactClock, InvocationClock
from simulator.fc.operations import FunctionCompute

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.credentials import CredentialStore
    from simulator.faults import Faults
    from simulator.fc.config import FunctionConfig
    from simulator.fc.invocation import Handler
    from simulator.fc.state import Delivery, Invocation
    from simulator.logstore import LogStore


class Platform(FunctionCompute):
    """Function Compute, with the machinery that delivers asynchronous invocations and retries them."""

    def __init__(
        self,
        config: FunctionConfig,
        clock: Clock,
        credentials: CredentialStore,
        faults: Faults,
        logs: LogStore,
        handler: Handler | None = None,
    ) -> None:
        """Take the arguments of `FunctionCompute`; `faults` also kill, repeat or delay deliveries."""
        super().__init__(config, clock, credentials, faults, logs, handler)
        self._faults = faults
        self._delivery_numbers = itertools.count(1)
        self._planned_kills: list[int | None] = []
        self._planned_lifetimes: list[float | None] = []
        self._running = 0  # deliveries

    def plan_kills(self, kill_after: Iterable[int | None]) -> None:
        """Kill the next deliveries at these I/O events, one for each delivery; None does not kill it."""
        self._planned_kills.extend(kill_after)

    def plan_lifetimes(self, seconds: Iterable[float | None]) -> None:
        """Let the credentials of the next deliveries expire after these times, one for each; None: not at all."""
        self._planned_lifetimes.extend(seconds)

    def run_due(self) -> Invocation | None:
        """Move the clock to the next delivery and run it. Return None when none waits."""
        due = self.queue.next_due()
        if due is None:
            return None
        self._clock.sleep(due - self._clock.time())
        delivery = self.queue.take()
        return self._deliver(delivery) if delivery else None

    def drain(self, limit: int = 10_000) -> list[Invocation]:
        """Run deliveries until none waits, and return their invocations. Raise RuntimeError after `limit` of them.

        On an `ExactClock` they run side by side, else one after the other.
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
        first = len(self.invocations)
        errors: list[BaseException] = []

        def run_one(delivery: Delivery, own_clock: InvocationClock) -> None:
            try:
                self._deliver(delivery, own_clock)
            except BaseException as error:  # noqa: BLE001 it is raised below
                errors.append(error)
            finally:
                clock.end(own_clock)

        def start(own_clock: InvocationClock) -> None:
            delivery = self.queue.take()
            if errors or delivery is None or len(self.invocations) - first >= limit:
                raise RuntimeError(f"the queue still holds {len(self.queue)} deliveries after {limit}")
            threading.Thread(target=run_one, args=(delivery, own_clock), daemon=True).start()

        clock.run(self.queue.next_due, start)
        if errors:
            raise errors[0]
        return self.invocations[first:]

    @contextmanager
    def running(self, workers: int = 8) -> Iterator[None]:
        """Deliver what is due by the clock while the block runs, at most `workers` at a time."""
        stopped = threading.Event()
        with ThreadPoolExecutor(workers, thread_name_prefix="invocation") as pool:
            dispatcher = threading.Thread(target=self._dispatch, args=(pool, stopped), daemon=True)
            dispatcher.start()
            try:
                yield
            finally:
                stopped.set()
                dispatcher.join()

    def wait_idle(self) -> None:
        """Return when the queue is empty and no delivery runs. (Only while `running`.)"""
        with self.queue.changed:
            while self._running or len(self.queue):
                self.queue.changed.wait(0.05)

    def _dispatch(self, pool: ThreadPoolExecutor, stopped: threading.Event) -> None:
        while not stopped.is_set():
            with self.queue.changed:
                delivery = self.queue.take()
                if delivery is None:
                    self.queue.changed.wait(0.02)
                    continue
                self._running += 1
            pool.submit(self._deliver_counted, delivery)

    def _deliver_counted(self, delivery: Delivery) -> None:
        try:
            self._deliver(delivery)
        finally:
            with self.queue.changed:
                self._running -= 1
                self.queue.changed.notify_all()

    def _deliver(self, delivery: Delivery, clock: InvocationClock | None = None) -> Invocation:
        number = next(self._delivery_numbers)
        kill_after = self._planned_kills.pop(0) if self._planned_kills else self._faults.kill_after(number)
        lifetime = self._planned_lifetimes.pop(0) if self._planned_lifetimes else self._faults.lifetime(number)
        invocation = self.invoke(
            delivery.event,
            request_id=delivery.request_id,
            asynchronous=not delivery.once,
            attempt=delivery.attempt,
            task_id=delivery.task_id,
            kill_after=kill_after,
            lifetime=lifetime,
            clock=clock,
        )
        self.queue.settle(delivery, invocation)
        return invocation

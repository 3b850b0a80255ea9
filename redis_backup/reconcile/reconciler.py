"""Reconcile the instances of one invocation: set up clients, clocks and throttle, and run over the fleet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from redis_backup.alibaba.api_clock import ApiClock
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.retries import run_in_parallel
from redis_backup.alibaba.rkvstore import RKVStore
from redis_backup.backoff import Deadline, Throttle
from redis_backup.context import Context
from redis_backup.errors import InvalidRequest
from redis_backup.proof.backup import Verdict
from redis_backup.reconcile.act import Actor
from redis_backup.reconcile.fleet import Fleet
from redis_backup.reconcile.journal import Journal, Records
from redis_backup.reconcile.observe import Observer
from redis_backup.reconcile.prove import Prover
from redis_backup.reconcile.select import select
from redis_backup.reconcile.visit import Visitor
from redis_backup.reconcile.watch import MIN_TIMEOUT
from redis_backup.reconcile.work import WorkItem
from redis_backup.request.request import Request, too_many_instances
from redis_backup.runtime import Clock, utc_now
from redis_backup.settings import INTERNET, Settings
from redis_backup.states import ErrorKind, Outcome, Problem, Proof, State, out_of_time, unexpected

MIN_READING = 5.0  # seconds that have to be left for reading files


class Reconciler:
    """One invocation's work on instances. `hand_over`: see `redis_backup.reconcile.visit`."""

    def __init__(
        self,
        context: Context,
        settings: Settings,
        clock: Clock,
        records: Records,
        hand_over: Callable[[WorkItem], bool],
    ) -> None:
        self._context, self._settings, self._clock, self._journal = context, settings, clock, Journal(records)
        self.record, self.deadline = self._journal.record, Deadline(clock, context.stop_work_at)
        self._clients: dict[str, RKVStore] = {}
        self._api_clock = ApiClock(clock)
        self._throttle = Throttle(clock, settings.concurrency)
        observer = Observer(self._clients, self._api_clock, clock, self._journal)
        actor = Actor(self._clients, self._api_clock, clock, self._journal)
        self._prover = Prover(self._clients, context, settings, clock, self.deadline)
        self._visitor = Visitor(
            observer, self._prover, actor, self._journal, clock, context.timeout, settings, hand_over
        )

    def select(self, request: Request, deadline: Deadline) -> Request:
        """Add the instances that have the request's tags, and return the request.

        Raise ApiError if they cannot be listed in time, InvalidRequest if there are none, or too many.
        """
        if not request.tags:
            return request
        self._connect([request.region])
        step = partial(select, request, self._clients[request.region], self._clock, deadline)
        [found] = run_in_parallel([step], 1, deadline)
        if found is None:
            raise ApiError(out_of_time())
        selected, warnings = found
        for message, problem in warnings:
            self._journal.warn(message, None, problem)
        if not selected.instances:
            raise InvalidRequest([f"no instance in {request.region} has the tags {json.dumps(request.tags)}"])
        if len(selected.instances) > self._settings.max_instances:
            raise InvalidRequest([too_many_instances(len(selected.instances), self._settings.max_instances)])
        return selected

    def run(self, items: Sequence[WorkItem], *, wait_until: float = 0.0, watch_until: float = 0.0) -> None:
        """Work on all instances; wait and watch until these times of the monotonic clock at most."""
        allowed = [item for item in items if self._is_allowed(item) and self._is_reachable(item)]
        self._connect(item.instance.region for item in allowed)
        now = utc_now(self._clock)
        ahead = max(((item.request.since - now).total_seconds() for item in allowed), default=0.0)
        if ahead > 0 and not self.deadline.sleep(ahead):  # a sender's clock may be ahead
            for item in allowed:
                self.record(item, Outcome(State.PENDING, error=out_of_time()))
            return
        fleet = Fleet(
            self._visitor, self._clock, self._throttle, self.deadline, self._settings.concurrency, self._journal
        )
        has_room = self._context.timeout >= MIN_TIMEOUT
        fleet.run(allowed, wait_until=wait_until, watch_until=watch_until if has_room else 0.0)
        for item in allowed:
            is_starved = (
                item.needs_watch and not item.has_sent_create and (item.is_first_invocation or item.known.is_starved)
            )
            item.known = replace(item.known, is_starved=is_starved)

    def read(self, items: Iterable[WorkItem], *, wait_until: float, watch_until: float) -> None:
        """Read the files of backups that have to be read, one instance after the other, and look at each again.

        `wait_until`, `watch_until`: as for `run`; it does not read for longer than it may watch.
        """
        deadline = Deadline(self._clock, min(self.deadline.at, watch_until))
        for item in items:
            while item.to_read and deadline.remaining() > MIN_READING:
                backup, item.to_read = item.to_read, None
                try:
                    verdict = self._prover.read(item, backup, deadline)
                except Exception as error:  # noqa: BLE001 - the records and the answer must not be lost with it
                    verdict = Verdict(problem=unexpected(error))
                if verdict.verified or verdict.corrupt:
                    self.run([item], wait_until=wait_until, watch_until=watch_until)
                else:
                    outcome = replace(item.outcome, progress=verdict.progress, error=verdict.problem)
                    self.record(item, replace(outcome, bytes_read=verdict.bytes_read))

    def expire(self, items: Iterable[WorkItem]) -> None:
        """Give up instances that are not final, if their event was followed up for long enough."""
        for item in items:
            if item.is_open and self._visitor.is_expired(item):
                self.record(item, self._expired(item))

    def _connect(self, regions: Iterable[str]) -> None:
        """Make a client for each new region. Clients are not kept: their credentials are this invocation's."""
        for region in dict.fromkeys(regions):
            if region not in self._clients:
                self._clients[region] = RKVStore(
                    region, self._context, self._settings, self._clock, self.deadline, self._api_clock
                )

    def _is_allowed(self, item: WorkItem) -> bool:
        key = item.instance.key
        if self._settings.allows(key):
            return True
        problem = Problem(
            "NotAllowed",
            f"BACKUP_ALLOW does not allow {key}",
            ErrorKind.REFUSED,
            hint="add a pattern for it to BACKUP_ALLOW in the function's environment, and to the role's policy; or "
            "remove it from the request",
        )
        self.record(item, Outcome(State.FAILED, error=problem))
        return False

    def _is_reachable(self, item: WorkItem) -> bool:
        """Return whether the files of the instance's backups can be read, if that is asked for."""
        region, own = item.instance.region, self._context.region
        is_read = item.request.proof_of(item.instance) is not Proof.NONE
        if not is_read or self._settings.download == INTERNET or region == own:
            return True
        problem = Problem(
            "DownloadNotReachable",
            f"its backups' files cannot be read from {own} while BACKUP_DOWNLOAD is intranet",
            ErrorKind.REFUSED,
            hint=f"set BACKUP_DOWNLOAD to internet in the function's environment, or use a function in {region}; or "
            "leave out verify and copy. No backup was started",
        )
        self.record(item, Outcome(State.FAILED, error=problem))
        return False

    def _expired(self, item: WorkItem) -> Outcome:
        code = item.outcome.error.code if item.outcome.error else item.recorded[1] if item.recorded else ""
        last = f"; last error {code}" if code else ""
        hint = (
            "check the instance's backup jobs in the console; to wait for them, run "
            "`redis-backup … --since TIME --wait 2h`"
        )
        if item.outcome.state is State.VERIFYING:
            last += "; the backup itself is complete, but was not read back"
            hint = item.outcome.error.hint if item.outcome.error and item.outcome.error.hint else ""
            hint = hint or "its earlier records backup_verifying say why"
            hint += "; then send the request again with the same `since`"
        problem = Problem(
            "FollowUpExpired",
            f"still {item.outcome.state.value} {self._settings.follow_hours:g} h after the request{last}",
            ErrorKind.UNKNOWN,
            hint=hint,
        )
        return Outcome(State.FAILED, item.outcome.job_ids, item.outcome.adopted, item.outcome.attempts, error=problem)

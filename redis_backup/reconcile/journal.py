"""Note the outcome of each instance in its `WorkItem`, and write a record if the outcome is new."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from redis_backup.alibaba.parsing import JobStatus
from redis_backup.reconcile.known import clean_mark
from redis_backup.reconcile.work import WorkItem
from redis_backup.request.instances import InstanceRef
from redis_backup.request.request import Request
from redis_backup.states import Outcome, Problem, State

Ids = tuple[str, ...]


class Records(Protocol):
    """Writes records; `redis_backup.reporting.records` implements it. Threads may share it."""

    def state(self, request: Request, instance: InstanceRef, outcome: Outcome) -> None:
        """Record the state of an instance."""

    def failed_attempt(
        self, request: Request, instance: InstanceRef, job_ids: Ids, attempts: int, code: str, found: str
    ) -> None:
        """Record failed backups of an instance after which another one is started."""

    def warning(
        self, message: str, request: Request | None, instance: InstanceRef | None, problem: Problem | None
    ) -> None:
        """Record a warning."""


class Journal:
    """The journal of one invocation. Only `write` may be called on any thread."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def record(self, item: WorkItem, outcome: Outcome) -> None:
        """Note an outcome, and write a record if its state, error code or job IDs are new."""
        previous, current = item.recorded, (outcome.state, clean_mark(outcome.error.code) if outcome.error else "")
        is_new_id = not set(outcome.job_ids) <= item.recorded_ids
        item.outcome = outcome
        item.recorded, item.recorded_ids = current, item.recorded_ids | set(outcome.job_ids)
        if outcome.state is State.RUNNING and outcome.error and current != previous:
            self.warn("the status of a running backup could not be read", item, outcome.error)
        goes_on = previous is not None and previous[0] is outcome.state is State.RUNNING
        if is_new_id or (current != previous and not goes_on):
            error = None if outcome.state is State.RUNNING else outcome.error
            self.write(item, replace(outcome, error=error))

    def write(self, item: WorkItem, outcome: Outcome) -> None:
        """Write a record of an outcome. Job IDs are recorded as soon as CreateBackup has answered."""
        self._records.state(item.request, item.instance, outcome)

    def failed_attempts(self, item: WorkItem, code: str, found: str) -> None:
        """Record failed attempts once. The invocation that started them may have ended before it could do so.

        `found`: what is known of them beside the code.
        """
        failed = [attempt for attempt in item.known.attempts if attempt.ended is JobStatus.FAILED]
        ids = tuple(job_id for attempt in failed for job_id in attempt.job_ids)
        if failed and not (set(ids) <= item.recorded_failed_ids and len(failed) <= item.recorded_failures):
            self._records.failed_attempt(item.request, item.instance, ids, len(failed), code, found)
        item.recorded_failed_ids, item.recorded_failures = (
            item.recorded_failed_ids | set(ids),
            max(item.recorded_failures, len(failed)),
        )

    def warn(self, message: str, item: WorkItem | None, problem: Problem | None = None) -> None:
        """Record something that a person should look at, though no instance has failed."""
        about = (item.request, item.instance) if item else (None, None)
        self._records.warning(message, about[0], about[1], problem)

"""Send CreateBackup, and note what its answer means. What happens next is decided after the next look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from redis_backup.alibaba.api_clock import ApiClock
from redis_backup.alibaba.api_errors import BACKUP_RUNS, ApiError
from redis_backup.alibaba.rkvstore import RKVStore
from redis_backup.reconcile.journal import Journal
from redis_backup.reconcile.known import Attempt, KnownJobs, UnchangedTask
from redis_backup.reconcile.watch import SEND_WITHIN
from redis_backup.reconcile.work import Answer, Call, CallKind, Pause, Steps, WorkItem
from redis_backup.runtime import Clock, utc_now
from redis_backup.states import OUT_OF_TIME, ErrorKind, Outcome, Problem, State

_BELIEVE_TASK_FOR = timedelta(minutes=9)  # after BackupJobExists, an unchanged older task counts as running for so long
_CLOCK_MARGIN = timedelta(seconds=2)  # how far R-KVStore's clock may be behind if no answer has shown it


class NoLongerClearError(Exception):
    """CreateBackup was not sent: the last clear moment (`redis_backup.reconcile.watch`) was too long ago."""


class Actor:
    """Starts backups. `clients` has R-KVStore's client for each region."""

    def __init__(self, clients: Mapping[str, RKVStore], api_clock: ApiClock, clock: Clock, journal: Journal) -> None:
        self._clients, self._api_clock, self._clock, self._journal = clients, api_clock, clock, journal

    def start(self, item: WorkItem, attempts: int, clear_moment: datetime | None) -> Steps[Problem | None]:
        """Send CreateBackup once. Return None if a backup has started, else the error of the answer.

        `attempts`: how many have failed before. Raise NoLongerClearError if it was too late to send it; without a
        `clear_moment` it is never too late.
        """
        if (too_early := item.request.since.replace(microsecond=0) - self._api_clock.at_least()) > timedelta(0):
            # By R-KVStore's clock the backup would start before `since`, so that it would not satisfy the request.
            yield Pause(too_early.total_seconds())
        try:
            answer = yield Call(CallKind.CREATE, lambda: self._send(item, attempts, clear_moment), attempts=1)
        except ApiError as error:
            if error.problem.code == OUT_OF_TIME:  # it was not sent
                raise
            item.has_sent_create = True
            return self._not_started(item, error)
        except NoLongerClearError:
            raise
        except Exception:  # a backup may have started, whatever the error was
            self.outcome_unknown(item)
            raise
        item.has_sent_create = True
        item.known = self._with_attempt(item, answer)
        item.outcome = Outcome(State.RUNNING, answer.value, attempts=attempts + 1)
        item.recorded, item.recorded_ids = (State.RUNNING, ""), item.recorded_ids | set(answer.value)
        return None

    def _send(self, item: WorkItem, attempts: int, clear_moment: datetime | None) -> tuple[str, ...]:
        """Send CreateBackup on a worker's thread, and record its job IDs at once, even if the invocation ends now."""
        now = utc_now(self._clock)
        if clear_moment and now - clear_moment > SEND_WITHIN:
            raise NoLongerClearError
        client = self._clients[item.instance.region]
        job_ids = client.create_backup(item.instance.instance_id, item.request.retention_days)
        self._journal.write(item, Outcome(State.RUNNING, job_ids, attempts=attempts + 1))
        return job_ids

    def _with_attempt(self, item: WorkItem, answer: Answer) -> KnownJobs:
        """Return what is known from now on: the job IDs, and what else is needed to find the backup in the lists."""
        job_ids, facts = answer.value, item.facts
        attempt = Attempt(job_ids)
        if facts and facts.is_cloud_native:
            ahead = self._api_clock.at_least() - utc_now(self._clock)
            ahead = ahead if self._api_clock.is_known else -_CLOCK_MARGIN
            attempt = replace(attempt, started_at=answer.sent_at + ahead)
        elif facts and facts.is_cluster and not (facts.has_job_per_shard and len(job_ids) == facts.shards):
            attempt = replace(attempt, answered_ids=len(job_ids))
        known = replace(item.known, unanswered_at=None, unchanged=None)
        return replace(known, attempts=(*known.attempts, attempt))

    def outcome_unknown(self, item: WorkItem) -> None:
        """Note a CreateBackup of unknown outcome: no earlier moment is clear any more."""
        item.has_sent_create = True
        item.watch.reset()
        now = utc_now(self._clock)
        item.known = replace(item.known, unanswered_at=now)

    def _not_started(self, item: WorkItem, error: ApiError) -> Problem:
        now = utc_now(self._clock)
        if error.is_one_of(BACKUP_RUNS):
            if item.known.unchanged:
                unchanged = UnchangedTask(item.known.unchanged.fingerprint, now + _BELIEVE_TASK_FOR)
                item.known = replace(item.known, unchanged=unchanged)
        elif error.kind in (ErrorKind.UNKNOWN, ErrorKind.TRANSIENT):  # a backup may have started
            self.outcome_unknown(item)
        return error.problem

"""CreateBackup, and what its answer means. It never decides: the next look does."""

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
from redis_backup.reconcile.work import Answer, Call, Pause, Step, Steps, Work
from redis_backup.runtime import Clock, utc_now
from redis_backup.states import OUT_OF_TIME, ErrorKind, Outcome, Problem, State

_BUSY_AGAIN = timedelta(minutes=9)  # an older task that stood still, and runs all the same, is believed for so long
_CLOCK_UNKNOWN = timedelta(seconds=2)  # what R-KVStore's clock may be behind where no answer has told


class NoLongerClearError(Exception):
    """CreateBackup was not sent: too long after the moment at which nothing could be hidden."""


class Actor:
    """Starts backups. `stores` has a client for each region."""

    def __init__(self, stores: Mapping[str, RKVStore], api_clock: ApiClock, clock: Clock, journal: Journal) -> None:
        self._stores, self._api_clock, self._clock, self._journal = stores, api_clock, clock, journal

    def start(self, work: Work, attempts: int, clear_moment: datetime | None) -> Steps[Problem | None]:
        """Send CreateBackup once, after so many attempts that failed; None where a backup has started.

        Otherwise the problem of the answer. Raise NoLongerClearError where it came too late to be sent; without a
        `clear_moment` it is sent whenever its turn comes.
        """
        if (early := work.request.since.replace(microsecond=0) - self._api_clock.at_least()) > timedelta(0):
            # By R-KVStore's clock the backup would begin before the request, and no repeat would take it for its own.
            yield Pause(early.total_seconds())
        try:
            answer = yield Call(Step.CREATE, lambda: self._send(work, attempts, clear_moment), attempts=1)
        except ApiError as error:
            if error.problem.code == OUT_OF_TIME:  # it was not sent
                raise
            work.has_sent = True
            return self._not_started(work, error)
        except NoLongerClearError:
            raise
        except Exception:  # whatever it was, a backup may have begun
            self.outcome_unknown(work)
            raise
        work.has_sent = True
        work.known = self._with_attempt(work, answer)
        work.outcome = Outcome(State.RUNNING, answer.value, attempts=attempts + 1)
        work.recorded, work.recorded_ids = (State.RUNNING, ""), work.recorded_ids | set(answer.value)
        return None

    def _send(self, work: Work, attempts: int, clear_moment: datetime | None) -> tuple[str, ...]:
        """On a worker's thread: whatever becomes of the invocation, the job IDs are on record first."""
        now = utc_now(self._clock)
        if clear_moment and now - clear_moment > SEND_WITHIN:
            raise NoLongerClearError
        store = self._stores[work.instance.region]
        job_ids = store.create_backup(work.instance.instance_id, work.request.retention_days)
        self._journal.write(work, Outcome(State.RUNNING, job_ids, attempts=attempts + 1))
        return job_ids

    def _with_attempt(self, work: Work, answer: Answer) -> KnownJobs:
        """What is known from now on: the job IDs, and what else is needed to find them in the lists."""
        job_ids, facts = answer.value, work.facts
        attempt = Attempt(job_ids)
        if facts and facts.is_cloud_native:
            ahead = self._api_clock.at_least() - utc_now(self._clock)
            ahead = ahead if self._api_clock.is_known else -_CLOCK_UNKNOWN
            attempt = replace(attempt, started_at=answer.sent_at + ahead)
        elif facts and facts.is_cluster and not (facts.has_job_per_shard and len(job_ids) == facts.shards):
            attempt = replace(attempt, answered_ids=len(job_ids))
        known = replace(work.known, unanswered_at=None, unchanged=None)
        return replace(known, attempts=(*known.attempts, attempt))

    def outcome_unknown(self, work: Work) -> None:
        """Take note of a CreateBackup of unknown outcome: no moment is clear any more."""
        work.has_sent = True
        work.watch.reset()
        now = utc_now(self._clock)
        work.known = replace(work.known, unanswered_at=now)

    def _not_started(self, work: Work, error: ApiError) -> Problem:
        now = utc_now(self._clock)
        if error.is_one_of(BACKUP_RUNS):
            if work.known.unchanged:
                unchanged = UnchangedTask(work.known.unchanged.fingerprint, now + _BUSY_AGAIN)
                work.known = replace(work.known, unchanged=unchanged)
        elif error.kind in (ErrorKind.UNKNOWN, ErrorKind.TRANSIENT):  # it may have begun a backup all the same
            self.outcome_unknown(work)
        return error.problem

"""One visit to an instance: observe, decide, act, as often as one answer asks for the next look.

look ──► decide ──► satisfied, running, given up, busy ───────────────────────► outcome
  ▲        └──────► watch ────────────────────────────────────────────────────► pending, and the next look
  │        └──────► start ──► CreateBackup ──► job IDs, on record at once ────► running
  └── no answer, one runs already, too late ◄──┴─────► refused, wrong state ──► failed, pending
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from redis_backup import timestamps
from redis_backup.alibaba.api_errors import BACKUP_RUNS, BUSY_HINT, CHANGING, CHANGING_HINT, EXPIRED, matches
from redis_backup.reconcile.act import Actor, NoLongerClearError
from redis_backup.reconcile.backups import Backup
from redis_backup.reconcile.decide import Busy, Decision, GaveUp, MayStart, Running, Satisfied, Start, Watch, decide
from redis_backup.reconcile.journal import Journal
from redis_backup.reconcile.observe import Observer, Seen
from redis_backup.reconcile.watch import AFTER_UNKNOWN, LEAST_TIMEOUT, LOOK_WITHIN, STARVED, is_prompt, window_end
from redis_backup.reconcile.work import WATCHING, Next, Step, Steps, Work
from redis_backup.runtime import Clock, utc_now
from redis_backup.settings import Settings
from redis_backup.states import ErrorKind, Outcome, Problem, State

_ON_ITS_WAY = timedelta(seconds=1)  # between the choice of a look's calls and the first of them
FAILED_CODE, VANISHED_CODE = "BackupJobFailed", "BackupVanished"


class Visitor:
    """Visits instances in one invocation, which begins now and has `timeout` seconds in all."""

    def __init__(
        self, observer: Observer, actor: Actor, journal: Journal, clock: Clock, timeout: float, settings: Settings
    ) -> None:
        self._observer, self._actor, self._journal, self._clock = observer, actor, journal, clock
        self._began, self._timeout, self._settings = utc_now(self._clock), timeout, settings

    def is_prompt(self, work: Work) -> bool:
        """Whether a look of this invocation at the instance is a clear moment by itself."""
        in_time = utc_now(self._clock) <= window_end(work.request)
        return in_time and not work.has_sent and is_prompt(work.request, self._began)

    def is_expired(self, work: Work) -> bool:
        """Whether the event has been followed for long enough. (A shard is its beginning.)"""
        follow, most = work.request.follow, timedelta(hours=self._settings.follow_hours)
        return follow is not None and not work.request.is_shard and utc_now(self._clock) - follow.first >= most

    def may_start(self, work: Work) -> MayStart:
        """Whether a backup may be started, and whether without a watch."""
        known, follow, now = work.known, work.request.follow, utc_now(self._clock)
        if work.request.dry_run or self.is_expired(work):
            return MayStart.NEVER
        if self._timeout < LEAST_TIMEOUT:
            waited = known.unanswered_at is None or (follow and now - known.unanswered_at >= AFTER_UNKNOWN)
            return MayStart.UNWATCHED if waited else MayStart.WHEN_CLEAR
        is_starved = known.is_starved and not work.has_sent and follow and now - follow.first >= STARVED
        return MayStart.UNWATCHED if is_starved else MayStart.WHEN_CLEAR

    def describe(self, works: Sequence[Work]) -> Steps[None]:
        """Learn in bulk what instances of one region are. That helps, and may fail: then each is asked by itself."""
        yield from self._observer.describe(works)

    def outcome_unknown(self, work: Work) -> None:
        """Take note of a CreateBackup whose answer did not come in the invocation's time."""
        self._actor.outcome_unknown(work)
        self._leave(work, Outcome(State.PENDING, attempts=work.outcome.attempts, error=self._watching(work, None)))

    def visit(self, work: Work, step: Step) -> Steps[None]:
        """Bring the instance as far as it can be brought now. Raise ApiError where a look fails."""
        answered: Problem | None = None
        while True:
            seen = yield from self._observer.look(work, step, is_whole=self._needs_all(work))
            if isinstance(seen, datetime):  # no task runs, and no more is needed to know before the watch's end
                work.watch.look(seen)
                return
            decision, clear_moment = self._decide(work, seen)
            if not isinstance(decision, Start) or self.may_start(work) is MayStart.NEVER or _is_busy(answered):
                break
            if clear_moment is None:
                self._journal.warn(self._why_unwatched(), work)
            try:
                answered = yield from self._actor.start(work, decision.failed, clear_moment)
            except NoLongerClearError:
                continue
            if answered is None:
                work.next = Next.LOOK_AGAIN
                return
            if self._is_refused(work, answered, decision.failed):
                return
        if isinstance(decision, (Satisfied, Running)):
            decision = yield from self._with_job_ids(work, decision)
        self._conclude(work, decision, answered)

    def _needs_all(self, work: Work) -> bool:
        """Whether a look is to ask for finished sets too; between the first and the last look of a watch it is not."""
        watch, now = work.watch, utc_now(self._clock)
        if work.next is not Next.WATCH or watch.last is None or now - watch.last > LOOK_WITHIN - _ON_ITS_WAY:
            return True
        end = watch.end(work.request)
        return end is None or now >= end

    def _decide(self, work: Work, seen: Seen) -> tuple[Decision, datetime | None]:
        """The decision, and the clear moment that this look is, if it is one."""
        work.watch.look(seen.moment)
        is_clear = (self.is_prompt(work) and seen.moment <= window_end(work.request)) or work.watch.is_whole(
            work.request
        )
        clear_moment = seen.moment if is_clear else None
        decision = decide(
            seen.backups,
            work.known,
            since=seen.since,
            earliest=seen.earliest,
            max_attempts=self._settings.max_attempts,
            clear_moment=clear_moment,
            may_start=self.may_start(work),
            now=utc_now(self._clock),
        )
        if isinstance(decision, (Satisfied, Running)):
            work.watch.reset()
        if not isinstance(decision, GaveUp):
            has_vanished = any(backup.has_vanished for backup in seen.backups)
            self._journal.failed_attempts(work, VANISHED_CODE if has_vanished else FAILED_CODE)
        return decision, clear_moment

    def _is_refused(self, work: Work, answered: Problem, attempts: int) -> bool:
        """Whether CreateBackup's answer is the end of this visit; otherwise the instance is looked at again."""
        if answered.kind is ErrorKind.PERMANENT:
            self._finish(work, Outcome(State.FAILED, attempts=attempts, error=answered))
        elif matches(answered.code, CHANGING) or answered.code.startswith(EXPIRED):
            self._leave(work, Outcome(State.PENDING, attempts=attempts, error=answered))
        else:
            return False
        return True

    def _with_job_ids(self, work: Work, decision: Satisfied | Running) -> Steps[Decision]:
        """Look up the job IDs of a backup whose list has none, where they can be had."""
        backup, current = decision.backup, work.known.current
        if backup is None or backup.job_ids or not backup.cluster_backup_id:
            return decision
        ids = yield from self._observer.job_ids(work, backup)
        if current and ids:
            current = replace(current, job_ids=ids)
            work.known = replace(work.known, attempts=(*work.known.attempts[:-1], current))
        return replace(decision, backup=replace(backup, job_ids=ids))

    def _conclude(self, work: Work, decision: Decision, answered: Problem | None) -> None:
        """Turn a decision into the instance's state."""
        match decision:
            case Satisfied(backup, attempts):
                self._finish(work, replace(_outcome(State.SUCCEEDED, backup), attempts=attempts))
            case Running(None, known, attempts):
                ids, adopted = (known.job_ids, known.is_adopted) if known else ((), False)
                self._leave(work, Outcome(State.RUNNING, ids, adopted, attempts))
            case Running(backup, _, attempts) if backup:
                self._leave(work, replace(_outcome(State.RUNNING, backup), attempts=attempts))
            case GaveUp(failed):
                self._finish(work, _gave_up(failed, self._settings.max_attempts))
            case Busy():
                self._leave(work, Outcome(State.PENDING, error=answered or _busy()))
            case Watch(failed) | Start(failed):
                self._not_started(work, failed, answered)

    def _not_started(self, work: Work, attempts: int, answered: Problem | None) -> None:
        """Nothing satisfies, nothing runs, and nothing is started now."""
        pending = Outcome(State.PENDING, attempts=attempts)
        if _is_busy(answered):
            self._leave(work, replace(pending, error=answered))
        elif self._observer.status_forbids_backup(work):
            self._leave(work, replace(pending, error=_wrong_state(work.facts.status if work.facts else "")))
        elif work.request.dry_run:
            self._finish(work, Outcome(State.PLANNED, attempts=attempts))
        elif self.may_start(work) is MayStart.NEVER:
            work.next = Next.NOTHING  # it is given up with what was last recorded of it
        else:
            self._leave(work, replace(pending, error=self._watching(work, answered)), Next.WATCH)

    def _watching(self, work: Work, answered: Problem | None) -> Problem:
        """What a watched instance's error says."""
        until = work.watch.end(work.request) or window_end(work.request)
        if work.known.unanswered_at and self._timeout < LEAST_TIMEOUT:
            until = work.known.unanswered_at + AFTER_UNKNOWN
        why = f" ({answered.message})" if answered else ""
        return Problem(
            WATCHING,
            f"watched until {timestamps.render(until.replace(microsecond=0))} at least, since a backup that another "
            f"delivery started may not be listed yet{why}",
            ErrorKind.UNKNOWN,
            hint="none is needed: a backup starts when the watch has shown that there is none",
        )

    def _why_unwatched(self) -> str:
        if self._timeout < LEAST_TIMEOUT:
            why = f"a time-out of {self._timeout:g} s has no room for one; set it to {LEAST_TIMEOUT:g} s or more"
        else:
            why = "for 15 minutes there were not calls or time enough for one; ask for a higher API quota"
        return f"a backup starts unwatched, so that another delivery may have started one as well: {why}"

    def _leave(self, work: Work, outcome: Outcome, then: Next = Next.LOOK_AGAIN) -> None:
        work.next = then
        self._journal.record(work, outcome)

    def _finish(self, work: Work, outcome: Outcome) -> None:
        self._leave(work, outcome, Next.NOTHING)


def outcome_of_failed_look(work: Work, problem: Problem) -> Outcome:
    """What an instance is that could not be looked at. A refused look ends nothing that is known to run."""
    if current := work.known.current:
        attempts = max(1, work.outcome.attempts)
        return Outcome(State.RUNNING, current.job_ids, current.is_adopted, attempts, error=problem)
    state = State.FAILED if problem.kind is ErrorKind.PERMANENT else State.PENDING
    return Outcome(state, attempts=work.outcome.attempts, error=problem)


def _is_busy(answered: Problem | None) -> bool:
    return answered is not None and matches(answered.code, BACKUP_RUNS)


def _outcome(state: State, backup: Backup) -> Outcome:
    is_done = state is State.SUCCEEDED
    seconds = None
    if is_done and backup.started_at and backup.ended_at:
        seconds = int((backup.ended_at - backup.started_at).total_seconds())
    nameless = is_done and not backup.job_ids and backup.cluster_backup_id
    return Outcome(
        state,
        backup.job_ids,
        adopted=not backup.is_own,
        progress=None if is_done else backup.progress,
        backup_size=backup.size if is_done else None,
        duration_seconds=seconds,
        started_at=backup.started_at,
        note=f"R-KVStore lists it without a job ID, as ClusterBackupId {backup.cluster_backup_id}"
        if nameless
        else None,
    )


def _gave_up(failed: tuple[Backup, ...], max_attempts: int) -> Outcome:
    ids = tuple(dict.fromkeys(job_id for backup in failed for job_id in backup.job_ids))
    starts = [backup.started_at for backup in failed if backup.started_at]
    is_gone = any(backup.has_vanished for backup in failed)
    problem = Problem(
        VANISHED_CODE if is_gone else FAILED_CODE,
        f"{len(failed)} of at most {max_attempts} backups of this request failed"
        + (", of which one is in no list any more" if is_gone else ""),
        ErrorKind.PERMANENT,
        hint="look at the backup jobs in the instance's console; then ask again with a new `since`",
    )
    return Outcome(State.FAILED, ids, attempts=len(failed), error=problem, started_at=min(starts, default=None))


def _busy() -> Problem:
    return Problem("BackupJobExists", "an older backup of the instance still runs", ErrorKind.BUSY, hint=BUSY_HINT)


def _wrong_state(status: str) -> Problem:
    return Problem(
        "IncorrectDBInstanceState",
        f"the instance's status is {status}",
        ErrorKind.BUSY,
        hint=CHANGING_HINT,
    )

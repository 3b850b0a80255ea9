"""Visit one instance: observe, decide, act. Repeat this if the answer of CreateBackup makes another look necessary.

look, judge ──► decide ──► satisfied, running, given up, busy ───────────────────────► outcome
  ▲        └──────► watch ────────────────────────────────────────────────────► pending, and the next look
  │        └──────► start ──► CreateBackup ──► job IDs, recorded at once ─────► running
  └── no answer, one runs already, too late ◄──┴─────► refused, wrong state ──► failed, pending
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from redis_backup import timestamps
from redis_backup.alibaba.api_errors import BACKUP_RUNS, CHANGING, EXPIRED, matches
from redis_backup.proof.backup import Verified
from redis_backup.reconcile.act import Actor, NoLongerClearError
from redis_backup.reconcile.decide import Busy, Decision, GaveUp, MayStart, Running, Satisfied, Start, Watch, decide
from redis_backup.reconcile.journal import Journal
from redis_backup.reconcile.observe import Observation, Observer
from redis_backup.reconcile.outcomes import (
    NOT_READ,
    UNKNOWN_FORMAT,
    busy_problem,
    failure_reason,
    outcome_of_backup,
    outcome_of_failures,
    wrong_state_problem,
)
from redis_backup.reconcile.prove import Prover
from redis_backup.reconcile.watch import (
    LOOK_WITHIN,
    MIN_TIMEOUT,
    STARVED_AFTER,
    WAIT_AFTER_UNKNOWN,
    is_prompt,
    window_end,
)
from redis_backup.reconcile.work import WATCHING, Call, CallKind, NextStep, Steps, WorkItem
from redis_backup.runtime import Clock, utc_now
from redis_backup.settings import Settings
from redis_backup.states import ErrorKind, Outcome, Problem, State

_CALL_DELAY = timedelta(seconds=1)  # between the choice of a look's calls and the first of them


class Visitor:
    """Visits instances in one invocation, which begins now and has `timeout` seconds.

    `hand_over`: sends an invocation that reads the files of an instance's backup; returns whether that worked.
    """

    def __init__(
        self,
        observer: Observer,
        prover: Prover,
        actor: Actor,
        journal: Journal,
        clock: Clock,
        timeout: float,
        settings: Settings,
        hand_over: Callable[[WorkItem], bool],
    ) -> None:
        self._observer, self._prover, self._actor = observer, prover, actor
        self._journal, self._clock, self._hand_over = journal, clock, hand_over
        self._began, self._timeout, self._settings = utc_now(self._clock), timeout, settings

    def look_is_clear(self, item: WorkItem) -> bool:
        """Return whether a look of this invocation at the instance is a clear moment without a watch."""
        in_time = utc_now(self._clock) <= window_end(item.request)
        return in_time and not item.has_sent_create and is_prompt(item.request, self._began)

    def is_expired(self, item: WorkItem) -> bool:
        """Return whether the event was followed up for long enough. (A shard is its beginning.)"""
        follow_up, limit = item.request.follow_up, timedelta(hours=self._settings.follow_hours)
        return follow_up is not None and not item.request.is_shard and utc_now(self._clock) - follow_up.first >= limit

    def may_start(self, item: WorkItem) -> MayStart:
        """Return whether a backup may be started, and whether without a watch."""
        known, follow_up, now = item.known, item.request.follow_up, utc_now(self._clock)
        if item.request.dry_run or self.is_expired(item):
            return MayStart.NEVER
        if self._timeout < MIN_TIMEOUT:
            waited = known.unanswered_at is None or (follow_up and now - known.unanswered_at >= WAIT_AFTER_UNKNOWN)
            return MayStart.UNWATCHED if waited else MayStart.WHEN_CLEAR
        if known.is_starved and not item.has_sent_create and follow_up and now - follow_up.first >= STARVED_AFTER:
            return MayStart.UNWATCHED
        return MayStart.WHEN_CLEAR

    def describe(self, items: Sequence[WorkItem]) -> Steps[None]:
        """Describe instances of one region in one call. If that fails, they are described one by one."""
        yield from self._observer.describe(items)

    def outcome_unknown(self, item: WorkItem) -> None:
        """Note a CreateBackup whose answer did not come in the invocation's time."""
        self._actor.outcome_unknown(item)
        self._record(
            item, Outcome(State.PENDING, attempts=item.outcome.attempts, error=self._watching_problem(item, None))
        )

    def visit(self, item: WorkItem, kind: CallKind) -> Steps[None]:
        """Do for the instance what can be done now. Raise ApiError if a look fails."""
        create_error: Problem | None = None
        while True:
            seen = yield from self._observer.look(item, kind, needs_sets=self._needs_sets(item))
            if isinstance(seen, datetime):  # no task runs, and sets are not needed before the end of the watch
                item.watch.note_look(seen)
                return
            seen = yield from self._prover.judge(item, seen)
            decision, clear_moment = self._decide(item, seen)
            if not isinstance(decision, Start) or self.may_start(item) is MayStart.NEVER or _is_busy(create_error):
                break
            if clear_moment is None:
                self._journal.warn(self._unwatched_warning(), item)
            try:
                create_error = yield from self._actor.start(item, decision.failed, clear_moment)
            except NoLongerClearError:
                continue
            if create_error is None:
                item.next = NextStep.LOOK_AGAIN
                return
            if self._is_refused(item, create_error, decision.failed):
                return
        if isinstance(decision, (Satisfied, Running)):
            decision = yield from self._with_job_ids(item, decision)
        self._conclude(item, decision, create_error)
        yield from self._send_reading(item)

    def _send_reading(self, item: WorkItem) -> Steps[None]:
        """Let an invocation of its own read the files of the instance's backup, unless this one is it."""
        is_due = item.outcome.state is State.VERIFYING and item.to_read and not self.is_expired(item)
        if is_due and not (item.is_reading or item.is_handed_over):
            answer = yield Call(CallKind.PROVE, lambda: self._hand_over(item), attempts=1)
            item.is_handed_over = answer.value
        if is_due and not item.is_handed_over:
            item.next = NextStep.NOTHING  # this invocation reads them itself when it has looked at all instances

    def _needs_sets(self, item: WorkItem) -> bool:
        """Return whether a look has to list sets too; between the first and the last look of a watch it does not."""
        watch, now = item.watch, utc_now(self._clock)
        if (
            item.next is not NextStep.WATCH
            or watch.last_look is None
            or now - watch.last_look > LOOK_WITHIN - _CALL_DELAY
        ):
            return True
        end = watch.end(item.request)
        return end is None or now >= end

    def _decide(self, item: WorkItem, seen: Observation) -> tuple[Decision, datetime | None]:
        """Return the decision, and the moment of this look if it is a clear one."""
        item.watch.note_look(seen.moment)
        is_clear = (self.look_is_clear(item) and seen.moment <= window_end(item.request)) or item.watch.is_complete(
            item.request
        )
        clear_moment = seen.moment if is_clear else None
        decision = decide(
            seen.backups,
            item.known,
            since=seen.since,
            earliest_start=seen.earliest_start,
            max_attempts=self._settings.max_attempts,
            clear_moment=clear_moment,
            may_start=self.may_start(item),
            now=utc_now(self._clock),
        )
        if isinstance(decision, (Satisfied, Running)):
            item.watch.reset()
        if not isinstance(decision, GaveUp):
            self._journal.failed_attempts(item, *failure_reason(seen.backups))
        return decision, clear_moment

    def _is_refused(self, item: WorkItem, create_error: Problem, attempts: int) -> bool:
        """Return whether this visit ends with CreateBackup's answer; else the instance is looked at again."""
        if create_error.kind is ErrorKind.PERMANENT:
            self._record_final(item, Outcome(State.FAILED, attempts=attempts, error=create_error))
        elif matches(create_error.code, CHANGING) or create_error.code.startswith(EXPIRED):
            self._record(item, Outcome(State.PENDING, attempts=attempts, error=create_error))
        else:
            return False
        return True

    def _with_job_ids(self, item: WorkItem, decision: Satisfied | Running) -> Steps[Decision]:
        """Look up the job IDs of a backup whose list has none, if they are listed elsewhere."""
        backup, current = decision.backup, item.known.current
        if backup is None or backup.job_ids or not backup.cluster_backup_id:
            return decision
        ids = yield from self._observer.job_ids(item, backup)
        if current and ids:
            current = replace(current, job_ids=ids)
            item.known = replace(item.known, attempts=(*item.known.attempts[:-1], current))
        return replace(decision, backup=replace(backup, job_ids=ids))

    def _conclude(self, item: WorkItem, decision: Decision, create_error: Problem | None) -> None:
        """Turn a decision into the instance's outcome."""
        match decision:
            case Satisfied(backup, attempts):
                self._record_final(item, replace(outcome_of_backup(State.SUCCEEDED, backup), attempts=attempts))
                if item.outcome.verified == Verified.UNKNOWN_FORMAT.value:
                    self._journal.warn("the backup could not be verified", item, UNKNOWN_FORMAT)
            case Running(None, known, attempts):
                ids, adopted = (known.job_ids, known.is_adopted) if known else ((), False)
                self._record(item, Outcome(State.RUNNING, ids, adopted, attempts))
            case Running(backup, _, attempts) if backup and backup.verdict:
                outcome = replace(outcome_of_backup(State.VERIFYING, backup), attempts=attempts)
                if item.request.dry_run:
                    outcome = replace(outcome, state=State.PLANNED, note=NOT_READ)
                self._record(item, outcome, NextStep.NOTHING if item.request.dry_run else NextStep.LOOK_AGAIN)
            case Running(backup, _, attempts) if backup:
                self._record(item, replace(outcome_of_backup(State.RUNNING, backup), attempts=attempts))
            case GaveUp(failed):
                self._record_final(item, outcome_of_failures(failed, self._settings.max_attempts))
            case Busy():
                self._record(item, Outcome(State.PENDING, error=create_error or busy_problem()))
            case Watch(failed) | Start(failed):
                self._not_started(item, failed, create_error)

    def _not_started(self, item: WorkItem, attempts: int, create_error: Problem | None) -> None:
        """Set the outcome of an instance without a backup for which none is started now."""
        pending = Outcome(State.PENDING, attempts=attempts)
        if _is_busy(create_error):
            self._record(item, replace(pending, error=create_error))
        elif self._observer.status_forbids_backup(item):
            self._record(item, replace(pending, error=wrong_state_problem(item.facts.status if item.facts else "")))
        elif item.request.dry_run:
            self._record_final(item, Outcome(State.PLANNED, attempts=attempts))
        elif self.may_start(item) is MayStart.NEVER:
            item.next = NextStep.NOTHING  # it is given up with the outcome that was recorded last
        else:
            self._record(item, replace(pending, error=self._watching_problem(item, create_error)), NextStep.WATCH)

    def _watching_problem(self, item: WorkItem, create_error: Problem | None) -> Problem:
        """Return the error of an instance that is watched."""
        until = item.watch.end(item.request) or window_end(item.request)
        if item.known.unanswered_at and self._timeout < MIN_TIMEOUT:
            until = item.known.unanswered_at + WAIT_AFTER_UNKNOWN
        cause = f" ({create_error.message})" if create_error else ""
        return Problem(
            WATCHING,
            f"watched until {timestamps.render(until.replace(microsecond=0))} at least, because a backup that another "
            f"delivery started may not be listed yet{cause}",
            ErrorKind.UNKNOWN,
            hint="no action is needed: a backup starts if the watch shows none",
        )

    def _unwatched_warning(self) -> str:
        if self._timeout < MIN_TIMEOUT:
            cause = f"the function's timeout of {self._timeout:g} s is too short; set it to {MIN_TIMEOUT:g} s or more"
        else:
            cause = "for 15 minutes there were too few calls or too little time; ask for a higher API quota"
        return f"a backup starts without a watch, and another delivery may have started one, too: {cause}"

    def _record(self, item: WorkItem, outcome: Outcome, next_step: NextStep = NextStep.LOOK_AGAIN) -> None:
        item.next = next_step
        self._journal.record(item, outcome)

    def _record_final(self, item: WorkItem, outcome: Outcome) -> None:
        self._record(item, outcome, NextStep.NOTHING)


def _is_busy(create_error: Problem | None) -> bool:
    return create_error is not None and matches(create_error.code, BACKUP_RUNS)

"""Say what became of an instance: its outcome, given its backups, and the errors that people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redis_backup.alibaba.api_errors import BUSY_HINT, CHANGING_HINT
from redis_backup.proof.backup import Verdict
from redis_backup.reconcile.backups import Backup
from redis_backup.reconcile.work import WorkItem
from redis_backup.states import ErrorKind, Outcome, Problem, State

_FAILED_CODE, _VANISHED_CODE, _CORRUPT_CODE = "BackupJobFailed", "BackupVanished", "BackupCorrupt"
_FAILED_HINT = "check the instance's backup jobs in the console; then send the request again with a new `since`"
_CORRUPT_HINT = (
    "keep the backup for Alibaba Cloud's support and open a ticket; then send the request again with a new `since`"
)
NOT_READ = "its newest good backup has not been read back as this request asks"
UNKNOWN_FORMAT = Problem(
    "UnknownFormat",
    "one of its files is no RDB file: it is encrypted (TDE), or of another engine",
    ErrorKind.UNKNOWN,
    hint="only a restore can prove this backup; without verify, this warning does not come",
)


def outcome_of_failed_look(item: WorkItem, problem: Problem) -> Outcome:
    """Return the outcome of an instance that could not be looked at. What is known to run or to be read stays so."""
    if item.outcome.state is State.VERIFYING:
        return replace(item.outcome, error=problem)
    if current := item.known.current:
        attempts = max(1, item.outcome.attempts)
        return Outcome(State.RUNNING, current.job_ids, current.is_adopted, attempts, error=problem)
    state = State.FAILED if problem.kind is ErrorKind.PERMANENT else State.PENDING
    return Outcome(state, attempts=item.outcome.attempts, error=problem)


def outcome_of_backup(state: State, backup: Backup) -> Outcome:
    """Return the outcome of an instance with this backup, which is in this state."""
    is_done = state is State.SUCCEEDED
    seconds = None
    if is_done and backup.started_at and backup.ended_at:
        seconds = int((backup.ended_at - backup.started_at).total_seconds())
    has_no_job_id = is_done and not backup.job_ids and backup.cluster_backup_id
    verdict = backup.verdict or Verdict(progress=backup.progress)
    return Outcome(
        state,
        backup.job_ids,
        adopted=not backup.is_own,
        progress=None if is_done else verdict.progress,
        error=verdict.problem,
        verified=verdict.verified.value if verdict.verified else None,
        copies=verdict.copies,
        bytes_read=verdict.bytes_read,
        backup_size=None if state is State.RUNNING else backup.size,
        duration_seconds=seconds,
        started_at=backup.started_at,
        note=f"R-KVStore lists this backup without a job ID, as ClusterBackupId {backup.cluster_backup_id}"
        if has_no_job_id
        else None,
    )


def outcome_of_failures(failed: tuple[Backup, ...], max_attempts: int) -> Outcome:
    """Return the outcome of an instance of which as many attempts have failed as are allowed."""
    ids = tuple(dict.fromkeys(job_id for backup in failed for job_id in backup.job_ids))
    starts = [backup.started_at for backup in failed if backup.started_at]
    code, found = failure_reason(failed)
    problem = Problem(
        code,
        f"{len(failed)} of at most {max_attempts} backups of this request failed" + (f"; {found}" if found else ""),
        ErrorKind.PERMANENT,
        hint=_CORRUPT_HINT if code == _CORRUPT_CODE else _FAILED_HINT,
    )
    return Outcome(State.FAILED, ids, attempts=len(failed), error=problem, started_at=min(starts, default=None))


def failure_reason(backups: Sequence[Backup]) -> tuple[str, str]:
    """Return the error code of failed backups, and what is known beside it: `"BackupCorrupt", "job 7, …"`."""
    found = [backup.verdict.corrupt for backup in backups if backup.verdict and backup.verdict.corrupt]
    if found:
        return _CORRUPT_CODE, "; ".join(found)
    if any(backup.has_vanished for backup in backups):
        return _VANISHED_CODE, "one of them is no longer listed"
    return _FAILED_CODE, ""


def busy_problem() -> Problem:
    """Return the error of an instance of which an older backup runs."""
    return Problem(
        "BackupJobExists", "an older backup of the instance is still running", ErrorKind.BUSY, hint=BUSY_HINT
    )


def wrong_state_problem(status: str) -> Problem:
    """Return the error of an instance whose status allows no backup: `"Changing"`."""
    return Problem(
        "IncorrectDBInstanceState",
        f"the instance's status is {status}",
        ErrorKind.BUSY,
        hint=CHANGING_HINT,
    )

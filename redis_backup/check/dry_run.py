"""Look at the instances that a check's event names, by a dry run of the usual way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.context import Context
from redis_backup.errors import InvalidRequest
from redis_backup.reconcile.reconciler import Reconciler
from redis_backup.reconcile.work import WorkItem
from redis_backup.request.instances import InstanceRef
from redis_backup.request.request import Request
from redis_backup.runtime import Clock
from redis_backup.settings import Settings
from redis_backup.states import CheckResult, ErrorKind, Outcome, Problem, State

_MAX_INSTANCES = 50  # that are named one by one


def check_instances(request: Request, context: Context, settings: Settings, clock: Clock) -> Iterator[CheckResult]:
    """Check the instances that the request selects, by a dry run."""
    if not (request.instances or request.tags):
        return
    warnings = _Warnings()
    reconciler = Reconciler(context, settings, clock, warnings, hand_over=lambda _: False)
    try:
        request = reconciler.select(replace(request, dry_run=True), reconciler.deadline)
    except InvalidRequest as error:
        yield CheckResult("instances", False, "; ".join(error.errors), "check the tags and the region")
        return
    except ApiError as error:
        detail = f"the tags could not be looked up: {error.problem.message}"
        yield CheckResult("instances", False, detail, error.problem.hint or "check again")
        return
    items = [WorkItem.from_request(request, each) for each in request.instances]
    reconciler.run(items)
    failed = [item for item in items if item.outcome.state is State.FAILED]
    for item in failed[:_MAX_INSTANCES]:
        yield _instance_result(item, False)
    unclear = [item for item in items if item.outcome.state is State.PENDING and item.outcome.error]
    for item in unclear[:_MAX_INSTANCES]:
        yield _instance_result(item, None)
    good = len(items) - len(failed) - len(unclear)
    detail = f"{good} of {len(items)} can be looked at" + "".join(f"; {text}" for text in warnings.texts if not failed)
    is_ok = False if failed or request.unlisted else None if unclear or warnings.texts else True
    hint = f"do what the lines of the instances say; at most {_MAX_INSTANCES} of a kind have one"
    if not (failed or unclear):
        hint = "check again; if it stays, name the instances by their IDs in a request"
    yield CheckResult("instances", is_ok, detail, None if is_ok else hint)


class _Warnings:
    """Keeps the warnings of a dry run, and writes no record (`redis_backup.reconcile.journal.Records`)."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def state(self, request: Request, instance: InstanceRef, outcome: Outcome) -> None:
        """Do nothing: the results of the check have the states."""

    def failed_attempt(
        self, request: Request, instance: InstanceRef, job_ids: tuple[str, ...], attempts: int, code: str, found: str
    ) -> None:
        """Do nothing: earlier backups do not matter here."""

    def warning(
        self,
        message: str,
        request: Request | None,  # noqa: ARG002 - what the journal passes
        instance: InstanceRef | None,  # noqa: ARG002
        problem: Problem | None,
    ) -> None:
        """Keep a warning."""
        text = f"{message}: {problem.message}" if problem else message
        if text not in self.texts:
            self.texts.append(text)


def _instance_result(item: WorkItem, is_ok: bool | None) -> CheckResult:
    problem = item.outcome.error or Problem("Unknown", "no error is known", ErrorKind.UNKNOWN)
    hint = problem.hint or "look up the code in docs/runbook.md"
    return CheckResult(f"instance {item.instance.key}", is_ok, f"{problem.message} ({problem.code})", hint)

"""Write instances and errors into a report, and read them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from redis_backup.request.instances import InstanceRef
from redis_backup.states import CheckResult, ErrorKind, Outcome, Problem, State


def write_instance(instance: InstanceRef, outcome: Outcome) -> dict[str, Any]:
    """Write an instance and its outcome as an item of a report's `instances`.

    `InstanceRef("cn-hangzhou", "r-1"), Outcome(RUNNING, ("1022",))` →
    `{"instance_id": "r-1", "region": "cn-hangzhou", "state": "running", "job_ids": ["1022"], …}`.
    """
    return {
        "instance_id": instance.instance_id,
        "region": instance.region,
        "state": outcome.state.value,
        "job_ids": list(outcome.job_ids),
        "adopted": outcome.adopted,
        "attempts": outcome.attempts,
        "progress": outcome.progress,
        "verified": outcome.verified,
        "copies": outcome.copies,
        "error": write_problem(outcome.error),
    }


def read_instance(item: Mapping[str, Any]) -> tuple[InstanceRef, Outcome]:
    """Read what `write_instance` wrote. Raise KeyError, TypeError or ValueError if it is something else.

    `{"instance_id": "r-1", "region": "cn-hangzhou", "state": "running", "job_ids": ["1022"]}` →
    `(InstanceRef("cn-hangzhou", "r-1"), Outcome(RUNNING, ("1022",)))`.
    """
    progress = item.get("progress")
    if not isinstance(progress, int | None) or not isinstance(item["job_ids"], list):
        raise TypeError("progress or job_ids")
    return InstanceRef(_string(item["region"]), _string(item["instance_id"])), Outcome(
        State(item["state"]),
        tuple(str(job_id) for job_id in item["job_ids"]),
        adopted=bool(item.get("adopted")),
        attempts=int(item.get("attempts") or 0),
        progress=progress,
        verified=_optional(item.get("verified")),
        copies=_optional(item.get("copies")),
        error=read_problem(item.get("error")),
    )


def write_check(result: CheckResult) -> dict[str, Any]:
    """Write one result of a check as an item of an answer's `checks`: `{"name": "settings", "ok": true, …}`."""
    return asdict(result)


def read_check(item: Mapping[str, Any]) -> CheckResult:
    """Read what `write_check` wrote. Raise KeyError or TypeError if it is something else.

    `{"name": "settings", "ok": None, "detail": "…"}` → `CheckResult("settings", None, "…")`.
    """
    if item["ok"] not in (True, False, None) or isinstance(item["ok"], int) is not isinstance(item["ok"], bool):
        raise TypeError("ok")
    hint = item.get("hint")
    return CheckResult(_string(item["name"]), item["ok"], _string(item["detail"]), _string(hint) if hint else None)


def write_problem(problem: Problem | None) -> dict[str, Any] | None:
    """Write an error as reports show it: `{"code": "NoAnswer", "kind": "unknown", …}`; None if there is none."""
    return {**asdict(problem), "kind": problem.kind.value} if problem else None


def read_problem(error: Mapping[str, Any] | None) -> Problem | None:
    """Read what `write_problem` wrote. Raise KeyError or ValueError if it is something else.

    `{"code": "NoAnswer", "message": "no answer", "kind": "unknown"}` → `Problem("NoAnswer", "no answer", UNKNOWN)`;
    None → None.
    """
    if not error:
        return None
    kind = ErrorKind(error["kind"])
    request_id, hint = (_string(value) if value else None for value in (error.get("request_id"), error.get("hint")))
    return Problem(_string(error["code"]), _string(error["message"]), kind, request_id, hint)


def _optional(value: Any) -> str | None:
    return None if value is None else _string(value)


def _string(value: Any) -> str:
    """Return a string. Raise TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value

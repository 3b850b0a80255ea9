"""What an invocation answers: the report, and how each trigger is told of what went wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from redis_backup import timestamps
from redis_backup.ensure import Case
from redis_backup.errors import BackupFailed, BackupPending, InvalidRequest
from redis_backup.event import Event, TriggerKind
from redis_backup.request import Request
from redis_backup.states import ErrorKind, Problem, State

_MAX_TEXT = 8000  # bytes of an exception's text
_RAISING = (TriggerKind.TIMER, TriggerKind.EVENTBRIDGE, TriggerKind.FOLLOW)


def make_report(
    request_id: str,
    kind: TriggerKind,
    requests: Sequence[Request],
    cases: Sequence[Case],
    shards: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """One report for all requests of an event, as the contract shows it; JSON values only.

    `shards` (task ID, number of instances, whether it could be sent) is there for a request that was split.
    """
    counts = Counter(case.outcome.state for case in cases)
    return {
        "request_id": request_id,
        "trigger": {"kind": kind.value, "id": _joined(request.trigger_id for request in requests)},
        "since": timestamps.render(max(request.since for request in requests)),
        "reason": _joined(request.reason for request in requests) or None,
        "dry_run": all(request.dry_run for request in requests),
        "ok": not counts[State.FAILED],
        "done": all(case.outcome.state.is_final for case in cases),
        "counts": {state.value: counts[state] for state in State if counts[state]},
        **({"shards": list(shards)} if shards else {}),
        "instances": [_instance(case) for case in cases],
    }


def kind_of(events: Sequence[Event]) -> TriggerKind:
    """What invoked the function; a list is EventBridge's where one of its items is."""
    kinds = [event.kind for event in events]
    return TriggerKind.EVENTBRIDGE if TriggerKind.EVENTBRIDGE in kinds else kinds[0]


def log_fields(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report in a record's flat form."""
    return {
        "trigger": report["trigger"]["kind"],
        "trigger_id": report["trigger"]["id"],
        **{name: report[name] for name in ("since", "reason", "dry_run", "ok", "done")},
        **report["counts"],
        "instances": len(report["instances"]),
        "shards": len(report.get("shards", ())) or None,
    }


def answer(kind: TriggerKind, report: dict[str, Any], unfollowed: str | None) -> Any:
    """What the handler returns. `unfollowed`: why nothing will follow up what is not final, None where something will.

    Raise BackupFailed or BackupPending for the triggers that nobody reads the answer of.
    """
    left = unfollowed is not None and not report["done"]
    if kind is TriggerKind.HTTP:
        return _http_answer(502 if not report["ok"] else 200 if report["done"] else 202, report)
    if kind in _RAISING and not report["ok"]:
        raise BackupFailed(_text(report, unfollowed if left else None))
    if kind in _RAISING and left:
        raise BackupPending(_text(report, unfollowed))
    return report


def refusal(kind: TriggerKind, error: InvalidRequest, status: int) -> Any:
    """The answer to a request that is none. Raises the error for all triggers but HTTP."""
    if kind is not TriggerKind.HTTP:
        raise error from None
    body = {"type": "InvalidRequest", "message": str(error), "faults": list(error.faults)}
    return _http_answer(status, {"error": body})


def unselected(kind: TriggerKind, problem: Problem) -> Any:
    """The answer where the instances that bear the tags could not be looked up."""
    text = f"nothing was started, since the tags could not be looked up: {problem.message}; {problem.hint or ''}"
    if kind is TriggerKind.HTTP:
        return _http_answer(502, {"error": {"type": problem.code, "message": text}})
    raise (BackupFailed if problem.kind is ErrorKind.PERMANENT else BackupPending)(text)


def _http_answer(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """An HTTP trigger's answer."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if status == 405:
        headers["Allow"] = "POST"
    return {"statusCode": status, "headers": headers, "isBase64Encoded": False, "body": json.dumps(body)}


def _instance(case: Case) -> dict[str, Any]:
    outcome, problem = case.outcome, case.outcome.error
    return {
        "instance_id": case.target.instance_id,
        "region": case.target.region,
        "state": outcome.state.value,
        "job_ids": list(outcome.job_ids),
        "adopted": outcome.adopted,
        "attempts": outcome.attempts,
        "progress": outcome.progress,
        "error": {
            "code": problem.code,
            "message": problem.message,
            "kind": problem.kind.value,
            "request_id": problem.request_id,
            "hint": problem.hint,
        }
        if problem
        else None,
    }


def _text(report: Mapping[str, Any], unfollowed: str | None) -> str:
    """A one-line summary, and a line with the failed and the pending instances as a JSON list.

    (Not a line for each: FC puts the text into the log store, where an object in a line would look like a record.)
    """
    counts = ", ".join(f"{count} {state}" for state, count in report["counts"].items())
    summary = f"{counts} of {len(report['instances'])} instances (trigger {report['trigger']['id']})"
    if unfollowed:
        summary += f"; nothing follows up what is not final: {unfollowed}"
    bad = [item for item in report["instances"] if item["state"] in ("failed", "pending")]
    shown: list[str] = []
    room = _MAX_TEXT - len(summary.encode()) - 100
    for item in sorted(bad, key=lambda item: str(item["state"])):
        text = json.dumps(item, ensure_ascii=False)
        room -= len(text.encode()) + 2
        if room < 0:
            summary += f"; the first {len(shown)} of {len(bad)}, all are in the log store"
            break
        shown.append(text)
    return f"{summary}:\n[{', '.join(shown)}]" if shown else summary


def _joined(texts: Any) -> str:
    return ",".join(dict.fromkeys(text for text in texts if text))[:1000]

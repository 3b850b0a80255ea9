"""What an invocation answers: how each trigger is told of what went wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis_backup.errors import BackupFailed, BackupPending, InvalidRequest, truncate
from redis_backup.reporting.records import LOOKUP_FAILED
from redis_backup.request.events import Event, TriggerKind
from redis_backup.states import ErrorKind, Problem

_MAX_TEXT = 8000  # bytes of an exception's text
_RAISING = (TriggerKind.TIMER, TriggerKind.EVENTBRIDGE, TriggerKind.FOLLOW)


@dataclass(frozen=True)
class Ending:
    """What an invocation leaves: whether something failed of what is over now, with what earlier ones told of it; and
    why what is still to be followed up will not be (None where it will, or nothing is)."""

    has_failed: bool = False
    failed_before: str = ""
    not_followed: str | None = None


def trigger_kind(events: Sequence[Event]) -> TriggerKind:
    """What invoked the function; a list is EventBridge's where one of its items is."""
    kinds = [event.kind for event in events]
    return TriggerKind.EVENTBRIDGE if TriggerKind.EVENTBRIDGE in kinds else kinds[0]


def answer(kind: TriggerKind, report: dict[str, Any], end: Ending, refused: InvalidRequest | None) -> Any:
    """What the handler returns.

    Raise InvalidRequest where events of a batch were refused; else BackupFailed or BackupPending for the triggers of
    which nobody reads the answer.
    """
    if refused:
        raise refused
    if kind is TriggerKind.HTTP:
        return _http_answer(502 if not report["ok"] else 200 if report["done"] else 202, report)
    if kind in _RAISING and end.has_failed:
        raise BackupFailed(_exception_text(report, end))
    if kind in _RAISING and end.not_followed is not None:
        raise BackupPending(_exception_text(report, end))
    return report


def refused_events(events: Sequence[Event], read: Sequence[object]) -> InvalidRequest | None:
    """What is wrong with the events that are no requests. `read`: for each event its request, or what was raised."""
    refusals = [
        (number, event, error)
        for number, (event, error) in enumerate(zip(events, read, strict=True), 1)
        if isinstance(error, InvalidRequest)
    ]
    if not refusals or len(events) == 1:
        return refusals[0][2] if refusals else None
    errors = [
        f"event {number} of {len(events)} ({event.id or 'no ID'}): {text}"
        for number, event, error in refusals
        for text in error.errors
    ]
    if len(refusals) == len(events):
        return InvalidRequest(errors)
    return InvalidRequest(errors, started="Nothing was started for these; the other events of the batch go on")


def refusal(kind: TriggerKind, error: InvalidRequest) -> Any:
    """The answer to an event that is no request. Raises the error for all triggers but HTTP."""
    if kind is not TriggerKind.HTTP:
        raise error from None
    body = {"type": "InvalidRequest", "message": str(error), "errors": list(error.errors)}
    return _http_answer(error.status, {"error": body})


def lookup_error(kind: TriggerKind, problem: Problem) -> Any:
    """The answer where the instances that bear the tags could not be looked up."""
    text = f"nothing was started, since {LOOKUP_FAILED}: {problem.message}; {problem.hint or ''}"
    if kind is TriggerKind.HTTP:
        return _http_answer(502, {"error": {"type": problem.code, "message": text}})
    raise (BackupFailed if problem.kind is ErrorKind.PERMANENT else BackupPending)(text)


def _http_answer(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """An HTTP trigger's answer."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if status == 405:
        headers["Allow"] = "POST"
    return {"statusCode": status, "headers": headers, "isBase64Encoded": False, "body": json.dumps(body)}


def _exception_text(report: Mapping[str, Any], end: Ending) -> str:
    """A one-line summary, and a line with the failed and the pending instances as a JSON list.

    (Not a line for each: FC puts the text into the log store, where an object in a line would look like a record.)
    """
    counts = ", ".join(f"{count} {state}" for state, count in report["counts"].items())
    summary = f"{counts} of {len(report['instances'])} instances (trigger {report['trigger']['id']})"
    summary += f"; {end.failed_before}" if end.failed_before else ""
    if end.not_followed:
        summary += f"; nothing follows up what is not final: {end.not_followed}"
    summary = truncate(summary, _MAX_TEXT // 2)
    unfinished = [item for item in report["instances"] if item["state"] in ("failed", "pending")]
    included: list[str] = []
    room = _MAX_TEXT - len(summary.encode()) - 100
    for item in sorted(unfinished, key=lambda item: str(item["state"])):
        text = json.dumps(item, ensure_ascii=False)
        room -= len(text.encode()) + 2
        if room < 0:
            summary += f"; the first {len(included)} of {len(unfinished)}, all are in the log store"
            break
        included.append(text)
    return f"{summary}:\n[{', '.join(included)}]" if included else summary

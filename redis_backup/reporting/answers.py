"""Make the answer of an invocation: a report, an HTTP answer, or an error, by the kind of its trigger."""

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


@dataclass(frozen=True)
class Ending:
    """The end of an invocation.

    `has_failed`: an instance of a request that is over has failed; `failed_before`: what earlier invocations reported
    of these requests; `not_followed`: why unfinished instances have no follow-up (None: they have one, or there are
    none).
    """

    has_failed: bool = False
    failed_before: str = ""
    not_followed: str | None = None


def trigger_kind(events: Sequence[Event]) -> TriggerKind:
    """Return what invoked the function; a list is EventBridge's if one of its items is."""
    kinds = [event.kind for event in events]
    return TriggerKind.EVENTBRIDGE if TriggerKind.EVENTBRIDGE in kinds else kinds[0]


def answer(kind: TriggerKind, report: dict[str, Any], end: Ending, refused: InvalidRequest | None) -> Any:
    """Return what the handler returns.

    Raise InvalidRequest if events of a batch were refused; else BackupFailed or BackupPending for triggers that ignore
    a returned answer.
    """
    if refused:
        raise refused
    if kind is TriggerKind.HTTP:
        return _http_answer(502 if not report["ok"] else 200 if report["done"] else 202, report)
    if not kind.has_caller and end.has_failed:
        raise BackupFailed(_exception_text(report, end))
    if not kind.has_caller and end.not_followed is not None:
        raise BackupPending(_exception_text(report, end))
    return report


def refused_events(events: Sequence[Event], read: Sequence[object]) -> InvalidRequest | None:
    """Return one error for all events that are not valid requests, None if there are none.

    `read`: for each event its request, or the error that was raised.
    """
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
    return InvalidRequest(errors, started="Nothing was started for these; the batch's other events are handled")


def refusal(kind: TriggerKind, error: InvalidRequest) -> Any:
    """Return the HTTP answer to an event that is not a valid request. Raise the error for all other triggers."""
    if kind is not TriggerKind.HTTP:
        raise error from None
    body = {"type": "InvalidRequest", "message": str(error), "errors": list(error.errors)}
    return _http_answer(error.status, {"error": body})


def lookup_failed(kind: TriggerKind, problem: Problem) -> Any:
    """Return the HTTP answer if the instances with the tags could not be listed. Raise for all other triggers."""
    text = f"nothing was started, because {LOOKUP_FAILED}: {problem.message}; {problem.hint or ''}"
    if kind is TriggerKind.HTTP:
        return _http_answer(502, {"error": {"type": problem.code, "message": text}})
    raise (BackupFailed if problem.kind is ErrorKind.PERMANENT else BackupPending)(text)


def check_answer(kind: TriggerKind, answer: dict[str, Any]) -> Any:
    """Return the answer to a check. Raise BackupFailed for triggers that ignore a returned answer, if it is not ok."""
    if kind is TriggerKind.HTTP:
        return _http_answer(200 if answer["ok"] else 502, answer)
    if not (answer["ok"] or kind.has_caller):
        failed = [f"{each['name']}: {each['detail']}" for each in answer["checks"] if each["ok"] is False]
        raise BackupFailed(truncate(f"the check failed: {'; '.join(failed)}", _MAX_TEXT))
    return answer


def _http_answer(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an HTTP trigger's answer.

    https://www.alibabacloud.com/help/en/functioncompute/fc-3-0/user-guide/http-trigger-invoking-function
    """
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if status == 405:
        headers["Allow"] = "POST"
    return {"statusCode": status, "headers": headers, "isBase64Encoded": False, "body": json.dumps(body)}


def _exception_text(report: Mapping[str, Any], end: Ending) -> str:
    """Return a summary in one line, and the failed and pending instances as a JSON list in another.

    (It is one line for all instances, since an object that fills a line of the log store would look like a record.)
    """
    counts = ", ".join(f"{count} {state}" for state, count in report["counts"].items())
    summary = f"{counts} of {len(report['instances'])} instances (trigger {report['trigger']['id']})"
    if end.failed_before:
        summary = f"{end.failed_before}; in this invocation {summary}"
    if end.not_followed:
        summary += f"; no follow-up will look at unfinished instances: {end.not_followed}"
    summary = truncate(summary, _MAX_TEXT // 2)
    unfinished = [item for item in report["instances"] if item["state"] in ("failed", "pending")]
    included: list[str] = []
    room = _MAX_TEXT - len(summary.encode()) - 100
    for item in sorted(unfinished, key=lambda item: str(item["state"])):
        text = json.dumps(item, ensure_ascii=False)
        room -= len(text.encode()) + 2
        if room < 0:
            summary += f"; the first {len(included)} of {len(unfinished)} are listed, all are in the log store"
            break
        included.append(text)
    return f"{summary}:\n[{', '.join(included)}]" if included else summary

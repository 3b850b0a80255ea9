"""Write records to stdout, one JSON object in each line, which FC puts into the log store. No other module prints.

Each line is written by one call and without a prefix: `print` from threads mixes lines, and `logging` adds a prefix.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from redis_backup import timestamps
from redis_backup.errors import InvalidRequest, truncate
from redis_backup.reconcile.work import WATCHING
from redis_backup.request.events import Event, TriggerKind
from redis_backup.request.instances import InstanceRef
from redis_backup.request.request import Request, SharedInstance, Totals
from redis_backup.runtime import Runtime, utc_now
from redis_backup.states import CheckResult, Outcome, Problem, State

LOOKUP_FAILED = "the tags could not be looked up"
MAX_BYTES = 2000  # Log Service's SQL reads the first 2,048 bytes of a value
_LINE_ENDS = {ord(char): f"\\u{ord(char):04x}" for char in "\x85\u2028\u2029"}  # line ends that JSON does not escape
_EVENTS = {
    State.PLANNED: "backup_planned",
    State.PENDING: "backup_pending",
    State.RUNNING: "backup_started",
    State.VERIFYING: "backup_verifying",
    State.SUCCEEDED: "backup_succeeded",
    State.FAILED: "backup_failed",
}
_SHORTENED_FIRST = {"failed_ids", "error_message", "hint", "detail"}
_LEVELS = {State.PENDING: "WARNING", State.FAILED: "ERROR"}


class Recorder:
    """Writes one invocation's records. Threads may share it."""

    def __init__(self, runtime: Runtime, request_id: str) -> None:
        self._clock, self._out, self._request_id = runtime.clock, runtime.stdout, request_id
        self._lock = threading.Lock()

    def state(self, request: Request, instance: InstanceRef, outcome: Outcome) -> None:
        """Record the state of an instance. Job IDs that do not fit into one line are written in several."""
        adopted = outcome.state is State.RUNNING and outcome.adopted
        record = {
            **_request_fields(request, instance),
            "attempts": outcome.attempts or None,
            "progress": outcome.progress,
            "backup_size": outcome.backup_size,
            "duration_seconds": outcome.duration_seconds,
            "verified": outcome.verified,
            "copies": outcome.copies,
            "bytes_read": outcome.bytes_read,
            **(error_fields(outcome.error) or {"hint": outcome.note}),
        }
        is_watched = outcome.error is not None and outcome.error.code == WATCHING
        level = "INFO" if is_watched else _LEVELS.get(outcome.state, "INFO")
        if outcome.state is State.VERIFYING and outcome.error:
            level = "WARNING"
        event = "backup_adopted" if adopted else _EVENTS[outcome.state]
        self._write_chunks(level, event, record, outcome.job_ids)

    def warning(
        self,
        message: str,
        request: Request | None = None,
        instance: InstanceRef | None = None,
        problem: Problem | None = None,
    ) -> None:
        """Record something that a person should look at, though no instance has failed."""
        error = {**error_fields(problem), "error_message": f"{message}: {problem.message}" if problem else message}
        self._write("WARNING", "warning", {**_request_fields(request, instance), **error})

    def failed_attempt(
        self, request: Request, instance: InstanceRef, job_ids: tuple[str, ...], attempts: int, code: str, found: str
    ) -> None:
        """Record failed backups of a request for which another one is started, or was started."""
        message = "earlier backups of this request failed" + (f": {found}" if found else "")
        error = {"attempts": attempts, "error_code": code, "error_message": message}
        self._write_chunks("WARNING", "warning", {**_request_fields(request, instance), **error}, job_ids)

    def shared(self, shared: SharedInstance, outcome: Outcome) -> None:
        """Record an instance that two events of a batch name, under the ID of the stricter one, which has it."""
        record = {
            **_request_fields(shared.request, shared.instance),
            "trigger_id": shared.owner.trigger_id,
            "attempts": outcome.attempts or None,
            "hint": f"event {shared.request.trigger_id} of the same batch names it too, and adopts its backup",
        }
        self._write_chunks("INFO", "backup_adopted", record, outcome.job_ids)

    def refused(self, event: Event, why: InvalidRequest | Problem) -> None:
        """Record an event of a batch that is not a valid request, or whose instances could not be listed."""
        trigger = {"trigger": event.kind.value, "trigger_id": event.id}
        error = {"error_code": "InvalidRequest", "error_message": str(why)}
        if isinstance(why, Problem):
            error = {**error_fields(why), "error_message": f"{LOOKUP_FAILED}: {why.message}"}
        self._write("ERROR", "event_refused", {**trigger, **error})

    def request_finished(self, request: Request, totals: Totals) -> None:
        """Record the totals of a request (or shard) whose instances are all final."""
        now = utc_now(self._clock)
        self._write(
            "ERROR" if totals.failed or totals.unlisted else "INFO",
            "request_finished",
            {
                **_request_fields(request),
                "shard": request.follow_up.shard if request.follow_up else None,
                "instances": totals.succeeded + totals.failed,
                "succeeded": totals.succeeded,
                "failed": totals.failed,
                "attempts": totals.attempts,
                "first_started": timestamps.render(totals.first_started) if totals.first_started else None,
                "duration_seconds": max(0, int((now - request.since).total_seconds())),
                "failed_ids": _join_within(totals.failed_ids, 800),
                "error_message": f"{totals.unlisted} instances were not listed" if totals.unlisted else None,
            },
        )

    def check(self, request: Request, result: CheckResult) -> None:
        """Record one result of a check: at ERROR if it is not ok, at WARNING if it is None."""
        level = {True: "INFO", False: "ERROR", None: "WARNING"}[result.ok]
        record = {"name": result.name, "ok": result.ok, "detail": result.detail, "hint": result.hint}
        self._write(level, "check", {**_request_fields(request), **record})

    def nothing_started(
        self, kind: TriggerKind, events: Sequence[Event], *, problem: Problem | None = None, **fields: str
    ) -> None:
        """Record the report of an event that is not a valid request, or whose instances could not be listed."""
        if problem:
            fields |= {**error_fields(problem), "hint": problem.hint or "send the event again"}
        trigger_id = ",".join(dict.fromkeys(event.id for event in events))
        self.report("ERROR", {"trigger": kind.value, "trigger_id": trigger_id, "ok": False, **fields})

    def report(self, level: str, fields: Mapping[str, Any]) -> None:
        """Record the report of one invocation."""
        self._write(level, "report", fields)

    def _write_chunks(self, level: str, event: str, fields: Mapping[str, Any], job_ids: tuple[str, ...]) -> None:
        for ids in _chunks(job_ids) or [None]:
            self._write(level, event, {**fields, "job_ids": ids})

    def _write(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        record = {
            "time": utc_now(self._clock).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": event,
            "request_id": self._request_id,
            **{name: value for name, value in fields.items() if value is not None and value != ""},
        }
        line = _render_within(record) + "\n"
        with self._lock:
            try:
                self._out.write(line)
            except UnicodeEncodeError:  # a stream that is not UTF-8
                self._out.write(_render_within(record, in_ascii=True) + "\n")
            self._out.flush()


def _request_fields(request: Request | None, instance: InstanceRef | None = None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if request:
        fields = {"trigger": request.kind.value, "trigger_id": request.trigger_id}
        fields |= {"since": timestamps.render(request.since), "reason": request.reason}
    return fields | ({"region": instance.region, "instance_id": instance.instance_id} if instance else {})


def error_fields(problem: Problem | None) -> dict[str, Any]:
    """Return an error as fields of a record: `{"error_code": …, "error_kind": …, …}`; `{}` if there is none."""
    if problem is None:
        return {}
    return {
        "error_code": problem.code,
        "error_kind": problem.kind.value,
        "error_message": problem.message,
        "hint": problem.hint,
        "api_request_id": problem.request_id,
    }


def _join_within(texts: Sequence[str], length: int) -> str | None:
    """Join as many of the strings as fit into `length` characters by commas: `["a", "b", "c"], 4` → `"a,b"`."""
    joined = ",".join(texts)
    return (joined if len(joined) <= length else joined[:length].rpartition(",")[0]) or None


def _chunks(job_ids: tuple[str, ...]) -> list[str | None]:
    """Join the IDs by commas, into strings of about 600 characters at most: `("1022", "2480")` → `["1022,2480"]`."""
    texts: list[str | None] = []
    current = ""
    for job_id in job_ids:
        if current and len(current) + len(job_id) > 600:
            texts.append(current)
            current = ""
        current = f"{current},{job_id}" if current else job_id
    return [*texts, current] if current else texts


def _render_within(record: dict[str, Any], *, in_ascii: bool = False) -> str:
    """Return a record as a line of at most MAX_BYTES; cut its strings until it fits, _SHORTENED_FIRST before others."""

    def size(name: str) -> int:
        return len(record[name].encode("utf-8", "replace"))

    texts = {name for name, value in record.items() if isinstance(value, str)} - {"job_ids"}
    first, rest = (
        sorted(names, key=size, reverse=True) for names in (texts & _SHORTENED_FIRST, texts - _SHORTENED_FIRST)
    )
    line = _render(record, in_ascii)
    for min_size, name in itertools.product((120, 0), [*first, *rest]):
        over = len(line.encode()) - (MAX_BYTES - 1)
        room = max(min_size, size(name) - over)
        if over > 0 and size(name) > room:
            shortened = truncate(record[name], room)
            record[name] = shortened.rpartition(",")[0] if name == "failed_ids" else shortened
            line = _render(record, in_ascii)
    return line


def _render(record: dict[str, Any], in_ascii: bool) -> str:
    text = json.dumps(record, ensure_ascii=in_ascii, separators=(",", ":")).translate(_LINE_ENDS)
    return text.encode("utf-8", "replace").decode()

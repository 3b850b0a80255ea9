"""The one place that prints: a JSON object per line on stdout, which FC puts into the log store.

Each line goes out raw and by one write: `print` from threads mixes lines, `logging` puts a prefix before them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from redis_backup import timestamps
from redis_backup.fields import Target
from redis_backup.request import Request
from redis_backup.runtime import Runtime
from redis_backup.states import Outcome, Problem, State

MAX_BYTES = 2000  # SQL of Log Service sees the first 2,048 bytes of a value
_LINE_ENDS = {ord(char): f"\\u{ord(char):04x}" for char in "\x85\u2028\u2029"}  # that JSON leaves as they are
_EVENTS = {
    State.PLANNED: "backup_planned",
    State.PENDING: "backup_pending",
    State.RUNNING: "backup_started",
    State.SUCCEEDED: "backup_succeeded",
    State.FAILED: "backup_failed",
}
_LEVELS = {State.PENDING: "WARNING", State.FAILED: "ERROR"}


class Recorder:
    """Writes one invocation's records. Threads may share it."""

    def __init__(self, runtime: Runtime, request_id: str) -> None:
        self._clock, self._out, self._request_id = runtime.clock, runtime.stdout, request_id
        self._lock = threading.Lock()

    def state(self, request: Request, target: Target, outcome: Outcome) -> None:
        """An instance has come to a state. Job IDs that do not fit into one line go out in several."""
        adopted = outcome.state is State.RUNNING and outcome.adopted
        record = {
            **_story(request),
            "region": target.region,
            "instance_id": target.instance_id,
            "attempts": outcome.attempts or None,
            "progress": outcome.progress,
            "backup_size": outcome.backup_size,
            "duration_seconds": outcome.duration_seconds,
            **error_fields(outcome.error),
        }
        event = "backup_adopted" if adopted else _EVENTS[outcome.state]
        for job_ids in _chunks(outcome.job_ids) or [None]:
            self._write(_LEVELS.get(outcome.state, "INFO"), event, {**record, "job_ids": job_ids})

    def warning(self, message: str, *, request: Request | None = None, problem: Problem | None = None) -> None:
        """Something that a person should look at, though no instance failed by it."""
        story = _story(request) if request else {}
        self._write(
            "WARNING",
            "warning",
            {
                **story,
                **error_fields(problem),
                "error_message": f"{message}: {problem.message}" if problem else message,
            },
        )

    def failed_attempt(self, request: Request, target: Target, job_ids: tuple[str, ...], attempts: int) -> None:
        """Backups of a request have failed, and another is about to be started, or was."""
        record = {"region": target.region, "instance_id": target.instance_id, "attempts": attempts}
        message = "backups of this request failed before this one"
        for ids in _chunks(job_ids) or [None]:
            fields = {**record, "job_ids": ids, "error_code": "BackupJobFailed", "error_message": message}
            self._write("WARNING", "warning", {**_story(request), **fields})

    def report(self, level: str, fields: Mapping[str, Any]) -> None:
        """What one invocation came to."""
        self._write(level, "report", fields)

    def _write(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        record = {
            "time": timestamps.from_epoch(self._clock.time()).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": event,
            "request_id": self._request_id,
            **{name: value for name, value in fields.items() if value is not None and value != ""},
        }
        line = _fit(record) + "\n"
        with self._lock:
            try:
                self._out.write(line)
            except UnicodeEncodeError:  # a stream that is not UTF-8
                self._out.write(_fit(record, in_ascii=True) + "\n")
            self._out.flush()


def _story(request: Request) -> dict[str, Any]:
    return {
        "trigger": request.kind.value,
        "trigger_id": request.trigger_id,
        "since": timestamps.render(request.since),
        "reason": request.reason,
    }


def error_fields(problem: Problem | None) -> dict[str, Any]:
    """An error in a record's flat form."""
    if problem is None:
        return {}
    return {
        "error_code": problem.code,
        "error_kind": problem.kind.value,
        "error_message": problem.message,
        "hint": problem.hint,
        "api_request_id": problem.request_id,
    }


def _chunks(job_ids: tuple[str, ...]) -> list[str | None]:
    """The IDs joined by commas, in texts of at most some 600 characters."""
    texts: list[str | None] = []
    current = ""
    for job_id in job_ids:
        if current and len(current) + len(job_id) > 600:
            texts.append(current)
            current = ""
        current = f"{current},{job_id}" if current else job_id
    return [*texts, current] if current else texts


def _fit(record: dict[str, Any], *, in_ascii: bool = False) -> str:
    """The line, its longest texts cut until it fits."""
    while True:
        line = json.dumps(record, ensure_ascii=in_ascii, separators=(",", ":")).translate(_LINE_ENDS)
        line = line.encode("utf-8", "replace").decode()
        over = len(line.encode()) - (MAX_BYTES - 1)
        if over <= 0:
            return line
        name = max(record.keys() - {"job_ids"}, key=lambda name: len(json.dumps(record[name])))
        text = str(record[name])
        record[name] = text[: max(0, min(len(text) // 2, len(text) - over))] + "…"

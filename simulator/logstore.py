"""The log store: what functions wrote to standard output, one log a line."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Log:
    """One log, with the fields that Function Compute gives it."""

    time: int  # whole seconds
    function: str
    qualifier: str
    instance_id: str  # of the function, not of Redis
    message: str

    @cached_property
    def record(self) -> dict[str, Any] | None:
        """The message as a record; None when it is no JSON object."""
        if not self.message.startswith("{"):
            return None
        try:
            value = json.loads(self.message)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def to_json(self) -> str:
        fields = {
            "__time__": self.time,
            "__topic__": f"FCLogs:{self.function}",
            "functionName": self.function,
            "qualifier": self.qualifier,
            "versionId": "",
            "instanceID": self.instance_id,
            "message": self.message,
        }
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Log:
        """Read what `to_json` wrote. Raise ValueError when it is something else."""
        try:
            fields = json.loads(text)
            names = ("__time__", "functionName", "qualifier", "instanceID", "message")
            return cls(*(fields[name] for name in names))
        except (KeyError, TypeError) as missing:
            raise ValueError(f"not a log: {missing}") from None


class LogStore:
    """Keeps logs in memory and, if asked, in a JSON Lines file; tells listeners of each as it comes."""

    def __init__(self, path: str | Path | None = None) -> None:
        """Given a path, that file is begun anew."""
        self.listeners: list[Callable[[Log], None]] = []
        self._logs: list[Log] = []
        self._file = open(path, "w", encoding="utf-8", buffering=1) if path else None  # noqa: SIM115 open until close()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Log]:
        return iter(list(self._logs))

    def __len__(self) -> int:
        return len(self._logs)

    def append(self, log: Log) -> None:
        with self._lock:
            self._logs.append(log)
            if self._file:
                self._file.write(log.to_json() + "\n")
            for listener in self.listeners:
                listener(log)

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every log that is a JSON object."""
        return [log.record for log in self if log.record is not None]

    def search(self, *, instance: str | None = None, job: str | None = None, event: str | None = None) -> list[Log]:
        """The logs that match all that is given; with nothing, all of them."""
        return list(matching(self, instance=instance, job=job, event=event))


def matching(
    logs: Iterable[Log], *, instance: str | None = None, job: str | None = None, event: str | None = None
) -> Iterator[Log]:
    """The logs whose record names this instance, this job ID (as one of several) and this event."""
    for log in logs:
        record = log.record or {}
        wanted = (
            instance in (None, record.get("instance_id")),
            job is None or job in str(record.get("job_ids", "")).split(","),
            event in (None, record.get("event")),
        )
        if all(wanted):
            yield log


def read(path: str | Path) -> list[Log]:
    """The logs of a JSON Lines file. Raise ValueError, naming the line, when it is none."""
    logs: list[Log] = []
    try:
        logs.extend(map(Log.from_json, Path(path).read_text(encoding="utf-8").splitlines()))
    except ValueError as error:
        raise ValueError(f"{path}:{len(logs) + 1}: {error}") from None
    return logs

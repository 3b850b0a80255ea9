"""The state of the log store: logs, in memory and in a file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from simulator.logstore.wire import Log


class LogStore:
    """Keeps logs in memory and, if wanted, in a JSON Lines file."""

    def __init__(self, path: str | Path | None = None) -> None:
        """Open the store. `path`: a file for the logs; one that exists is emptied first."""
        self.listeners: list[Callable[[Log], None]] = []  # called with each log as it comes
        self._logs: list[Log] = []
        self._file = open(path, "w", encoding="utf-8", buffering=1) if path else None  # noqa: SIM115 open until close()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Log]:
        return iter(list(self._logs))

    def __len__(self) -> int:
        return len(self._logs)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Return the records of all logs that have one."""
        return [log.record for log in self if log.record is not None]

    def append(self, log: Log) -> None:
        """Keep a log, and pass it to the listeners."""
        with self._lock:
            self._logs.append(log)
            if self._file:
                self._file.write(log.to_json() + "\n")
            for listener in self.listeners:
                listener(log)

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None

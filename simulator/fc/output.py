"""Captures what a function writes elsewhere than to its standard output: standard error, and Python's logging.

The runtime's root logger has a handler that writes lines `time request-ID [LEVEL] text` to the log store. Standard
error and logging belong to the whole process: what is written counts as that of the invocation that began last.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TextIO, cast


@dataclass(eq=False)
class Capture:
    """One invocation's output: where its log lines go, and what it wrote to standard error."""

    request_id: str
    sink: Callable[[str], None]
    stderr: list[str] = field(default_factory=list)


_active: list[Capture] = []
_lock = threading.Lock()


class _StandardError:
    """Replaces sys.stderr while an invocation runs."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Keep the text for the invocation that began last."""
        with _lock:
            if _active:
                _active[-1].stderr.append(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is complete."""

    def isatty(self) -> bool:
        """Return False: it is not a terminal."""
        return False


class _RootHandler(logging.Handler):
    """The handler that the runtime puts on the root logger."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as a line of the invocation that began last."""
        with _lock:
            capture = _active[-1] if _active else None
        if capture:
            moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
            capture.sink(f"{moment} {capture.request_id} [{record.levelname}] {self.format(record)}")


_handler = _RootHandler()
_saved: list[tuple[TextIO, int]] = []  # sys.stderr and the root logger's level, while an invocation runs


@contextlib.contextmanager
def capture_output(request_id: str, sink: Callable[[str], None]) -> Iterator[Capture]:
    """Capture standard error and logging while the block runs. `sink` takes each line of logging."""
    capture = Capture(request_id, sink)
    root = logging.getLogger()
    with _lock:
        if not _active:
            _saved.append((sys.stderr, root.level))
            sys.stderr = cast("TextIO", _StandardError())
            root.addHandler(_handler)
            root.setLevel(min(root.level or logging.WARNING, logging.INFO))
        _active.append(capture)
    try:
        yield capture
    finally:
        with _lock:
            _active.remove(capture)
            if not _active:
                root.removeHandler(_handler)
                sys.stderr, level = _saved.pop()
                root.setLevel(level)

"""Catches what a function lets out past its standard output: standard error, and Python's logging.

The runtime's root logger has a handler that writes `time request-ID [LEVEL] text` lines into the log store. Both are
the whole process's, so that of several invocations at a time the one that began last is taken for the source.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(eq=False)
class Capture:
    """One invocation's: where its log lines go, and what it wrote to standard error."""

    request_id: str
    sink: Callable[[str], None]
    stderr: list[str] = field(default_factory=list)


_active: list[Capture] = []
_lock = threading.Lock()


class _StandardError:
    """Stands for sys.stderr while an invocation runs."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        with _lock:
            if _active:
                _active[-1].stderr.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        return False


class _RootHandler(logging.Handler):
    """The handler that the runtime puts on the root logger."""

    def emit(self, record: logging.LogRecord) -> None:
        with _lock:
            capture = _active[-1] if _active else None
        if capture:
            moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
            capture.sink(f"{moment} {capture.request_id} [{record.levelname}] {self.format(record)}")


_handler = _RootHandler()
_saved: list[object] = []


@contextlib.contextmanager
def capturing(request_id: str, sink: Callable[[str], None]) -> Iterator[Capture]:
    """While the block runs, standard error and logging go to the capture."""
    capture = Capture(request_id, sink)
    root = logging.getLogger()
    with _lock:
        if not _active:
            _saved[:] = [sys.stderr, root.level]
            sys.stderr = _StandardError()
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
                sys.stderr, level = _saved
                root.setLevel(level)

"""Ctrl-C, SIGTERM (how CI systems cancel a job) and SIGHUP (a terminal that is closed) end the command alike."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_SIGNALS = tuple(signal.Signals[name] for name in _NAMES if name in signal.Signals.__members__)


class Stopped(BaseException):
    """A signal asks the command to end. A BaseException, so that no `except Exception` on its way takes it.

    `exit_code`: 130 for SIGINT, 143 for SIGTERM, as a shell reports a process that a signal has killed.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def raise_stopped() -> Iterator[None]:
    """Raise Stopped at the first signal, in the main thread. A second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to no other
        yield
        return
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in handlers.items():
        if handler is not signal.SIG_IGN:  # `nohup`, and background jobs of a shell, ignore some
            signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _raise(number: int, _: FrameType | None) -> None:
    reset()
    raise Stopped(number)


def reset() -> None:
    """Let these signals end the process at once from now on: what is left to do may block, as a full pipe does."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)


@contextmanager
def delayed() -> Iterator[None]:
    """Deliver a signal that arrives inside at the end, so that what is done inside is done as a whole."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

"""One invocation: the handler is called as the runtime calls it, and what comes of it is kept."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.fc.context import Context
from simulator.fc.kill_switch import KillableClock, KillableOutput, Killed, KillSwitch
from simulator.fc.output import capturing

if TYPE_CHECKING:
    from simulator.clock import Clock

Handler = Callable[..., Any]  # (event, context, runtime) -> the answer
PROJECT = Path(__file__).resolve().parents[2]


@dataclass
class Invocation:
    """What was invoked, and what came of it. Times and durations are the clock's, in seconds."""

    request_id: str
    event: bytes
    asynchronous: bool
    attempt: int  # 0 for the first delivery, then one more for each retry
    task_id: str | None
    access_key_id: str
    started: float
    duration: float = 0.0
    body: bytes = b""  # the answer as it goes out
    result: Any = None  # what the handler returned, read back from `body` where that is JSON
    error: dict[str, Any] | None = None  # errorMessage, errorType, stackTrace
    exception: BaseException | None = None
    killed: bool = False
    timed_out: bool = False
    events: int = 0  # I/O events: a `kill_after` up to this number ends it before its end
    stdout: list[str] = field(default_factory=list)
    stderr: str = ""
    logged: list[str] = field(default_factory=list)  # by Python's logging and by the runtime itself

    @property
    def failed(self) -> bool:
        """What the platform retries."""
        return self.killed or self.timed_out or self.error is not None

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The lines of standard output that are JSON objects."""
        return [value for line in self.stdout if isinstance(value := _parsed(line), dict)]

    def everything(self) -> str:
        """All that left the process through this invocation, for a search for secrets."""
        return "\n".join([*self.stdout, *self.logged, self.stderr, self.body.decode(errors="replace")])


@cache
def load_project() -> Handler:
    """Load the project's own function as a cold start does, its initializer included, and return its handler."""
    if str(PROJECT) not in sys.path:
        sys.path.insert(0, str(PROJECT))
    module = importlib.import_module("handler")
    if initialize := getattr(module, "initialize", None):
        initialize(Context())
    return module.handler


def project_handler(event: bytes, context: object, runtime: object) -> Any:
    """The project's own function, loaded when it is first invoked."""
    return load_project()(event, context, runtime)


def run(
    invocation: Invocation,
    handler: Handler,
    context: Context,
    environ: Mapping[str, str],
    clock: Clock,
    kill_switch: KillSwitch,
    sink: Callable[[str], None],
) -> None:
    """Call the handler and fill in the invocation. `sink` takes each line for the log store. Raises nothing."""
    from redis_backup.runtime import Runtime

    def out(line: str) -> None:
        invocation.stdout.append(line)
        sink(line)

    def log(line: str) -> None:
        invocation.logged.append(line)
        sink(line)

    output = KillableOutput(out, kill_switch)
    with capturing(invocation.request_id, log) as capture:
        try:
            value = handler(invocation.event, context, Runtime(environ, KillableClock(clock, kill_switch), output))
            invocation.body = _encoded(value)
        except Killed as death:
            invocation.exception = death
        except (Exception, SystemExit) as error:  # noqa: BLE001 whatever it is, the caller gets it as an answer
            invocation.exception = error
        kill_switch.end()
    output.close()
    invocation.duration = clock.time() - invocation.started
    invocation.stderr = "".join(capture.stderr)
    invocation.killed, invocation.timed_out, invocation.events = (
        kill_switch.killed,
        kill_switch.timed_out,
        kill_switch.events,
    )
    _conclude(invocation, log)


def _conclude(invocation: Invocation, log: Callable[[str], None]) -> None:
    """Turn an exception, a kill or a time-out into the platform's error answer, and log it."""
    error = invocation.exception
    if invocation.timed_out:
        invocation.error = _error("Function timed out", "FunctionTimedOut", [])
    elif invocation.killed:
        invocation.error = _error("Process exited unexpectedly before completing request", "FunctionProcessExited", [])
    elif isinstance(error, SystemExit):
        invocation.error = _error(f"Process exited: {error.code}", "FunctionProcessExited", [])
    elif error is not None:
        trace = traceback.format_tb(error.__traceback__)
        invocation.error = _error(str(error), type(error).__name__, trace)
        text = "".join(traceback.format_exception(error))  # with its causes, as logging would print it
        for line in text.splitlines():
            log(line)
    if invocation.error:
        invocation.body = _encoded(invocation.error)
    invocation.result = _parsed(invocation.body.decode(errors="replace"))


def _error(message: str, kind: str, trace: list[str]) -> dict[str, Any]:
    return {"errorMessage": message, "errorType": kind, "stackTrace": trace}


def _encoded(value: Any) -> bytes:
    """A handler's answer as it goes out: text and bytes as they are, anything else as JSON."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value, indent=4, sort_keys=True).encode()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

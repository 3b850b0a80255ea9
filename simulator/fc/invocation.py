"""Runs one invocation: calls the handler as the runtime does, and keeps its result."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.fc.context import Context
from simulator.fc.output import capture_output
from simulator.fc.state import Invocation, parse_json
from simulator.kill_switch import KillableClock, KillableOutput, Killed, KillSwitch

if TYPE_CHECKING:
    from simulator.clock import Clock

Handler = Callable[..., Any]  # (event, context, runtime) -> answer
PROJECT = Path(__file__).resolve().parents[2]


@cache
def load_project() -> Handler:
    """Load the project's function as a cold start does, with its initializer, and return its handler."""
    if str(PROJECT) not in sys.path:
        sys.path.insert(0, str(PROJECT))
    module = importlib.import_module("handler")
    if initialize := getattr(module, "initialize", None):
        initialize(Context())
    handler: Handler = module.handler
    return handler


def project_handler(event: bytes, context: object, runtime: object) -> Any:
    """Call the project's function, which is loaded at the first call."""
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
    """Call the handler and fill in the invocation. `sink` takes each line for the log store. It raises nothing."""
    from redis_backup.runtime import Runtime

    def out(line: str) -> None:
        invocation.stdout.append(line)
        sink(line)

    def log(line: str) -> None:
        invocation.logged.append(line)
        sink(line)

    output = KillableOutput(out, kill_switch)
    with capture_output(invocation.request_id, log) as capture:
        try:
            value = handler(invocation.event, context, Runtime(environ, KillableClock(clock, kill_switch), output))
            invocation.body = _encode(value)
        except Killed as killed:
            invocation.exception = killed
        except (Exception, SystemExit) as error:  # noqa: BLE001 the caller gets every error as an answer
            invocation.exception = error
        kill_switch.close()
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
    """Make an exception, a kill or a time-out the platform's error answer, and log it."""
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
        invocation.body = _encode(invocation.error)
    invocation.result = parse_json(invocation.body.decode(errors="replace"))


def _error(message: str, kind: str, trace: list[str]) -> dict[str, Any]:
    return {"errorMessage": message, "errorType": kind, "stackTrace": trace}


def _encode(value: Any) -> bytes:
    """Return a handler's answer as bytes: strings and bytes as they are, anything else as JSON."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value, indent=4, sort_keys=True).encode()

"""One run of the command, from its options to its exit code."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

from redis_backup import timestamps
from redis_backup.alibaba.function_compute import FunctionName
from redis_backup.backoff import Deadline
from redis_backup.endpoints import FC_ENDPOINT, parse_endpoint
from redis_backup.request.request import Request
from redis_backup.runtime import SystemClock
from redis_backup.states import State

from . import batches
from .client import CredentialChain, FunctionClient
from .clocks import Timekeeper, WrongClockError
from .durations import spoken
from .errors import CommandError, RefusedError, Unanswered
from .polling import Polling
from .progress import LineProgress, can_redraw
from .report import MergedReport

if TYPE_CHECKING:
    from .context import CliContext
    from .table import LiveTable

INTERRUPTED = 130
TIME_RAN_OUT = 3
_ENDPOINT = "BACKUP_FC_ENDPOINT"
_PATIENCE = 3600.0  # seconds for the first answer, without --wait


class App:
    """`options` are those of `cli.command`, by name."""

    def __init__(self, options: Mapping[str, Any], context: CliContext) -> None:
        self._options, self._context = options, context
        self._clock = context.clock or SystemClock()
        self._began, self._began_at = self._clock.monotonic(), self._clock.time()
        self._timekeeper = Timekeeper(self._clock, is_settled=bool(options["since"]))
        self._out: TextIO = sys.stderr if options["as_json"] else sys.stdout

    def run(self) -> int:
        """Do all of it; the exit code."""
        try:
            request, name, endpoint = self._request(), self._name(), self._endpoint()
            caller = FunctionClient(name, endpoint, self._credentials(), self._timekeeper)
        except CommandError as error:
            return self._tell(error)
        wait: int | None = self._options["wait"]
        deadline = Deadline(self._clock, self._began + (_PATIENCE if wait is None else wait))
        self._report = MergedReport(request)
        try:
            self._ask(caller, deadline)
            failure = self._incomplete()
        except CommandError as error:
            failure = error
        except KeyboardInterrupt:
            self._say(sys.stderr, "Stopped. The backups that have begun go on. To join them again:", self._again())
            return INTERRUPTED
        if self._options["as_json"]:
            told = {"message": str(failure), "hint": failure.hint} if failure else None
            sys.stdout.write(json.dumps(self._report.as_json(told), indent=2, ensure_ascii=False) + "\n")
        return self._tell(failure) if failure else self._conclude(wait)

    def _ask(self, caller: FunctionClient, deadline: Deadline) -> None:
        """Ask until all is known; anew, with another `since`, where this machine's clock turns out to be wrong."""
        try:
            with self._display() as display:
                rounds = Polling(self._report.request, caller.send, self._report, display, self._clock)
                rounds.run(deadline, wait=self._options["wait"] is not None)
        except WrongClockError as error:
            self._timekeeper.is_settled = True
            self._report = MergedReport(self._corrected(self._report.request, error))
            self._ask(caller, deadline)

    def _corrected(self, request: Request, error: WrongClockError) -> Request:
        """The request with the moment at which this command began by Function Compute's clock."""
        since = timestamps.from_epoch(int(self._began_at + error.ahead))
        wrong = f"{spoken(abs(error.ahead))} {'behind' if error.ahead > 0 else 'ahead of'} Function Compute's"
        used = f"Function Compute's is used: backups since {timestamps.render(since)} count."
        self._say(sys.stderr, f"This machine's clock is about {wrong}. {used}")
        return replace(request, since=since)

    def _incomplete(self) -> CommandError | None:
        """What went wrong with the request as a whole, though each instance that is known has its state."""
        problem = self._report.problem
        return CommandError(f"{problem.message} ({problem.code})", problem.hint or "") if problem else None

    def _conclude(self, wait: int | None) -> int:
        report = self._report
        if State.FAILED.value in report.counts:
            return 1
        if report.is_done:
            return 0
        if wait is None and report.has_pending:
            self._say(sys.stderr, "Some backups have not begun. To wait for them:", f"{self._again()} --wait 30m")
            return TIME_RAN_OUT
        if wait is None:
            self._say(self._out, "What is not over goes on by itself. To wait for it:", f"{self._again()} --wait 30m")
            return 0
        if not report.counts:
            what = "Time ran out and the function never answered: whether a backup has begun is not known. To find out:"
        else:
            what = "Time ran out; what has begun goes on. To join it again:"
        self._say(sys.stderr, what, self._again())
        return TIME_RAN_OUT

    def _request(self) -> Request:
        options, now = self._options, timestamps.from_epoch(self._began_at)
        fields = {
            "instance_ids": list(options["instances"]) or None,
            "tags": options["tags"] or None,
            "region": options["region"],
            "since": options["since"] or timestamps.render(now.replace(microsecond=0)),
            "max_age_minutes": options["max_age"] // 60,
            "retention_days": options["retention_days"],
            "reason": options["reason"],
            "dry_run": options["dry_run"],
        }
        return batches.read(fields, options["region"], now)

    def _name(self) -> FunctionName:
        options = self._options
        return FunctionName(options["region"], options["account"] or "*", options["function"], options["service"])

    def _endpoint(self) -> str:
        """Where Function Compute is. Raise RefusedError where that cannot be told."""
        try:
            endpoint = parse_endpoint(os.environ.get(_ENDPOINT, "").strip() or FC_ENDPOINT)
        except ValueError:
            raise RefusedError(
                f"{_ENDPOINT} is neither a host nor a URL",
                "{account} and {region} are filled in; unset it for the default",
            ) from None
        if "{account}" in endpoint and not self._options["account"]:
            raise RefusedError("which account does the function belong to?", "--account, or ALIBABA_CLOUD_ACCOUNT_ID")
        return endpoint

    @staticmethod
    def _credentials() -> CredentialChain:
        """A chain that has found some: what fails, should fail before anything is shown."""
        chain = CredentialChain()
        try:
            chain()
        except Unanswered as error:
            raise CommandError(str(error)) from None
        return chain

    def _display(self) -> LineProgress | LiveTable:
        if not can_redraw(self._out, os.environ):
            return LineProgress(self._report, self._out, self._clock, self._heading, self._elapsed)
        from .table import LiveTable

        return LiveTable(self._report, self._out, self._heading, self._elapsed)

    def _heading(self) -> str:
        options, since = self._options, timestamps.render(self._report.request.since)
        return f"{options['function']} in {options['region']}, backups since {since}"

    def _elapsed(self) -> str:
        return spoken(self._clock.monotonic() - self._began)

    def _again(self) -> str:
        """The command that joins this run's backups."""
        given: Sequence[str] = self._context.arguments
        if not self._options["since"]:
            given = [*given, "--since", timestamps.render(self._report.request.since)]
        return f"  {self._context.name} {shlex.join(given)}"

    def _tell(self, error: CommandError) -> int:
        self._say(sys.stderr, f"Error: {error}", *([f"  {error.hint}"] if error.hint else []))
        return error.exit_code

    @staticmethod
    def _say(stream: TextIO, *lines: str) -> None:
        stream.write("".join(f"{line}\n" for line in lines))
        stream.flush()

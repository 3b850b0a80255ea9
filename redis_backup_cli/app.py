"""One run of the command, from its options to its exit code."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO, cast

from redis_backup import timestamps
from redis_backup.alibaba.function_compute import FunctionName
from redis_backup.backoff import Deadline
from redis_backup.endpoints import FC_ENDPOINT, parse_endpoint
from redis_backup.runtime import SystemClock
from redis_backup.states import State

from . import batches, signals
from .checking import show_results
from .client import FunctionClient
from .clocks import Timekeeper, WrongClockError
from .credentials import CredentialChain
from .durations import format_duration
from .errors import CommandError, NoAnswerError, NotReachedError, RefusedError
from .hints import printable
from .polling import Display, Polling
from .progress import LineProgress, can_redraw
from .report import MergedReport
from .request import CommandRequest
from .values import describe_flaw

if TYPE_CHECKING:
    from .context import CliContext
    from .streams import SafeStream
    from .table import LiveTable

TIME_RAN_OUT = 3
REPORT_NOT_WRITTEN = 4
_ENDPOINT = "BACKUP_FC_ENDPOINT"
_TIMEOUT_WITHOUT_WAIT = 3600.0  # seconds
_TIMEOUT_OF_A_CHECK = 600.0  # seconds; of 1,000 instances, under throttling
_TIMEOUT_OF_ONE_CALL = 60.0  # seconds, for `--wait 0s`


class App:
    """Runs the command once. `options` are those of `cli.command`, by name."""

    def __init__(self, options: Mapping[str, Any], context: CliContext) -> None:
        self._options, self._context = options, context
        self._clock = context.clock or SystemClock()
        self._began, self._began_at = self._clock.monotonic(), self._clock.time()
        self._timekeeper = Timekeeper(self._clock, is_settled=bool(options["since"]))
        self._out = context.err if options["as_json"] else context.out  # for progress

    def check(self) -> int:
        """Let the function check itself, show what it found, and return the exit code."""
        self._timekeeper.is_settled = True  # no time of this machine's goes into the request
        out, options = self._out, self._options
        try:
            payload = batches.render_check(self._request())
            client = FunctionClient(self._function_name(), self._endpoint(), self._credentials(), self._timekeeper)
            _print(
                out, f"Checking {options['function']} in {options['region']}. This takes a minute or two at most.", ""
            )
            report = client.check(payload, Deadline(self._clock, self._began + _TIMEOUT_OF_A_CHECK))
        except NotReachedError as error:
            return self._fail_check(RefusedError(str(error), error.hint))
        except NoAnswerError as error:
            hint = f"check again; Function Compute is asked at {client.host}, by --region, --account or {_ENDPOINT}"
            return self._fail_check(CommandError(f"the function gave no answer: {error}", hint))
        except CommandError as error:
            return self._fail_check(error)
        except signals.Stopped as stopped:
            self._write_check({"ok": False, "checks": [], "error": {"message": f"stopped by {stopped}", "hint": ""}})
            _print(self._context.err, "Stopped. The check has started no backup.")
            return stopped.exit_code
        is_written = self._write_check(report.to_dict())
        stream = cast(TextIO, out)
        show_results(report.results, stream, in_colour=can_redraw(stream, os.environ))
        _print(out, "", report.summary)
        return 1 if not report.is_ok else 0 if is_written else REPORT_NOT_WRITTEN

    def _fail_check(self, error: CommandError) -> int:
        self._write_check({"ok": False, "checks": [], "error": {"message": str(error), "hint": error.hint}})
        return self._fail(error)

    def _write_check(self, report: Mapping[str, Any]) -> bool:
        """Write the result of a check to standard output, if `--json` asks for it. Return False if it cannot be."""
        return not self._options["as_json"] or self._write(report)

    def run(self) -> int:
        """Ask for the backups, wait for them if that is wanted, and return the exit code."""
        try:
            request, name, endpoint = self._request(), self._function_name(), self._endpoint()
            client = FunctionClient(name, endpoint, self._credentials(), self._timekeeper)
        except CommandError as error:
            return self._fail(error)
        wait: int | None = self._options["wait"]
        timeout = _TIMEOUT_WITHOUT_WAIT if wait is None else wait or _TIMEOUT_OF_ONE_CALL
        deadline = Deadline(self._clock, self._began + timeout)
        self._report = MergedReport(request)
        failure: CommandError | None = None
        try:
            try:
                self._poll(client, deadline)
                failure = self._request_error()
            except CommandError as error:
                failure = error
            signals.reset()  # what is left takes a moment; a signal ends it at once
        except signals.Stopped as stopped:
            return self._stop(stopped)
        is_written = self._write_json(failure)
        code = self._fail(failure) if failure else self._conclude(wait)
        return code or (0 if is_written else REPORT_NOT_WRITTEN)

    def _poll(self, client: FunctionClient, deadline: Deadline) -> None:
        """Send the request until all is known; again with another `since` where this machine's clock is wrong."""
        try:
            with self._shown() as display:
                polling = Polling(self._report.request, client.send, self._report, display, self._clock)
                wait: int | None = self._options["wait"]
                polling.run(deadline, wait=bool(wait), is_once=wait == 0)
        except WrongClockError as error:
            self._timekeeper.is_settled = True
            self._report = MergedReport(self._correct_since(self._report.request, error))
            self._poll(client, deadline)

    def _correct_since(self, request: CommandRequest, error: WrongClockError) -> CommandRequest:
        """Return the request with the time at which this command began by Function Compute's clock."""
        since = timestamps.from_epoch(int(self._began_at + error.ahead))
        how = "behind" if error.ahead > 0 else "ahead of"
        _print(
            self._context.err,
            f"This machine's clock is about {format_duration(abs(error.ahead))} {how} Function Compute's. "
            f"Function Compute's is used: backups since {timestamps.render(since)} count.",
        )
        return replace(request, since=since)

    def _request_error(self) -> CommandError | None:
        """Return the error of the request as a whole, which a report may have beside its instances."""
        problem = self._report.problem
        return CommandError(f"{problem.message} ({problem.code})", problem.hint or "") if problem else None

    def _write_json(self, failure: CommandError | None) -> bool:
        """Write the report to standard output, if `--json` asks for it. Return False where it could not be written.

        JSON is UTF-8 for all that reads it, whatever a locale says. So where standard output is not, everything but
        ASCII is written as escapes, which are the same bytes in every encoding.
        """
        if not self._options["as_json"]:
            return True
        if failure is None and not self._report.has_answer:
            failure = CommandError("the function never answered", self._wait_command().strip())
        return self._write(self._report.to_dict({"message": str(failure), "hint": failure.hint} if failure else None))

    def _write(self, report: Mapping[str, Any]) -> bool:
        """Write a report to standard output. Return False where it could not be written."""
        out = self._context.out
        _print(out, json.dumps(report, indent=2, ensure_ascii=not out.is_utf8, allow_nan=False))
        if out.has_failed:
            _print(self._context.err, "Error: the report could not be written to standard output.")
        return not out.has_failed

    def _conclude(self, wait: int | None) -> int:
        """Say what to do next, and return the exit code."""
        report, err = self._report, self._context.err
        if State.FAILED.value in report.counts:
            return 1
        if report.request.is_audit and (report.is_done or wait is None):
            return self._conclude_audit()
        if report.is_done or (wait is None and report.request.dry_run):
            return 0
        if wait is None and report.has_pending:
            _print(err, "Some backups have not started. To wait for them:", self._wait_command("--wait", "30m"))
            return TIME_RAN_OUT
        if wait is None:
            what = "The function goes on reading the backups" if report.is_only_read else "The backups go on"
            _print(self._out, f"{what}. To wait for them:", self._wait_command("--wait", "30m"))
            return 0
        _print(err, f"Time ran out. {self._what_goes_on()}", self._wait_command())
        return TIME_RAN_OUT

    def _conclude_audit(self) -> int:
        """Say how many instances have no backup that was read back, and return the exit code."""
        counts = self._report.counts
        missing = sum(counts.values()) - counts.get(State.SUCCEEDED.value, 0)
        if not missing:
            return 0
        have = "instance has" if missing == 1 else "instances have"
        since = timestamps.render(self._report.request.earliest_start)
        _print(
            self._context.err,
            f"{missing} {have} no backup since {since} that was read back as asked.",
            "  Without --dry-run, the function starts the backups that are missing, and reads what has not been read.",
        )
        return TIME_RAN_OUT

    def _stop(self, stopped: signals.Stopped) -> int:
        """Write what is known after a signal, and return the exit code."""
        self._write_json(CommandError(f"stopped by {stopped}", self._wait_command().strip()))
        _print(self._context.err, f"Stopped. {self._what_goes_on()}", self._wait_command())
        return stopped.exit_code

    def _what_goes_on(self) -> str:
        if not self._report.has_answer:
            return "The function never answered: it is not known whether a backup has started. To find out:"
        if self._report.is_only_read:
            return "The function goes on reading the backups. To wait for them again:"
        return "The backups that have started go on. To wait for them again:"

    def _request(self) -> CommandRequest:
        """Return the request that the options make. Raise RefusedError."""
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
            "check": options["check"],
            "verify": options["verify"],
            "copy": options["copy"],
        }
        return batches.read_fields(fields, options["region"], now)

    def _function_name(self) -> FunctionName:
        """Return the function to invoke. Raise RefusedError where the account is not an ID."""
        options, account = self._options, self._options["account"]
        if account and not (account.isascii() and account.isdigit()):
            raise RefusedError(
                "--account is not an account's ID, which has digits only", "the console shows it, top right"
            )
        return FunctionName(options["region"], account or "*", options["function"], options["service"])

    def _endpoint(self) -> str:
        """Return Function Compute's endpoint. Raise RefusedError where it is not known."""
        value = os.environ.get(_ENDPOINT, "")
        if flaw := describe_flaw(value):
            raise RefusedError(f"{_ENDPOINT} {flaw}", "no request was sent; set it again without that character")
        try:
            endpoint = parse_endpoint(value or FC_ENDPOINT)
        except ValueError:
            raise RefusedError(
                f"{_ENDPOINT} is neither a host nor a URL",
                "{account} and {region} are filled in; unset it for the default",
            ) from None
        if "{account}" in endpoint and not self._options["account"]:
            raise RefusedError("the account of the function is not known", "set --account or ALIBABA_CLOUD_ACCOUNT_ID")
        return endpoint

    @staticmethod
    def _credentials() -> CredentialChain:
        """Return a chain that has found credentials. Raise CommandError, before anything is shown, where it has not."""
        chain = CredentialChain()
        try:
            chain()
        except NoAnswerError as error:
            raise CommandError(str(error)) from None
        return chain

    @contextmanager
    def _shown(self) -> Iterator[Display]:
        """Show progress. On a terminal, no signal comes between hiding the cursor and what shows it again."""
        delayed = signals.delayed if self._out.isatty() else nullcontext  # a pipe that is full may block for ever
        display = self._display()
        error: BaseException | None = None  # of this block: sys.exc_info() would also give one that surrounds it
        try:
            with delayed():  # what comes meanwhile is raised at its end, inside of `try`
                display.__enter__()
            yield display
        except BaseException as raised:
            error = raised
            raise
        finally:
            with delayed():
                display.__exit__(error and type(error), error, None)

    def _display(self) -> LineProgress | LiveTable:
        stream = cast(TextIO, self._out)
        if not can_redraw(stream, os.environ):
            return LineProgress(self._report, stream, self._clock, self._heading, self._elapsed)
        from .table import LiveTable

        return LiveTable(self._report, stream, self._heading, self._elapsed)

    def _heading(self) -> str:
        options, since = self._options, timestamps.render(self._report.request.since)
        return f"{options['function']} in {options['region']}, backups since {since}"

    def _elapsed(self) -> str:
        return format_duration(self._clock.monotonic() - self._began)

    def _wait_command(self, *options: str) -> str:
        """Return the command that waits for this run's backups, with these options added, indented."""
        given = list(self._context.arguments)
        since = () if self._options["since"] else ("--since", timestamps.render(self._report.request.since))
        end = given.index("--") if "--" in given else len(given)  # what comes after it are instances
        return f"  {self._context.name} {shlex.join([*given[:end], *since, *options, *given[end:]])}"

    def _fail(self, error: CommandError) -> int:
        """Print an error with its hint, and return its exit code."""
        hint = [f"  {printable(error.hint)}"] if error.hint else []
        _print(self._context.err, f"Error: {printable(str(error))}", *hint)
        return error.exit_code


def _print(stream: SafeStream, *lines: str) -> None:
    stream.write("".join(f"{line}\n" for line in lines))
    stream.flush()

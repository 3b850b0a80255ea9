"""Invokes the function, once, and reads its answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from redis_backup.alibaba import api_errors, function_compute
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.function_compute import FunctionName, Reply
from redis_backup.backoff import Deadline
from redis_backup.credentials import Credentials

from .checking import CheckReport, read_check_report
from .clocks import Timekeeper
from .errors import CommandError, FunctionBrokenError, NoAnswerError, NotReachedError, RefusedError, from_api_error
from .report import Answer, read_answer

READ_TIMEOUT = 600.0  # seconds; a function's own time-out is shorter
_RAISED_ON_PURPOSE = ("InvalidSetting", "BackupFailed")  # by the function, with texts that hold no secrets
_TRANSIENT = ("BackupPending", "TimedOut", "Timeout", "ProcessExited", "OOM")  # of the function, and of the platform


class FunctionClient:
    """Invokes one function. `credentials` is called for each invocation, since temporary ones expire.

    `timekeeper` compares the clocks at each answer.
    """

    def __init__(
        self,
        name: FunctionName,
        endpoint: str,
        credentials: Callable[[], Credentials],
        timekeeper: Timekeeper,
    ) -> None:
        self._name, self._endpoint, self._credentials = name, endpoint, credentials
        self._timekeeper = timekeeper

    @property
    def host(self) -> str:
        """Return the host or URL of Function Compute: `1234567890123456.cn-hangzhou.fc.aliyuncs.com`."""
        return self._endpoint.format(account=self._name.account_id, region=self._name.region)

    def send(self, payload: bytes, deadline: Deadline) -> Answer:
        """Invoke the function and return its report. Raise NoAnswerError or CommandError."""
        reply, is_uncertain = self._invoke(payload, deadline)
        answer = _read_report(reply, self._name)
        if is_uncertain and answer.outcomes:
            # `since` has passed by now, so that a dry run for one instance is answered at once.
            probe = {"instance_ids": [min(answer.outcomes).key], "since": json.loads(payload)["since"], "dry_run": True}
            with suppress(NoAnswerError, RefusedError, FunctionBrokenError):
                self._invoke(json.dumps(probe).encode(), deadline)
            self._timekeeper.is_settled = True
        return answer

    def check(self, payload: bytes, deadline: Deadline) -> CheckReport:
        """Let the function check itself, and return what it found. Raise NoAnswerError or CommandError."""
        try:
            reply, _ = self._invoke(payload, deadline)
        except RefusedError as error:
            if "unknown field: check" in str(error):
                raise RefusedError("this version of the function has no check", "deploy this version again") from None
            raise
        try:
            return read_check_report(reply.body)
        except ValueError:
            raise NoAnswerError("the answer could not be read") from None
        except LookupError:
            raise RefusedError(
                f"the answer of the function {self._name.function} is not that of a check",
                "check --function: it names another function, or a version without the check; deploy it again",
            ) from None

    def _invoke(self, payload: bytes, deadline: Deadline) -> tuple[Reply, bool]:
        """Return the function's answer, and whether this machine's clock may still be wrong."""
        credentials, sent = self._credentials(), self._timekeeper.now()
        try:
            reply = function_compute.invoke(
                self._name,
                self._endpoint,
                credentials,
                payload,
                {"x-fc-invocation-type": "Sync"},
                deadline=deadline,
                read_timeout=READ_TIMEOUT,
            )
        except ApiError as error:
            if error.has_no_address:
                raise NotReachedError(self.host, self._name) from None
            raise from_api_error(error, self._name) from None
        is_uncertain = self._timekeeper.is_uncertain(reply.date, sent)
        if reply.error_type:
            raise _read_error(reply, credentials)
        return reply, is_uncertain


def _read_report(reply: Reply, name: FunctionName) -> Answer:
    try:
        return read_answer(reply.body)
    except (ValueError, LookupError) as error:
        # Cut off on its way, or a proxy's page.
        if isinstance(error, ValueError) and reply.body[:1] in (b"", b"{", b"<"):
            raise NoAnswerError("the answer could not be read") from None
        raise RefusedError(
            f"the answer of the function {name.function} is not a backup report",
            "check --function: it names another function, or a version that this command does not know",
        ) from None


def _read_error(reply: Reply, credentials: Credentials) -> CommandError | NoAnswerError:
    """Return the error for what the function raised, or for how its process ended."""
    try:
        error = json.loads(reply.body)
        kind, message = str(error["errorType"]), str(error["errorMessage"])
    except (ValueError, TypeError, KeyError):
        kind, message = reply.error_type, ""
    if kind == "InvalidRequest":
        return RefusedError(message.partition(" An event that works:")[0])
    if kind in _RAISED_ON_PURPOSE:
        return FunctionBrokenError(f"{kind}: {message}")
    message = api_errors.redact(message, credentials.secrets)
    if any(part in kind for part in _TRANSIENT):
        return NoAnswerError(f"the function ended without a report: {kind}: {message}")
    return FunctionBrokenError(f"the function raised {kind}: {message}", "see its log")

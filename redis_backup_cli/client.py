"""Calls the function, once, and makes sense of the answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress

from redis_backup.alibaba import api_errors, function_compute, lazy_sdk, sdk
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.function_compute import FunctionName, Reply
from redis_backup.backoff import Deadline
from redis_backup.credentials import Credentials

from .clocks import Timekeeper
from .errors import CommandError, FunctionBrokenError, RefusedError, Unanswered, of_call
from .report import Answer, read_answer

READ_TIMEOUT = 600.0  # seconds; a function's own time-out is shorter
_OWN = ("InvalidSetting", "BackupFailed")  # what the function raises on purpose: texts without secrets
_PASSING = ("BackupPending", "TimedOut", "Timeout", "ProcessExited", "OOM")  # of the function, and of the platform


class FunctionClient:
    """One function. `credentials` is asked at each call, since temporary ones expire.

    `timekeeper` compares the clocks at its answers.
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

    def send(self, payload: bytes, deadline: Deadline) -> Answer:
        """Invoke the function and wait for its report. Raise Unanswered or CommandError."""
        reply, is_in_doubt = self._invoke(payload, deadline)
        answer = _report(reply, self._name)
        if is_in_doubt and answer.outcomes:
            # A look at one instance is quick: `since` has come by now.
            look = {"instance_ids": [min(answer.outcomes).key], "since": json.loads(payload)["since"], "dry_run": True}
            with suppress(Unanswered, RefusedError, FunctionBrokenError):
                self._invoke(json.dumps(look).encode(), deadline)
            self._timekeeper.is_settled = True
        return answer

    def _invoke(self, payload: bytes, deadline: Deadline) -> tuple[Reply, bool]:
        """The function's answer, and whether it leaves in doubt if this machine's clock is right."""
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
            raise of_call(error, self._name) from None
        is_in_doubt = self._timekeeper.is_in_doubt(reply.date, sent)
        if reply.error_type:
            raise _raised(reply, credentials)
        return reply, is_in_doubt


class CredentialChain:
    """The SDK's default chain: environment, OIDC role, profile, instance role."""

    def __init__(self) -> None:
        sdk.silence()
        self._lock = threading.Lock()
        self._client = lazy_sdk.load("alibabacloud_credentials.client").Client()
        self._worked = False

    def __call__(self) -> Credentials:
        """Credentials that are good now. Raise RefusedError where there are none, Unanswered if there were before."""
        with self._lock:
            try:
                found = self._client.get_credential()
            except Exception as error:  # noqa: BLE001 - each provider raises its own, with texts that are not shown
                if self._worked:
                    raise Unanswered(f"the credentials could not be renewed ({type(error).__name__})") from None
                raise RefusedError(
                    "no credentials were found",
                    "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET (and "
                    "ALIBABA_CLOUD_SECURITY_TOKEN for temporary ones), or name a profile in ALIBABA_CLOUD_PROFILE",
                ) from None
            self._worked = True
            return Credentials(found.access_key_id, found.access_key_secret, found.security_token or "")


def _report(reply: Reply, name: FunctionName) -> Answer:
    try:
        return read_answer(reply.body)
    except (ValueError, LookupError) as error:
        # Cut off on its way, or a proxy's page.
        if isinstance(error, ValueError) and reply.body[:1] in (b"", b"{", b"<"):
            raise Unanswered("the answer could not be read") from None
        raise RefusedError(
            f"what the function {name.function} answered is no report of backups",
            "check --function: it names another function, or a version that this command does not know",
        ) from None


def _raised(reply: Reply, credentials: Credentials) -> CommandError | Unanswered:
    """What the function raised, or what became of it."""
    try:
        error = json.loads(reply.body)
        kind, message = str(error["errorType"]), str(error["errorMessage"])
    except (ValueError, TypeError, KeyError):
        kind, message = reply.error_type, ""
    if kind == "InvalidRequest":
        return RefusedError(message.partition(" An event that works:")[0])
    if kind in _OWN:
        return FunctionBrokenError(f"{kind}: {message}")
    message = api_errors.redact(message, credentials.secrets)
    if any(part in kind for part in _PASSING):
        return Unanswered(f"the function ended without a report: {kind}: {message}")
    return FunctionBrokenError(f"the function raised {kind}: {message}", "its log has the whole story")

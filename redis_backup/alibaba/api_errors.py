"""What an API's error means: its kind by its code (never by the HTTP status), and what to do about it.

Codes: R-KVStore's error centre and public code; sibling products prefix them, so `X` also matches `Prefix.X`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from redis_backup.states import ErrorKind, Problem

BACKUP_RUNS = ("BackupJobExists",)
WRONG_TYPE = ("InstanceType.NotSupport", "IncorrectDBInstanceType", "IncorrectEngineVersion")
EXPIRED = "InvalidSecurityToken"  # and what follows a dot: the invocation's credentials have ended
CHANGING = ("IncorrectDBInstanceState", "InstanceStatus.NotSupport", "OperationDenied.DBInstanceStatus")
_THROTTLED = ("ResourceExhausted", "ResourceThrottled", "TooManyRequests")  # Function Compute's own
_TRANSIENT = ("ServiceUnavailable", "ServerBusy", "LockTimeout", "InternalError", "TaskExists", "TaskHasExist")
_NOT_FOUND = ("InvalidInstanceId.NotFound", "InvalidDbInstanceId.NotFound", "DBInstanceNotFound")
_DENIED = ("Forbidden.RAM", "NoPermission", "AccessDenied", "Forbidden")
_PERMANENT = (
    *_NOT_FOUND,
    *_DENIED,
    *WRONG_TYPE,
    "IncorrectDBInstanceLockMode",
    "BackupTimesExceeded",
    "InvalidBackupRetentionPeriod.Malformed",
)
# Their messages quote what was signed, the security token included: never shown.
_CREDENTIALS = ("SignatureDoesNotMatch", "IncompleteSignature", "InvalidAccessKeyId", EXPIRED)

BUSY_HINT = "an older backup of the instance still runs; this request starts its own when that has ended"
CHANGING_HINT = "the instance is being created or changed; the backup starts when its status is Normal again"
THROTTLED_HINT = (
    "it is tried again, in this invocation or the next; where that recurs, ask Alibaba Cloud for a higher quota, "
    "or spread the requests over time"
)
_HINTS = {
    BACKUP_RUNS: BUSY_HINT,
    CHANGING: CHANGING_HINT,
    _NOT_FOUND: "no instance of this ID in region {region}: check the ID, or name another region as REGION/{instance}",
    ("BackupTimesExceeded",): "the day's manual backups of this instance are used up (30); it can go on tomorrow",
    WRONG_TYPE: "this type or version of instance cannot be backed up by CreateBackup: take it out of the request",
    (
        "IncorrectDBInstanceLockMode",
    ): "the instance is locked (expired, or its disk is full): unlock it, then ask again",
    ("InvalidBackupRetentionPeriod.Malformed",): "correct retention_days: 7 to 730, or -1",
}


class ApiError(Exception):
    """A call failed. `retry_after`: seconds that the API asks to wait, where it does; `status`: of HTTP, 0 for none."""

    def __init__(self, problem: Problem, *, retry_after: float | None = None, status: int = 0) -> None:
        super().__init__(f"{problem.code}: {problem.message}")
        self.problem, self.retry_after, self.status = problem, retry_after, status

    @property
    def kind(self) -> ErrorKind:
        """What can be done about it."""
        return self.problem.kind

    @property
    def is_not_found(self) -> bool:
        """Whether the API knows no such instance."""
        return self.is_one_of(_NOT_FOUND)

    def is_one_of(self, codes: Iterable[str]) -> bool:
        """Whether its code is one of these, prefixed or not."""
        return matches(self.problem.code, codes)


def matches(code: str, codes: Iterable[str]) -> bool:
    """`code == X or code.endswith("." + X)` for one of them."""
    return any(code == known or code.endswith(f".{known}") for known in codes)


def error_kind(code: str, status: int) -> ErrorKind:
    """The kind of an answer that was JSON and had a code, or `""` for none.

    A code that nobody listed is a definite refusal below 500, and an unknown outcome above.
    """
    if code.startswith("Throttling") or ".Throttling" in code or matches(code, _THROTTLED):
        return ErrorKind.THROTTLED
    if matches(code, (*BACKUP_RUNS, *CHANGING)):
        return ErrorKind.BUSY
    if matches(code, _TRANSIENT):
        return ErrorKind.TRANSIENT
    if matches(code, _PERMANENT) or code.startswith(("Missing", *_CREDENTIALS)) or (code and 400 <= status < 500):
        return ErrorKind.PERMANENT
    return ErrorKind.UNKNOWN


def problem_of(
    code: str,
    status: int,
    message: str,
    request_id: str | None,
    *,
    action: str,
    resource: str,
    denied: Mapping[str, Any] | None = None,
    secrets: Iterable[str] = (),
) -> Problem:
    """Turn an error answer into what people see. `action`, `resource`: what RAM has to allow for the call."""
    kind = error_kind(code, status)
    if code.startswith(_CREDENTIALS):
        message = "the API refused the signature or the token of the function's credentials"
        hint: str | None = "check that the function still has its role and that its clock is right; then ask again"
    elif denied or matches(code, _DENIED):
        message = f"RAM does not allow {action} on {resource}"
        explicit = str((denied or {}).get("NoPermissionType", "")).startswith("Explicit")
        hint = (
            f"a policy denies {action} on {resource} explicitly: remove that"
            if explicit
            else f"grant {action} on {resource} to the function's role"
        )
    else:
        message = redact(message, secrets)
        region, instance = (resource.split(":") + [""] * 4)[2], resource.rpartition("/")[2]
        hint = next((text for codes, text in _HINTS.items() if matches(code, codes)), None)
        hint = THROTTLED_HINT if kind is ErrorKind.THROTTLED else hint
        hint = hint.format(region=region, instance=instance) if hint else None
    request_id = redact(str(request_id), secrets)[:80] if request_id else None
    return Problem(redact(code, secrets)[:100] or "NoCode", message, kind, request_id, hint)


def redact(text: str, secrets: Iterable[str]) -> str:
    """A server's message without what it must not show: known secrets, queries of URLs, and all that looks like a key.

    By shape and not by name: 40 or more characters of a token's alphabet in a row are no instance, region or ARN.
    """
    for secret in secrets:
        text = text.replace(secret, "***")
    text = re.sub(r"(https?://[^\s?]+)\?\S*", r"\1?***", text)
    text = re.sub(r"[A-Za-z0-9+/=_%-]{40,}", "***", text)
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    return text if len(text) <= 300 else text[:299] + "…"

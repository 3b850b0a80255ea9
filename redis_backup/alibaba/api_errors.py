"""Say what an API's error means: its kind, by its code and not by the HTTP status, and what to do about it.

The codes are R-KVStore's (https://api.alibabacloud.com/document/R-kvstore/2015-01-01/errorCode) and those that public
code handles. Related products put a prefix before them, so `X` also matches `Prefix.X`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from redis_backup.states import ErrorKind, Problem

BACKUP_RUNS = ("BackupJobExists",)
WRONG_TYPE = ("InstanceType.NotSupport", "IncorrectDBInstanceType", "IncorrectEngineVersion")
EXPIRED = "InvalidSecurityToken"  # also with a dot and more after it: the invocation's credentials have expired
CHANGING = ("IncorrectDBInstanceState", "InstanceStatus.NotSupport", "OperationDenied.DBInstanceStatus")
_THROTTLED = ("ResourceExhausted", "ResourceThrottled", "TooManyRequests")  # Function Compute's own
_TRANSIENT = (
    "ServiceUnavailable",
    "ServerBusy",
    "LockTimeout",
    "InternalError",
    "TaskExists",
    "TaskHasExist",
    "InvalidDigest",
)
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
# R-KVStore's and OSS's (SignatureDoesNotMatch, …) and Function Compute's (SignatureNotMatch, …). The messages of some
# quote what was signed, with the security token. They are never shown.
_CREDENTIALS = (
    *("InvalidTimeStamp", "IllegalTimestamp", "RequestTimeTooSkewed", "Signature", "IncompleteSignature"),
    *("InvalidAccessKey", "SecurityTokenExpired", EXPIRED),
)

_DENIAL = "RAM does not allow"
NO_ADDRESS = "its host name has no address"
BUSY_HINT = "an older backup of the instance is still running; this request starts a new one when that has ended"
CHANGING_HINT = "the instance is being created or changed; the backup starts when its status is Normal again"
THROTTLED_HINT = (
    "the call is tried again, in this invocation or the next one; if this happens often, ask Alibaba Cloud for a "
    "higher quota, or spread the requests over time"
)
_HINTS = {
    BACKUP_RUNS: BUSY_HINT,
    CHANGING: CHANGING_HINT,
    _NOT_FOUND: "no instance in region {region} has this ID; check the ID, or name another region as REGION/{instance}",
    (
        "BackupTimesExceeded",
    ): "the instance has used its 30 manual backups of this day; send the request again tomorrow",
    WRONG_TYPE: "CreateBackup does not support this type or version of instance; remove it from the request",
    (
        "IncorrectDBInstanceLockMode",
    ): "the instance is locked (expired, or its disk is full); unlock it, then send the request again",
    ("InvalidBackupRetentionPeriod.Malformed",): "set retention_days to 7 to 730, or -1",
}


class ApiError(Exception):
    """A call failed. `retry_after`: the seconds that the API asks to wait, or None; `status`: HTTP's, 0 if unknown."""

    def __init__(self, problem: Problem, *, retry_after: float | None = None, status: int = 0) -> None:
        super().__init__(f"{problem.code}: {problem.message}")
        self.problem, self.retry_after, self.status = problem, retry_after, status

    @property
    def kind(self) -> ErrorKind:
        """Return what can be done about it."""
        return self.problem.kind

    @property
    def is_not_found(self) -> bool:
        """Return whether the API does not know the instance."""
        return self.is_one_of(_NOT_FOUND)

    @property
    def has_no_address(self) -> bool:
        """Return whether the host's name could not be resolved, so that the call was certainly not sent."""
        return self.problem.message.endswith(NO_ADDRESS)

    @property
    def is_denied(self) -> bool:
        """Return whether RAM does not allow the call."""
        return self.problem.message.startswith(_DENIAL)

    @property
    def is_about_credentials(self) -> bool:
        """Return whether the API refused the credentials themselves, so that every call would fail."""
        return self.problem.code.startswith(_CREDENTIALS)

    def is_one_of(self, codes: Iterable[str]) -> bool:
        """Return whether its code is one of these, with or without a prefix."""
        return matches(self.problem.code, codes)


def matches(code: str, codes: Iterable[str]) -> bool:
    """Return whether the code is one of these, with or without a prefix.

    `"OperationDenied.BackupJobExists", ["BackupJobExists"]` → True.
    """
    return any(code == known or code.endswith(f".{known}") for known in codes)


def error_kind(code: str, status: int) -> ErrorKind:
    """Return the kind of an error answer in JSON, by its code (`""` if it has none) and its HTTP status.

    `"Throttling.User", 400` → THROTTLED. A code that is not known is PERMANENT with a status below 500, else UNKNOWN.
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
    """Turn an error answer into what people see. `action` and `resource`: what RAM has to allow for the call."""
    kind = error_kind(code, status)
    if code.startswith(_CREDENTIALS):
        message = "the API refused the signature or the token of the function's credentials"
        hint: str | None = (
            "check that the function still has its role and that its clock is right; then send the request again"
        )
    elif denied or matches(code, _DENIED):
        message = f"{_DENIAL} {action} on {resource}"
        explicit = str((denied or {}).get("NoPermissionType", "")).startswith("Explicit")
        hint = (
            f"a policy explicitly denies {action} on {resource}; remove that statement"
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
    """Remove from a server's message what must not be shown, and cut it to 300 characters.

    `"see https://oss/x?Signature=abc", ["my-key"]` → `"see https://oss/x?***"`. Removed are the known secrets, the
    queries of URLs, and every 40 or more characters in a row that look like a key; no instance, region or ARN does.
    """
    for secret in secrets:
        text = text.replace(secret, "***")
    text = re.sub(r"(https?://[^\s?]+)\?\S*", r"\1?***", text)
    text = re.sub(r"[A-Za-z0-9+/=_%-]{40,}", "***", text)
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    return text if len(text) <= 300 else text[:299] + "…"

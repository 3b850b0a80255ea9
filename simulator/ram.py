"""Resource Access Management: may this action be done on this resource, by these policy documents?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from simulator.errors import ApiError

Policy = Mapping[str, Any]
DIAGNOSTIC_SECRET = "SECRETDIAGNOSTIC" + "AQEAAAAAZvSimulated0Encoded1Diagnostic2Message3" * 12
OPERATIONS = (
    "CreateBackup",
    "DescribeBackups",
    "DescribeBackupTasks",
    "DescribeClusterBackupList",
    "DescribeInstances",
    "DescribeInstanceAttribute",
)


def allow(actions: Iterable[str], resources: Iterable[str], effect: str = "Allow") -> Policy:
    """A policy document of one statement."""
    statement = {"Effect": effect, "Action": list(actions), "Resource": list(resources)}
    return {"Version": "1", "Statement": [statement]}


def function_policy(account: str, function_resource: str) -> Policy:
    """What the function's role needs: the six operations on every instance, and to invoke itself."""
    backups = allow((f"kvstore:{name}" for name in OPERATIONS), [f"acs:kvstore:*:{account}:instance/*"])
    itself = allow(["fc:InvokeFunction"], [function_resource])
    return {"Version": "1", "Statement": [*backups["Statement"], *itself["Statement"]]}


def is_allowed(policies: Iterable[Policy], action: str, resource: str) -> bool:
    """True when some statement allows it and none denies it."""
    allowed = False
    for policy in policies:
        for statement in policy.get("Statement", ()):
            if not (_any(statement.get("Action"), action, True) and _any(statement.get("Resource"), resource, False)):
                continue
            if statement.get("Effect") == "Deny":
                return False
            allowed = True
    return allowed


def denial(action: str, resource: str, *, code: str = "Forbidden.RAM", secret: str = DIAGNOSTIC_SECRET) -> ApiError:
    """The answer to a call that no policy allows."""
    detail = {
        "AuthAction": action,
        "AuthPrincipalType": "AssumedRoleUser",
        "AuthPrincipalOwnerId": resource.split(":")[3] if resource.count(":") > 3 else "",
        "AuthPrincipalDisplayName": "simulated-role:session",
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "ResourceGroupLevelIdentityBasedPolicy",
        "EncodedDiagnosticMessage": secret,
    }
    message = f"You are not authorized to do this operation. Action: {action}. Resource: {resource}."
    return ApiError(403, code, message, {"AccessDeniedDetail": detail})


def _any(patterns: str | list[str] | None, value: str, fold: bool) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else patterns or []
    return any(_compiled(pattern, fold).fullmatch(value) for pattern in patterns)


@lru_cache(maxsize=4096)
def _compiled(pattern: str, fold: bool) -> re.Pattern[str]:
    """A policy's pattern: `*` is any text, `?` one character; actions are matched without regard to case."""
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.IGNORECASE if fold else 0)

"""Resource Access Management (RAM): whether policy documents allow an action on a resource."""

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
    """Return a policy document with one statement."""
    statement = {"Effect": effect, "Action": list(actions), "Resource": list(resources)}
    return {"Version": "1", "Statement": [statement]}


def function_policy(account: str, function_resource: str, store: str = "") -> Policy:
    """Return the policy that the function's role needs: six operations on every instance, and invoking itself.

    `store`: what its setting BACKUP_STORE names, such as `oss://backups/redis`, where it writes, reads and lists.
    """
    backups = allow((f"kvstore:{name}" for name in OPERATIONS), [f"acs:kvstore:*:{account}:instance/*"])
    itself = allow(["fc:InvokeFunction"], [function_resource])
    policies = [backups, itself, *(store_policies(store) if store else ())]
    return {"Version": "1", "Statement": [statement for policy in policies for statement in policy["Statement"]]}


def store_policies(store: str) -> list[Policy]:
    """Return what the function needs of its store: operations on objects below its prefix, and two lists."""
    path = store.removeprefix("oss://").rstrip("/")
    objects = [f"oss:{name}" for name in ("PutObject", "GetObject", "AbortMultipartUpload")]
    lists = [f"oss:{name}" for name in ("ListMultipartUploads", "ListObjects")]
    return [
        allow(objects, [f"acs:oss:*:*:{path}/*"]),
        allow(lists, [f"acs:oss:*:*:{path.partition('/')[0]}"]),
    ]


def is_allowed(policies: Iterable[Policy], action: str, resource: str) -> bool:
    """Return whether a statement allows the action on the resource, and none denies it."""
    allowed = False
    for policy in policies:
        for statement in policy.get("Statement", ()):
            actions, resources = statement.get("Action"), statement.get("Resource")
            if not (_matches(actions, action, ignore_case=True) and _matches(resources, resource)):
                continue
            if statement.get("Effect") == "Deny":
                return False
            allowed = True
    return allowed


def denial(action: str, resource: str, *, code: str = "Forbidden.RAM", secret: str = DIAGNOSTIC_SECRET) -> ApiError:
    """Return the error for a call that no policy allows, with the fields that RAM adds to it."""
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


def _matches(patterns: str | list[str] | None, value: str, ignore_case: bool = False) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else patterns or []
    return any(_compile(pattern, ignore_case).fullmatch(value) for pattern in patterns)


@lru_cache(maxsize=4096)
def _compile(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    """Return a policy's pattern as a regular expression: `*` is any string, `?` any character."""
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.IGNORECASE if ignore_case else 0)

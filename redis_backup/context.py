"""Read what FC's `context` and the environment say about this invocation: function, account, region, credentials."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redis_backup import timestamps
from redis_backup.credentials import Credentials
from redis_backup.errors import InvalidSetting
from redis_backup.runtime import Clock

_DEFAULT_TIMEOUT = 60.0  # seconds; assumed if the context has none


@dataclass(frozen=True)
class Context:
    """One invocation of the function.

    `started` is in seconds of the monotonic clock, `timeout` in seconds, `memory` in MB (0 if it is not known);
    `service` is empty on FC 3.0.
    """

    request_id: str
    region: str
    account_id: str
    function: str
    service: str
    qualifier: str
    credentials: Credentials
    started: float
    timeout: float
    memory: int = 0

    @property
    def stop_work_at(self) -> float:
        """Return when to start nothing more: the rest of the time is for records, follow-ups and the answer."""
        return self.started + self.timeout - min(15.0, max(1.0, self.timeout * 0.15))

    @property
    def stop_sending_at(self) -> float:
        """Return when to stop sending follow-ups too."""
        return self.started + self.timeout - min(3.0, max(0.5, self.timeout * 0.05))

    def require_credentials(self) -> None:
        """Raise InvalidSetting if the invocation has no credentials at all."""
        if not self.credentials.are_complete:
            raise InvalidSetting("the function has no credentials: give it a RAM role (`role` in s.yaml)")

    @classmethod
    def from_runtime(cls, context: Any, environ: Mapping[str, str], clock: Clock) -> Context:
        """Read FC's context, which differs between runtimes (python3.12's has no credentials and no service).

        The context's credentials come first: those of the environment are as old as the function's instance.
        """

        def read(path: str, variable: str = "") -> str:
            value = context
            for name in path.split("."):
                value = getattr(value, name, None)
            return str(value or environ.get(variable, "") or "")

        key = read("credentials.access_key_id")
        if key:
            credentials = Credentials(key, read("credentials.access_key_secret"), read("credentials.security_token"))
        else:
            credentials = Credentials(
                environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", ""),
                environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ""),
                environ.get("ALIBABA_CLOUD_SECURITY_TOKEN", ""),
            )
        timeout = _number(read("function.timeout"))
        return cls(
            request_id=read("request_id") or "unknown",
            region=read("region", "FC_REGION"),
            account_id=read("account_id", "FC_ACCOUNT_ID"),
            function=read("function.name", "FC_FUNCTION_NAME"),
            service=read("service.name", "FC_SERVICE_NAME"),
            qualifier=_qualifier(read),
            credentials=credentials,
            started=clock.monotonic(),
            timeout=timeout if timeout > 0 else _DEFAULT_TIMEOUT,
            memory=int(_number(read("function.memory", "FC_FUNCTION_MEMORY_SIZE"))),
        )


def _number(text: str) -> float:
    """Return the number in a string, 0 if there is none: `"512"` → 512.0."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _qualifier(read: Callable[[str, str], str]) -> str:
    """Return the alias or version by which this invocation came, or an empty string for LATEST.

    Only the context names an alias. Without it (python3.12), the environment has the version: `FC_FUNCTION_VERSION`,
    or `FC_VER_ID` on Debian 10. The version of LATEST is 0 in Function Compute's API.
    https://www.alibabacloud.com/help/en/functioncompute/fc/environment-variables
    """
    for path, variable in (
        ("service.qualifier", "FC_QUALIFIER"),
        ("service.version_id", "FC_FUNCTION_VERSION"),
        ("", "FC_VER_ID"),
    ):
        if name := read(path, variable):
            return "" if name in ("LATEST", "0") else name
    return ""


def request_time(request_id: str, now: datetime) -> datetime | None:
    """Return the time in a request ID of FC 3.0, None if it has none.

    `"1-64f7449a-127fbe39cd76"` → 2023-09-05T15:09:14Z: the second part is the time in hexadecimal seconds. No document
    says so. Therefore a time in the future (by more than clocks differ), or older than an asynchronous event can be
    (7 days), does not count.
    """
    match = re.fullmatch(r"1-([0-9a-f]{8})-[0-9a-f]+", request_id)
    if not match:
        return None
    moment = timestamps.from_epoch(int(match[1], 16))
    return moment if timedelta(seconds=-30) <= now - moment <= timedelta(days=7) else None

"""Invoke a function by Function Compute's API, of FC 2.0 and of FC 3.0.

`aliyun-fc2` calls FC 2.0 (with services), `alibabacloud-tea-openapi` calls FC 3.0. A task ID makes an asynchronous
invocation idempotent: FC answers a second one with 409.
https://www.alibabacloud.com/help/en/functioncompute/fc/user-guide/asynchronous-task
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis_backup.alibaba import adapters, lazy_sdk, sdk, sdk_errors
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.backoff import Deadline
from redis_backup.context import Context
from redis_backup.credentials import Credentials

MAX_ASYNC_PAYLOAD = 128 * 1024  # bytes (FC's limits)
MAX_DELAY = 3600  # seconds


@dataclass(frozen=True)
class FunctionName:
    """Which function. `service` is empty on FC 3.0; `qualifier` (a version or an alias) is empty if there is none."""

    region: str
    account_id: str
    function: str
    service: str = ""
    qualifier: str = ""

    @classmethod
    def from_context(cls, context: Context) -> FunctionName:
        """Return the function of this invocation."""
        return cls(context.region, context.account_id, context.function, context.service, context.qualifier)

    @property
    def resource(self) -> str:
        """Return the resource on which RAM has to allow `fc:InvokeFunction`."""
        name = f"functions/{self.function}"
        if self.service:
            name = f"services/{self.service}{'.' if self.qualifier else ''}{self.qualifier}/{name}"
        elif self.qualifier:
            name = f"{name}/{self.qualifier}"
        return f"acs:fc:{self.region}:{self.account_id}:{name}"


@dataclass(frozen=True)
class Reply:
    """A function's answer. `error_type` is set if the function raised; `date` is the answer's header of that name."""

    body: bytes
    error_type: str = ""
    date: str = ""


def invoke_async(
    name: FunctionName,
    endpoint: str,
    credentials: Credentials,
    payload: bytes,
    *,
    task_id: str,
    delay: int,
    deadline: Deadline,
) -> bool:
    """Invoke asynchronously, `delay` seconds from now. Return False if the task ID was used before. Raise ApiError."""
    id_header = "x-fc-stateful-async-invocation-id" if name.service else "x-fc-async-task-id"
    headers = {"x-fc-invocation-type": "Async", id_header: task_id}
    if delay:
        headers["x-fc-async-delay"] = str(delay)
    try:
        reply = invoke(name, endpoint, credentials, payload, headers, deadline=deadline, read_timeout=sdk.READ_TIMEOUT)
    except ApiError as error:
        if error.status == 409 or "AlreadyExist" in error.problem.code:  # one document says 400
            return False
        raise
    if reply.body and not _is_json(reply.body):  # for example a proxy's page; FC's own answer has no body
        raise sdk_errors.unreadable("InvokeFunction")
    return True


def invoke(
    name: FunctionName,
    endpoint: str,
    credentials: Credentials,
    payload: bytes,
    headers: Mapping[str, str],
    *,
    deadline: Deadline,
    read_timeout: float,
) -> Reply:
    """Invoke once and return the answer. Raise ApiError if there is none."""
    host = endpoint.format(account=name.account_id, region=name.region)
    send = _send_2_0 if name.service else _send_3_0
    return sdk.call(
        lambda options: send(name, host, credentials, payload, dict(headers), options),
        deadline,
        action="fc:InvokeFunction",
        resource=name.resource,
        secrets=credentials.secrets,
        read_timeout=read_timeout,
    )


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _send_2_0(
    name: FunctionName, endpoint: str, credentials: Credentials, payload: bytes, headers: dict[str, str], options: Any
) -> Reply:
    client = sdk.fc2_client(credentials, endpoint, timeout=options.read_timeout / 1000)
    try:
        answer = client.invoke_function(
            name.service, name.function, payload=payload, headers=headers, qualifier=name.qualifier or None
        )
    except lazy_sdk.load("fc2.fc_exceptions").FcError as error:
        if error.status_code != 200:
            raise
        # aliyun-fc2 raises this for an error of the function itself.
        return Reply(error.message.encode(), "UnhandledInvocationError", adapters.last_date())
    return Reply(answer.data, answer.headers.get("x-fc-error-type", ""), answer.headers.get("date", ""))


def _send_3_0(
    name: FunctionName, endpoint: str, credentials: Credentials, payload: bytes, headers: dict[str, str], options: Any
) -> Reply:
    answer = sdk.generic_client(credentials, name.region, endpoint).call_api(
        *sdk.roa_call(
            "InvokeFunction",
            "2023-03-30",
            f"/2023-03-30/functions/{name.function}/invocations",
            query={"qualifier": name.qualifier} if name.qualifier else {},
            headers=headers,
            payload=payload,
        ),
        options,
    )
    headers_back = answer["headers"]
    return Reply(answer["body"] or b"", headers_back.get("x-fc-error-type", ""), headers_back.get("date", ""))

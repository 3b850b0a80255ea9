"""How functions are invoked over HTTP, on the paths of both generations."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from simulator.errors import ApiError
from simulator.gateway import Target
from simulator.server import Request, Response

if TYPE_CHECKING:
    from simulator.fc.platform import Platform

GENERATION_2 = re.compile(r"/2016-08-15/services/([^/]+)/functions/([^/]+)/invocations")
GENERATION_3 = re.compile(r"/2023-03-30/functions/([^/]+)/invocations")
PATHS = ("/2016-08-15/", "/2023-03-30/")
TASK_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
TASK_ID_HEADERS = ("x-fc-async-task-id", "x-fc-stateful-async-invocation-id")
MAX_SYNC_PAYLOAD = 32 * 1024 * 1024
MAX_ASYNC_PAYLOAD = 128 * 1024
MAX_DELAY = 3600  # seconds


class FunctionWire:
    """The service as the gateway sees it."""

    denial_code = "AccessDenied"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def target(self, request: Request) -> Target:
        """Raise ApiError when the path names no invocation, or the wrong signature is on it."""
        config = self._platform.config
        signature = request.headers.get("authorization", "").partition(" ")[0]
        if match := GENERATION_2.fullmatch(request.path):
            inside, expected = f"services/{unquote(match[1]).partition('.')[0]}/", "FC"
        elif match := GENERATION_3.fullmatch(request.path):
            inside, expected = "", "ACS3-HMAC-SHA256"
        else:
            raise ApiError(404, "PathNotSupported", f"path {request.path} is not supported")
        if signature != expected:
            raise ApiError(403, "SignatureNotMatch", f"this path takes a signature of the kind {expected}")
        function = unquote(match[match.lastindex or 1])
        resource = f"acs:fc:{request.region or config.region}:{config.account}:{inside}functions/{function}"
        return Target("InvokeFunction", function, request.region, "fc:InvokeFunction", resource)

    @property
    def clock_offset(self) -> float:
        return self._platform.clock_offset

    def perform(  # the function has an ID of its own, and delays have their header
        self,
        target: Target,  # noqa: ARG002
        request: Request,
        request_id: str,  # noqa: ARG002
        delay: float = 0.0,  # noqa: ARG002
    ) -> Response:
        kind = request.headers.get("x-fc-invocation-type", "Sync")
        if kind not in ("Sync", "Async"):
            raise ApiError(400, "InvalidArgument", f"x-fc-invocation-type is Sync or Async, not {kind!r}")
        limit = MAX_ASYNC_PAYLOAD if kind == "Async" else MAX_SYNC_PAYLOAD
        if len(request.body) > limit:
            message = f"payload size exceeds the limit of {limit} bytes of this invocation type"
            raise ApiError(413, "PayloadTooLarge", message)
        return self._queue(request) if kind == "Async" else self._run(request)

    def refuse(self, error: ApiError, request: Request, request_id: str) -> Response:
        names = {"Code": error.code, "Message": error.message, "RequestId": request_id, **error.details}
        if request.path.startswith(PATHS[0]):
            names = {"ErrorCode": error.code, "ErrorMessage": error.message}
        headers = {"Content-Type": "application/json", "X-Fc-Request-Id": request_id, **error.headers}
        return Response(error.status, json.dumps(names).encode(), headers)

    def find(self, target: Target, request: Request) -> None:
        """Raise ApiError (404) unless the path names the function as its generation is named."""
        config, function = self._platform.config, target.instance
        if match := GENERATION_2.fullmatch(request.path):
            service = unquote(match[1]).partition(".")[0]
            if config.generation != 2 or service != config.service:
                raise ApiError(404, "ServiceNotFound", f"service '{service}' does not exist")
        elif config.generation != 3:
            raise ApiError(404, "FunctionNotFound", f"function '{function}' does not exist")
        if function != config.name:
            raise ApiError(404, "FunctionNotFound", f"function '{function}' does not exist")

    def _queue(self, request: Request) -> Response:
        delay = request.headers.get("x-fc-async-delay", "0")
        if not delay.isdigit() or int(delay) > MAX_DELAY:
            raise ApiError(400, "InvalidArgument", f"x-fc-async-delay is at most {MAX_DELAY} seconds, not {delay!r}")
        task_id = next((request.headers[name] for name in TASK_ID_HEADERS if name in request.headers), None)
        if task_id is not None and not TASK_ID.fullmatch(task_id):
            raise ApiError(400, "InvalidArgument", f"a task ID matches {TASK_ID.pattern}, unlike {task_id!r}")
        own_id = self._platform.invoke_async(request.body, delay=float(delay), task_id=task_id)
        return Response(202, b"", {"X-Fc-Request-Id": own_id, "X-Fc-Invocation-Type": "Async"})

    def _run(self, request: Request) -> Response:
        invocation = self._platform.invoke(request.body)
        headers = {"Content-Type": "application/json", "X-Fc-Request-Id": invocation.request_id}
        if invocation.error:
            unhandled = not (invocation.killed or invocation.timed_out)
            kind = "UnhandledInvocationError" if unhandled else invocation.error["errorType"]
            headers["X-Fc-Error-Type"] = kind
        return Response(200, invocation.body, headers)

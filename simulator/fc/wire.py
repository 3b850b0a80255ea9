"""Function Compute's HTTP interface: invocations, on the paths of both generations."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from simulator.fc import errors
from simulator.gateway import Target
from simulator.server import Request, Response

if TYPE_CHECKING:
    from simulator.errors import ApiError
    from simulator.fc.operations import FunctionCompute

GENERATION_2 = re.compile(r"/2016-08-15/services/([^/]+)/functions/([^/]+)/invocations")
GENERATION_3 = re.compile(r"/2023-03-30/functions/([^/]+)/invocations")
PATHS = ("/2016-08-15/", "/2023-03-30/")
TASK_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
TASK_ID_HEADERS = ("x-fc-async-task-id", "x-fc-stateful-async-invocation-id")
MAX_SYNC_PAYLOAD = 32 * 1024 * 1024
MAX_ASYNC_PAYLOAD = 128 * 1024
MAX_DELAY = 3600  # seconds


class FunctionComputeWire:
    """Function Compute, as the gateway calls it (`simulator.gateway.Service`)."""

    denial_code = "AccessDenied"
    unknown_key = staticmethod(errors.unknown_key)
    wrong_signature = staticmethod(errors.wrong_signature)

    def __init__(self, service: FunctionCompute) -> None:
        self._service = service

    def target(self, request: Request) -> Target:
        """Return the function that a request invokes. Raise ApiError for another path, or a wrong kind of signature."""
        config = self._service.config
        signature = request.headers.get("authorization", "").partition(" ")[0]
        qualifier = ""
        if match := GENERATION_2.fullmatch(request.path):  # the service's part names the qualifier: `service.prod`
            inside, expected = f"services/{unquote(match[1])}/", "FC"
        elif match := GENERATION_3.fullmatch(request.path):
            inside, expected = "", "ACS3-HMAC-SHA256"
            qualifier = f"/{request.query['qualifier']}" if request.query.get("qualifier") else ""
        else:
            raise errors.path_not_supported(request.path)
        if signature != expected:
            raise errors.wrong_signature_kind(expected)
        function = unquote(match[match.lastindex or 1])
        resource = f"acs:fc:{request.region or config.region}:{config.account}:{inside}functions/{function}{qualifier}"
        return Target("InvokeFunction", function, request.region, "fc:InvokeFunction", resource)

    @property
    def clock_offset(self) -> float:
        """Return how many seconds the service's clock is ahead of the cloud's."""
        return self._service.clock_offset

    def perform(
        self,
        target: Target,  # noqa: ARG002 there is one operation and one function
        request: Request,
        request_id: str,  # noqa: ARG002 an invocation has an ID of its own
        delay: float = 0.0,  # noqa: ARG002 delays have a header
    ) -> Response:
        """Invoke the function, now or later, and return the answer. Raise ApiError for a bad header or event."""
        kind = request.headers.get("x-fc-invocation-type", "Sync")
        if kind not in ("Sync", "Async"):
            raise errors.invalid_argument(f"x-fc-invocation-type is Sync or Async, not {kind!r}")
        limit = MAX_ASYNC_PAYLOAD if kind == "Async" else MAX_SYNC_PAYLOAD
        if len(request.body) > limit:
            raise errors.payload_too_large(limit)
        return self._invoke_async(request) if kind == "Async" else self._invoke(request)

    def translated(self, error: ApiError) -> ApiError:
        """Return the error as it is: the gateway's errors are those of this kind of service."""
        return error

    def refuse(self, error: ApiError, request: Request, request_id: str) -> Response:
        """Return the answer for an error, in the JSON of the path's generation."""
        names = {"Code": error.code, "Message": error.message, "RequestId": request_id, **error.details}
        if request.path.startswith(PATHS[0]):
            names = {"ErrorCode": error.code, "ErrorMessage": error.message}
        headers = {"Content-Type": "application/json", "X-Fc-Request-Id": request_id, **error.headers}
        return Response(error.status, json.dumps(names).encode(), headers)

    def find(self, target: Target, request: Request) -> None:
        """Raise ApiError (404) unless the path names the function, in the way of its generation."""
        config, function = self._service.config, target.instance
        if match := GENERATION_2.fullmatch(request.path):
            service = unquote(match[1]).partition(".")[0]
            if config.generation != 2 or service != config.service:
                raise errors.service_not_found(service)
        elif config.generation != 3:
            raise errors.function_not_found(function)
        if function != config.name:
            raise errors.function_not_found(function)

    def _invoke_async(self, request: Request) -> Response:
        delay = request.headers.get("x-fc-async-delay", "0")
        if not delay.isdigit() or int(delay) > MAX_DELAY:
            raise errors.invalid_argument(f"x-fc-async-delay is at most {MAX_DELAY} seconds, not {delay!r}")
        task_id = next((request.headers[name] for name in TASK_ID_HEADERS if name in request.headers), None)
        if task_id is not None and not TASK_ID.fullmatch(task_id):
            raise errors.invalid_argument(f"a task ID matches {TASK_ID.pattern}, unlike {task_id!r}")
        request_id = self._service.invoke_async(request.body, delay=float(delay), task_id=task_id)
        return Response(202, b"", {"X-Fc-Request-Id": request_id, "X-Fc-Invocation-Type": "Async"})

    def _invoke(self, request: Request) -> Response:
        invocation = self._service.invoke(request.body)
        headers = {"Content-Type": "application/json", "X-Fc-Request-Id": invocation.request_id}
        if invocation.error:
            unhandled = not (invocation.killed or invocation.timed_out)
            kind = "UnhandledInvocationError" if unhandled else invocation.error["errorType"]
            headers["X-Fc-Error-Type"] = kind
        return Response(200, invocation.body, headers)

"""OSS's HTTP interface: REST, with the bucket in the path or in the host name, and answers in XML."""

from __future__ import annotations

import base64
from dataclasses import replace

from simulator.errors import ApiError
from simulator.gateway import Target
from simulator.oss import address, errors, xml
from simulator.oss.operations import OPERATIONS, name_of
from simulator.oss.state import ObjectStorage
from simulator.server import Request, Response


class ObjectStorageWire:
    """OSS, as the gateway calls it (`simulator.gateway.Service`)."""

    denial_code = "AccessDenied"
    unknown_key = staticmethod(errors.unknown_key)
    wrong_signature = staticmethod(errors.wrong_signature)
    translated = staticmethod(errors.translated)

    def __init__(self, storage: ObjectStorage, account: str) -> None:
        """Set the account that owns the buckets."""
        self._storage, self._account = storage, account

    def target(self, request: Request) -> Target:
        """Return the operation of a request, and its object's key or its bucket. Raise ApiError for another one."""
        bucket, key = address.of(request)
        operation = name_of(request.method, key, request.query)
        if not operation:
            raise errors.not_implemented()
        region = address.signed_region(request.headers)
        path = f"{bucket}/{key}" if key else bucket
        resource = f"acs:oss:oss-{region}:{self._account}:{path}"
        return Target(operation, key or bucket, region, OPERATIONS[operation].action, resource)

    @property
    def clock_offset(self) -> float:
        """Return how many seconds the service's clock is ahead of the cloud's."""
        return self._storage.clock_offset

    def find(self, target: Target, request: Request) -> None:
        """Raise ApiError unless the bucket exists, in the region that the request is signed for.

        The endpoint is that of every region here, so the signature's region stands for it.
        """
        bucket = self._storage.find(address.of(request)[0])
        if bucket.region != target.region:
            raise errors.wrong_region(bucket.name, bucket.region)

    def perform(self, target: Target, request: Request, request_id: str, delay: float = 0.0) -> Response:  # noqa: ARG002
        """Perform the operation and return its answer. Raise ApiError when it is refused."""
        bucket, key = address.of(request)
        response = OPERATIONS[target.operation].perform(self._storage.find(bucket), key, request)
        return replace(response, headers={**response.headers, "x-oss-request-id": short_id(request_id)})

    def refuse(self, error: ApiError, request: Request, request_id: str) -> Response:
        """Return the answer for an error."""
        return refusal(error, request, request_id)


def refusal(error: ApiError, request: Request, request_id: str) -> Response:
    """Return OSS's answer for an error; to HEAD, which has no body, it is in a header.

    https://www.alibabacloud.com/help/en/oss/user-guide/error-responses
    """
    details = dict(error.details)
    fields = {
        "Code": error.code,
        "Message": error.message,
        "RequestId": short_id(request_id),
        "HostId": request.headers.get("host", ""),
        **details,
    }
    body = xml.document("Error", fields)
    headers = {"Content-Type": "application/xml", "x-oss-request-id": short_id(request_id), **error.headers}
    if "EC" in details:
        headers["x-oss-ec"] = str(details["EC"])
    if request.method == "HEAD":
        headers["x-oss-err"] = base64.b64encode(body).decode()
    return Response(error.status, body, headers)


def short_id(request_id: str) -> str:
    """Return a request ID of OSS's form, 24 hexadecimal digits, for a UUID."""
    return request_id.replace("-", "")[:24]

"""Downloads of backup files over HTTP, as OSS answers them to whoever has a pre-signed address.

https://www.alibabacloud.com/help/en/oss/developer-reference/getobject
"""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

from simulator import bodies
from simulator.bodies import Body
from simulator.downloads import errors
from simulator.errors import ApiError
from simulator.gateway import Target
from simulator.oss import errors as oss_errors
from simulator.oss.ranges import range_of
from simulator.oss.wire import refusal, short_id
from simulator.server import Request, Response

if TYPE_CHECKING:
    from simulator.downloads.addresses import Address, Addresses
    from simulator.kvstore.operations import KVStore

OPERATION = "Download"


class DownloadsWire:
    """The OSS that has the backups' files, as the gateway calls it (`simulator.gateway.Service`)."""

    denial_code = "AccessDenied"
    clock_offset = 0.0
    unknown_key = staticmethod(oss_errors.unknown_key)
    wrong_signature = staticmethod(errors.wrong_signature)
    translated = staticmethod(oss_errors.translated)

    def __init__(self, addresses: Addresses, kvstore: KVStore) -> None:
        self._addresses, self._kvstore = addresses, kvstore

    def target(self, request: Request) -> Target:
        """Return the instance whose file it is. Raise ApiError when there is no such file, or its address has expired.

        There is no action and no resource: whoever has an address needs no permission.
        """
        address = self._addresses.find(request)
        behaviour = self._kvstore.behaviour
        hangs = behaviour.unreachable.get(address.way) == "timeout"
        return Target(OPERATION, address.instance, address.region, "", "", hangs, behaviour.download_latency)

    def find(self, target: Target, request: Request) -> None:
        """Do nothing: `target` has found the file."""

    def perform(self, target: Target, request: Request, request_id: str, delay: float = 0.0) -> Response:  # noqa: ARG002
        """Return the file, or the range of it that was asked for."""
        address = self._addresses.find(request)
        self._addresses.count_use(request)
        content, headers = address.content, _headers(address, request_id)
        part = range_of(request.headers.get("range", ""), content.size)
        start, stop = part or (0, content.size)
        if part:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
        body = Body(stop - start, content.read(start, stop))
        pace = self._kvstore.behaviour.download_pace
        return Response(206 if part else 200, headers=headers, stream=bodies.paced(body, pace) if pace else body)

    def refuse(self, error: ApiError, request: Request, request_id: str) -> Response:
        """Return the answer for an error."""
        return refusal(error, request, request_id)


def _headers(address: Address, request_id: str) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "ETag": f'"{address.content.crc64:032X}"',
        "Last-Modified": formatdate(address.written, usegmt=True),
        "x-oss-hash-crc64ecma": str(address.content.crc64),
        "x-oss-object-type": "Multipart",
        "x-oss-request-id": short_id(request_id),
    }

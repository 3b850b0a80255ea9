"""R-KVStore's HTTP interface: RPC style, with `Action` and parameters in the query, and answers in JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from simulator import signatures
from simulator.errors import ApiError
from simulator.gateway import Target
from simulator.kvstore import errors
from simulator.server import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.downloads.addresses import Addresses
    from simulator.kvstore.operations import KVStore


class KVStoreWire:
    """R-KVStore, as the gateway calls it (`simulator.gateway.Service`)."""

    unknown_key = staticmethod(errors.unknown_key)
    wrong_signature = staticmethod(errors.wrong_signature)

    def __init__(
        self, kvstore: KVStore, account: str, home_region: str, denial_code: str, addresses: Addresses
    ) -> None:
        """Set the region. `home_region`: the region in a resource's name when a call names none.

        `addresses`: signs those of backups' files.
        """
        self._addresses = addresses
        self.denial_code = denial_code
        self._kvstore = kvstore
        self._account = account
        self._home_region = home_region

    def target(self, request: Request) -> Target:
        """Return the operation and the instance that a request names; `*` for no instance."""
        parameters = signatures.parameters(request)
        operation = request.headers.get("x-acs-action") or parameters.get("Action", "")
        instance = parameters.get("InstanceId", "*")
        region = request.region or parameters.get("RegionId")
        resource = f"acs:kvstore:{region or self._region_of(instance)}:{self._account}:instance/{instance}"
        return Target(operation, instance, region, f"kvstore:{operation}", resource)

    def find(self, target: Target, request: Request) -> None:
        """Do nothing: R-KVStore checks the permission before it looks for the instance."""

    @property
    def clock_offset(self) -> float:
        """Return how many seconds the service's clock is ahead of the cloud's."""
        return self._kvstore.clock_offset

    def perform(self, target: Target, request: Request, request_id: str, delay: float = 0.0) -> Response:
        """Perform the operation and return its answer. Raise ApiError when it is refused."""
        if delay and target.operation == "CreateBackup":
            self._kvstore.create_later(signatures.parameters(request), request.region, delay)
            return _json(200, {"RequestId": request_id})
        operation = self._kvstore.operations.get(target.operation)
        if operation is None:
            raise errors.unknown_operation(target.operation)
        answer = operation(signatures.parameters(request), request.region)
        sign = self._addresses.signer(signatures.read(request).access_key_id)
        return _json(200, {**answer, "RequestId": request_id}, sign=sign)

    def translated(self, error: ApiError) -> ApiError:
        """Return the error as it is: the gateway's errors are those of this kind of service."""
        return error

    def refuse(self, error: ApiError, request: Request, request_id: str) -> Response:
        """Return the answer for an error."""
        host = request.headers.get("host", "")
        return _json(error.status, errors.body(error, host, request_id), dict(error.headers))

    def _region_of(self, instance: str) -> str:
        try:
            return self._kvstore.instance(instance).config.region
        except ApiError:
            return self._home_region


def _json(
    status: int,
    body: dict[str, object],
    headers: dict[str, str] | None = None,
    sign: Callable[[object], str] | None = None,
) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=sign).encode()
    return Response(status, text, {"Content-Type": "application/json;charset=utf-8", **(headers or {})})

"""How R-KVStore is spoken: RPC style, `Action` and parameters in the query, JSON answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from simulator import signatures
from simulator.errors import ApiError
from simulator.gateway import Target
from simulator.kvstore import errors
from simulator.server import Request, Response

if TYPE_CHECKING:
    from simulator.kvstore.operations import KVStore


class KVStoreWire:
    """The service as the gateway sees it."""

    def __init__(self, kvstore: KVStore, account: str, home_region: str, denial_code: str) -> None:
        """`home_region` is written into a resource's name where a call tells none."""
        self.denial_code = denial_code
        self._kvstore = kvstore
        self._account = account
        self._home_region = home_region

    def target(self, request: Request) -> Target:
        parameters = signatures.parameters(request)
        operation = request.headers.get("x-acs-action") or parameters.get("Action", "")
        instance = parameters.get("InstanceId", "*")
        region = request.region or parameters.get("RegionId")
        resource = f"acs:kvstore:{region or self._region_of(instance)}:{self._account}:instance/{instance}"
        return Target(operation, instance, region, f"kvstore:{operation}", resource)

    def find(self, target: Target, request: Request) -> None:
        """An instance that does not exist is told after a lack of permission."""

    @property
    def clock_offset(self) -> float:
        return self._kvstore.clock_offset

    def perform(self, target: Target, request: Request, request_id: str, delay: float = 0.0) -> Response:
        if delay and target.operation == "CreateBackup":
            self._kvstore.create_later(signatures.parameters(request), request.region, delay)
            return _json(200, {"RequestId": request_id})
        operation = self._kvstore.operations.get(target.operation)
        if operation is None:
            raise errors.unknown_operation(target.operation)
        answer = operation(signatures.parameters(request), request.region)
        return _json(200, {**answer, "RequestId": request_id})

    def refuse(self, error: ApiError, request: Request, request_id: str) -> Response:
        host = request.headers.get("host", "")
        return _json(error.status, errors.body(error, host, request_id), dict(error.headers))

    def _region_of(self, instance: str) -> str:
        try:
            return self._kvstore.instance(instance).config.region
        except ApiError:
            return self._home_region


def _json(status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, text, {"Content-Type": "application/json;charset=utf-8", **(headers or {})})

"""The official SDKs, pointed at a simulated cloud."""

from __future__ import annotations

from typing import Any

import fc2
from alibabacloud_r_kvstore20150101 import models
from alibabacloud_r_kvstore20150101.client import Client
from alibabacloud_tea_openapi.client import Client as OpenApiClient
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions
from Tea.exceptions import TeaException

from simulator import Cloud
from simulator.credentials import Credential


def config(cloud: Cloud | None, credential: Credential | None = None, **overrides: Any) -> Config:
    """An SDK configuration for the cloud, by default with its user's key. Without a cloud, `overrides` say it all."""
    values: dict[str, Any] = {"protocol": "HTTP"}
    if cloud is not None:
        credential = credential or cloud.credentials.user
        values |= {
            "endpoint": cloud.host,
            "access_key_id": credential.access_key_id,
            "access_key_secret": credential.access_key_secret,
            "security_token": credential.security_token,
        }
    return Config(**{**values, **overrides})


class KVStoreClient:
    """R-KVStore's SDK, with parameters by name: `client.create_backup(instance_id="r-1")` returns the answer's body."""

    def __init__(self, cloud: Cloud | None, credential: Credential | None = None, **overrides: Any) -> None:
        self._client = Client(config(cloud, credential, **overrides))

    def __getattr__(self, operation: str) -> Any:
        name = "".join(part.capitalize() for part in operation.split("_"))

        def call(**parameters: Any) -> Any:
            body = getattr(self._client, operation)(getattr(models, f"{name}Request")(**parameters)).body
            return body.to_map()

        return call

    def code(self, operation: str, **parameters: Any) -> str | None:
        """The error code that a call is refused with; None when it is not."""
        try:
            getattr(self, operation)(**parameters)
        except TeaException as error:
            return error.code
        return None


def invoke_3(
    cloud: Cloud, payload: bytes = b"", headers: dict[str, str] | None = None, *, name: str = "redis-backup", **who: Any
) -> dict[str, Any]:
    """Invoke by the generic signed call of Function Compute 3.0; statusCode, headers and body come back."""
    params = Params(
        action="InvokeFunction",
        version="2023-03-30",
        protocol="HTTP",
        pathname=f"/2023-03-30/functions/{name}/invocations",
        method="POST",
        auth_type="AK",
        style="ROA",
        req_body_type="byte",
        body_type="string",
    )
    request = OpenApiRequest(headers=headers or {}, stream=payload)
    return OpenApiClient(config(cloud, **who)).call_api(params, request, RuntimeOptions())


def invoke_2(
    cloud: Cloud,
    payload: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    service: str = "backup-service",
    name: str = "redis-backup",
    credential: Credential | None = None,
) -> Any:
    """Invoke by aliyun-fc2 as a function of Function Compute 2.0; headers and data come back."""
    credential = credential or cloud.credentials.user
    client = fc2.Client(
        endpoint=cloud.endpoint,
        accessKeyID=credential.access_key_id,
        accessKeySecret=credential.access_key_secret,
        securityToken=credential.security_token or "",
    )
    return client.invoke_function(service, name, payload=payload, headers=headers or {})

"""Make, call and silence the SDKs of Alibaba Cloud. No other module knows them.

What the SDKs would do on their own, and what this module does about it:

- `aliyun-fc2` logs all headers of a request on the root logger if the call fails, with the security token and the
  signature; `darabonba` prints them to stderr if DEBUG=sdk is set. So everything that a library logs is dropped. What
  Function Compute's runtime logs (an exception that escapes the handler) is not.
- Both follow redirects, and would send the token to another host. So no redirect is followed (`adapters`).
- The texts of their exceptions can contain URLs and headers. So only the code, the message and the request ID of the
  API's own answer are passed on (`sdk_errors`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from redis_backup import __version__
from redis_backup.alibaba import adapters, lazy_sdk
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.sdk_errors import translate
from redis_backup.backoff import Deadline
from redis_backup.credentials import Credentials
from redis_backup.states import out_of_time

T = TypeVar("T")
CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 10.0
MIN_TIME = 0.2  # seconds that have to be left for a call
# The loggers of the libraries, by the first part of their names, and the folders of those that log on the root logger.
_LOGGERS = (
    *("Tea", "aiohttp", "alibabacloud-tea", "alibabacloud_credentials", "apscheduler", "asyncio", "credentials"),
    *("darabonba-core", "fc2", "requests", "urllib3", "websocket"),
)
_ON_ROOT = ("fc2", "Tea", "darabonba", "alibabacloud_credentials", "alibabacloud_tea_openapi", "websocket")


def silence() -> None:
    """Drop everything that a library logs, whatever its level and handlers. Called wherever a client is made."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        if _drop not in logger.filters:  # its own records; those of its children end at the handler
            logger.addFilter(_drop)
            logger.addHandler(logging.NullHandler())
    if _drop_on_root not in logging.root.filters:
        logging.root.addFilter(_drop_on_root)


def _drop(_: logging.LogRecord) -> bool:
    return False


def _drop_on_root(record: logging.LogRecord) -> bool:
    folders = record.pathname.split(os.sep)
    return not any(name in folders[:-1] for name in _ON_ROOT)


def config(credentials: Credentials, region: str, endpoint: str | None, connections: int) -> Any:
    """Return a Config of `alibabacloud_tea_openapi`. `endpoint`: host or URL; None for the SDK's own."""
    silence()
    adapters.mix_in(lazy_sdk.load("darabonba.core"), "_TLSAdapter", adapters.LoadsCertificatesOnce)
    scheme, _, host = endpoint.rpartition("://") if endpoint else ("", "", None)
    return lazy_sdk.load("alibabacloud_tea_openapi.utils_models").Config(
        credential=_StaticCredential(credentials),
        region_id=region,
        endpoint=host,
        protocol=scheme.upper() or "HTTPS",
        max_idle_conns=connections,
        user_agent=f"redis-backup/{__version__}",
    )


class _StaticCredential:
    """Holds keys that stay the same, in the form that `alibabacloud_tea_openapi` accepts as `Config.credential`.

    Given the keys themselves, it would import all of `alibabacloud_credentials.provider`: 44 ms.
    """

    def __init__(self, credentials: Credentials) -> None:
        kind = ("sts", "static_sts") if credentials.security_token else ("access_key", "static_ak")
        self._model = lazy_sdk.load("alibabacloud_credentials.models").CredentialModel(
            access_key_id=credentials.access_key_id,
            access_key_secret=credentials.access_key_secret,
            security_token=credentials.security_token or None,
            type=kind[0],
            provider_name=kind[1],
        )

    def get_credential(self) -> Any:
        """Return the SDK's CredentialModel."""
        return self._model

    async def get_credential_async(self) -> Any:
        """Return the SDK's CredentialModel, for an asynchronous call."""
        return self._model


def generic_client(credentials: Credentials, region: str, endpoint: str) -> Any:
    """Return a client of `alibabacloud_tea_openapi` for any API."""
    return lazy_sdk.load("alibabacloud_tea_openapi.client").Client(
        config(credentials, region, endpoint, connections=10)
    )


def rpc_call(action: str, version: str, method: str, query: Mapping[str, object]) -> tuple[Any, Any]:
    """Return the first two arguments of `call_api` for an RPC call: parameters in the query, the answer is JSON."""
    models = lazy_sdk.load("alibabacloud_tea_openapi.utils_models")
    params = models.Params(
        action=action,
        version=version,
        protocol="HTTPS",
        pathname="/",
        method=method,
        auth_type="AK",
        style="RPC",
        req_body_type="formData",
        body_type="json",
    )
    return params, models.OpenApiRequest(query={name: str(value) for name, value in query.items() if value is not None})


def roa_call(
    action: str, version: str, path: str, *, query: dict[str, str], headers: dict[str, str], payload: bytes
) -> tuple[Any, Any]:
    """Return the first two arguments of `call_api` for a ROA call: a POST; request and answer are bytes."""
    models = lazy_sdk.load("alibabacloud_tea_openapi.utils_models")
    params = models.Params(
        action=action,
        version=version,
        protocol="HTTPS",
        pathname=path,
        method="POST",
        auth_type="AK",
        style="ROA",
        req_body_type="byte",
        body_type="binary",
    )
    return params, models.OpenApiRequest(query=query, headers=headers, stream=payload)


def fc2_client(credentials: Credentials, endpoint: str, timeout: float) -> Any:
    """Return a client of `aliyun-fc2`. `timeout`: seconds."""
    fc2 = lazy_sdk.load("fc2.client")
    silence()
    fc2.retries = 0  # its own 5 take 30 s, even if less time is left
    adapters.mix_in(fc2, "HTTPAdapter", adapters.NotesAnswers)
    return fc2.Client(
        endpoint=endpoint,
        accessKeyID=credentials.access_key_id,
        accessKeySecret=credentials.access_key_secret,
        securityToken=credentials.security_token,
        Timeout=timeout,
    )


def http_session(connections: int) -> Any:
    """Return a session of `requests` that notes answers and follows no redirect. `connections`: to one host."""
    requests, base = lazy_sdk.load("requests"), lazy_sdk.load("requests.adapters").HTTPAdapter
    adapter = type("_Adapter", (adapters.NotesAnswers, base), {})
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter(pool_connections=4, pool_maxsize=connections))
    return session


def call(
    operation: Callable[[Any], T],
    deadline: Deadline,
    *,
    action: str,
    resource: str,
    secrets: tuple[str, ...],
    read_timeout: float = READ_TIMEOUT,
) -> T:
    """Call an SDK once, within the time that is left, and return what it returns.

    `operation` takes RuntimeOptions. Raise ApiError for everything that goes wrong; the SDK's own exception is not
    chained to it.
    """
    remaining = deadline.remaining()
    if remaining < MIN_TIME:
        raise ApiError(out_of_time())
    options = lazy_sdk.load("darabonba.runtime").RuntimeOptions(
        connect_timeout=int(1000 * min(CONNECT_TIMEOUT, remaining)),
        read_timeout=int(1000 * min(read_timeout, remaining)),
    )
    adapters.forget()
    try:
        return operation(options)
    except Exception as error:  # noqa: BLE001 - the SDK lets TypeError and others out for answers it does not expect
        raise translate(error, action, resource, secrets) from None

"""Make, call and silence the SDKs of Alibaba Cloud. No other module knows them.

What the SDKs would do on their own, and what this module does about it:

- `aliyun-fc2` logs all headers of a request on the root logger if the call fails, with the security token and the
  signature; `darabonba` prints them to stderr if DEBUG=sdk is set. So everything that a library logs is dropped. What
  Function Compute's runtime logs (an exception that escapes the handler) is not.
- Both follow redirects, and would send the token to another host. So no redirect is followed.
- The texts of their exceptions can contain URLs and headers. So only the code, the message and the request ID of the
  API's own answer are passed on.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from redis_backup import __version__
from redis_backup.alibaba import lazy_sdk
from redis_backup.alibaba.api_errors import ApiError, error_kind, problem_of
from redis_backup.backoff import Deadline
from redis_backup.credentials import Credentials
from redis_backup.states import ErrorKind, Problem, out_of_time

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
    _mix_in(lazy_sdk.load("darabonba.core"), "_TLSAdapter", _LoadsCertificatesOnce)
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


class UnexpectedAnswerError(Exception):
    """An answer lacks what was asked for. `code`: the answer's own, if it is a definite refusal in an HTTP 200."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        code = body.get("Code") if isinstance(body, dict) else None
        is_definite = isinstance(code, str) and error_kind(code, 200) not in (ErrorKind.UNKNOWN, ErrorKind.TRANSIENT)
        self.data, self.status_code, self.code = body, 200, code if is_definite else None


class _RedirectedError(Exception):
    """An answer sent the call to another host."""


_last_answer = threading.local()  # status and date of this thread's last answer


class _NotesAnswers:
    """Mixed into an SDK's adapter (of `requests`): notes each answer's status and date, and follows no redirect.

    It keeps two promises. A redirect, which both SDKs would follow with the security token, ends the call. And an error
    says the HTTP status of an answer that could not be read, and the command learns Function Compute's time, though the
    SDKs raise their exceptions without the status and the headers.
    """

    def send(self, *args: Any, **kwargs: Any) -> Any:
        """Send as the SDK does. Raise _RedirectedError for an answer that is a redirect."""
        response = super().send(*args, **kwargs)  # type: ignore[misc] # of the adapter that this is mixed into
        _last_answer.status, _last_answer.date = response.status_code, response.headers.get("date", "")
        if 300 <= response.status_code < 400:
            response.close()
            raise _RedirectedError
        return response


class _LoadsCertificatesOnce(_NotesAnswers):
    """Mixed into `darabonba`'s adapter, whose TLS context trusts certifi's certificates from the start.

    `requests` names them to each connection all the same, and urllib3 loads them into the same context again. Without
    that, a connection costs 22 ms less CPU time (median of 40: Python 3.10.13, OpenSSL 3.0, requests 2.34.2, urllib3
    2.8.0). A connection through a proxy has a context of its own, and loads them as usual.
    """

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Tell a pool of connections which certificates to trust."""
        super().cert_verify(conn, url, verify, cert)  # type: ignore[misc] # of the adapter that this is mixed into
        if verify is True and getattr(conn, "proxy", True) is None:
            conn.ca_certs = None


def _mix_in(module: Any, adapter: str, mixin: type) -> None:
    """Let a module of an SDK use its adapter with the mixin, from now on.

    A module that has no such adapter any more raises AttributeError: without the mixin, redirects would be followed.
    `tests/test_connections.py` tells where the SDK has it and uses another.
    """
    usual = getattr(module, adapter)
    if not issubclass(usual, mixin):
        setattr(module, adapter, type(adapter, (mixin, usual), {}))


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
    _mix_in(fc2, "HTTPAdapter", _NotesAnswers)
    return fc2.Client(
        endpoint=endpoint,
        accessKeyID=credentials.access_key_id,
        accessKeySecret=credentials.access_key_secret,
        securityToken=credentials.security_token,
        Timeout=timeout,
    )


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
    _last_answer.status = 0
    try:
        return operation(options)
    except Exception as error:  # noqa: BLE001 - the SDK lets TypeError and others out for answers it does not expect
        raise _translate(error, action, resource, secrets) from None


def last_date() -> str:
    """Return the `Date` header of this thread's last answer, "" if there is none."""
    return str(getattr(_last_answer, "date", ""))


def unreadable(operation: str) -> ApiError:
    """Return the error for an answer that the API does not document."""
    return ApiError(Problem("NoAnswer", f"{operation}: the answer could not be read", ErrorKind.UNKNOWN))


def credentials_ended(problem: Problem) -> ApiError:
    """Return the error for credentials that were valid when this invocation began and have ended since."""
    hint = "the credentials of this invocation have ended; the next invocation has new ones and continues"
    return ApiError(Problem(problem.code, problem.message, ErrorKind.TRANSIENT, problem.request_id, hint))


def _translate(error: Exception, action: str, resource: str, secrets: tuple[str, ...]) -> ApiError:
    """Return the ApiError for an SDK's exception.

    An exception of tea-openapi 0.4.6 that has an answer has `code` and `data`; FcError has `err_code`. The others have
    no answer.
    """
    answer, code = getattr(error, "data", None), getattr(error, "code", None)
    if hasattr(error, "err_code"):
        answer, code = _fc2_answer(error), str(error.err_code or "None")
    if not isinstance(answer, dict) or not code:
        return ApiError(_no_answer(error, action, _last_answer.status), status=_last_answer.status)
    code = "" if code == "None" else str(code)
    hint = getattr(error, "retry_after", None)  # the header x-acs-retry-after, in milliseconds
    status = int(getattr(error, "status_code", None) or 0)
    problem = problem_of(
        code,
        status,
        str(answer.get("Message") or answer.get("message") or ""),
        answer.get("RequestId") or answer.get("requestId"),
        action=action,
        resource=resource,
        denied=answer.get("AccessDeniedDetail") if isinstance(answer.get("AccessDeniedDetail"), dict) else None,
        secrets=secrets,
    )
    return ApiError(problem, retry_after=hint / 1000 if isinstance(hint, (int, float)) else None, status=status)


def _fc2_answer(error: Any) -> dict[str, Any]:
    try:
        answer = json.loads(error.message)
    except (TypeError, ValueError):
        answer = {}
    message = answer.get("ErrorMessage") if isinstance(answer, dict) else None
    return {"Message": message or "", "RequestId": error.request_id}


def _no_answer(error: Exception, action: str, status: int) -> Problem:
    """Return the error for a call without an answer. It names the kind of failure; the exception's text has URLs."""
    text = str(error)
    if 300 <= status < 400:
        what = f"answered with a redirect (HTTP {status}), which is never followed"
    elif status:
        what = f"gave an answer that could not be read (HTTP {status})"
    elif "timed out" in text or "timeout" in text.lower():
        what = "did not answer in time"
    elif "resolve" in text or "Name or service" in text:
        what = "could not be found: its host name has no address"
    elif "refused" in text:
        what = "refused the connection"
    elif "onnection" in text or "reset" in text:
        what = "broke the connection"
    else:
        what = "did not give an answer"
    return Problem(
        "NoAnswer",
        f"{action.rpartition(':')[2]}: the API {what}",
        ErrorKind.UNKNOWN,
        hint="the function looks again before it repeats anything; if this happens often, check the function's network "
        "(internetAccess, VPC, BACKUP_ENDPOINT) and the region's name",
    )

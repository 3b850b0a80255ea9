"""Verifies the four kinds of signature that clients send, by computing them again from the request.

ACS3-HMAC-SHA256 (current SDKs), HMAC-SHA1 in the query (older SDKs), `FC key:signature` (Function Compute 2.0), and
OSS4-HMAC-SHA256 (OSS). Pre-signed addresses have one of a fifth kind (OSS, version 1).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl, quote, unquote

from simulator.errors import ApiError
from simulator.oss import address

if TYPE_CHECKING:
    from simulator.credentials import Credential, CredentialStore
    from simulator.server import Request

MAX_SKEW = 15 * 60  # seconds between the time of signing and the server's
_ACS3 = re.compile(r"ACS3-HMAC-SHA256 Credential=([^,]+),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]+)$")


@dataclass(frozen=True)
class Signature:
    """A request's signature, not verified yet, and what is needed to compute it again."""

    access_key_id: str
    security_token: str | None
    signed_at: str | None  # None: it has an end instead, which its service checks
    value: str
    string_to_sign: str
    quoted: str  # in the error message when the value is wrong
    sign: Callable[[str, str], str]  # (secret, string to sign) -> value


class SignatureErrors(Protocol):
    """The errors with which a service refuses a credential; each service has codes of its own."""

    def unknown_key(self, access_key_id: str) -> ApiError:
        """Return the error for an access key ID that does not exist."""

    def wrong_signature(self, string_to_sign: str) -> ApiError:
        """Return the error for a signature that was made with another secret, or of another request."""


def read(request: Request) -> Signature:
    """Return the request's signature, of whichever kind. Raise ApiError when there is none."""
    authorization = request.headers.get("authorization", "")
    if authorization.startswith("ACS3-HMAC-SHA256"):
        return _acs3(request, authorization)
    if authorization.startswith(address.SIGNATURE_KIND):
        return _oss4(request, authorization)
    if authorization.startswith("FC "):
        return _fc(request, authorization)
    if "OSSAccessKeyId" in request.query:
        return _oss_url(request)
    if "Signature" in parameters(request):
        return _rpc(request)
    raise ApiError(400, "MissingAccessKeyId", "AccessKeyId is mandatory for this action.")


def verify(
    signature: Signature, credential: Credential | None, store: CredentialStore, now: float, errors: SignatureErrors
) -> Credential:
    """Return the credential that the request was signed with.

    `credential`: the one whose ID the signature names. `now`: the machine's time, not the simulated one, since SDKs
    sign with it. Raise ApiError when the key is unknown, the token or the signature is wrong, or the time is more than
    15 minutes off.
    """
    if credential is None:
        raise errors.unknown_key(signature.access_key_id)
    store.check_token(credential, signature.security_token)
    if signature.signed_at is not None and abs(_epoch(signature.signed_at) - now) > MAX_SKEW:
        raise ApiError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
    expected = signature.sign(credential.access_key_secret, signature.string_to_sign)
    if not hmac.compare_digest(expected, signature.value):
        raise errors.wrong_signature(signature.quoted)
    return credential


def parameters(request: Request) -> dict[str, str]:
    """Return an RPC call's parameters: those of the query, and those of a form that was POSTed."""
    if request.body and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {**request.query, **dict(parse_qsl(request.body.decode(), keep_blank_values=True))}
    return dict(request.query)


def _acs3(request: Request, authorization: str) -> Signature:
    match = _ACS3.match(authorization)
    if not match:
        raise ApiError(400, "IncompleteSignature", "The request signature does not conform to Aliyun standards.")
    access_key_id, names, signature = match.groups()
    headers = request.headers
    canonical = "\n".join(
        [
            request.method,
            request.path,
            "&".join(f"{_quote(name)}={_quote(value)}" for name, value in sorted(request.query.items())),
            "".join(f"{name}:{headers.get(name, '')}\n" for name in names.split(";")),
            names,
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    return Signature(
        access_key_id,
        headers.get("x-acs-security-token"),
        headers.get("x-acs-date", ""),
        signature,
        f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}",
        canonical,
        lambda secret, text: hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
    )


def _oss4(request: Request, authorization: str) -> Signature:
    """Return a signature of OSS's, version 4. Only its own headers are signed, and no body.

    https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4
    """
    match = address.AUTHORIZATION.fullmatch(authorization)
    if not match or request.headers.get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
        raise ApiError(400, "IncompleteSignature", "The request signature does not conform to Aliyun standards.")
    access_key_id, date, region, names, signature = match.groups()
    headers, additional = request.headers, names.split(";") if names else []
    signed = [name for name in headers if name.startswith("x-oss-") or name in ("content-type", "content-md5")]
    bucket, key = address.of(request)
    canonical = "\n".join(
        [
            request.method,
            quote(f"/{bucket}/{key}" if bucket else "/", safe="/"),
            "&".join(
                f"{_quote(name)}={_quote(value)}" if value else _quote(name)
                for name, value in sorted(request.query.items())
            ),
            "".join(f"{name}:{headers.get(name, '')}\n" for name in sorted({*signed, *additional})),
            ";".join(additional),
            "UNSIGNED-PAYLOAD",
        ]
    )
    signed_at = headers.get("x-oss-date") or headers.get("date", "")
    scope = f"{date}/{region}/oss/aliyun_v4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()

    def sign(secret: str, text: str) -> str:
        secret_key = f"aliyun_v4{secret}".encode()
        for part in (*scope.split("/"), text):
            secret_key = hmac.new(secret_key, part.encode(), hashlib.sha256).digest()
        return secret_key.hex()

    text = f"OSS4-HMAC-SHA256\n{signed_at}\n{scope}\n{hashed}"
    return Signature(access_key_id, headers.get("x-oss-security-token"), signed_at, signature, text, canonical, sign)


def _rpc(request: Request) -> Signature:
    values = parameters(request)
    signature = values.pop("Signature")
    query = "&".join(f"{_quote(name)}={_quote(value)}" for name, value in sorted(values.items()))
    text = f"{request.method}&%2F&{_quote(query)}"
    return Signature(
        values.get("AccessKeyId", ""),
        values.get("SecurityToken"),
        values.get("Timestamp", ""),
        signature,
        text,
        text,
        lambda secret, text: _base64(hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1)),
    )


def _oss_url(request: Request) -> Signature:
    path = "/" + request.path[1:].partition("/")[2]
    text = url_text(request.method, path, request.query, request.headers)
    return Signature(
        request.query["OSSAccessKeyId"],
        request.query.get("security-token"),
        None,
        request.query.get("Signature", ""),
        text,
        text,
        url_signature,
    )


def url_text(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """Return what is signed of a pre-signed address: not its range, but its method and all headers of OSS's.

    `path`: `/BUCKET/KEY`. https://www.alibabacloud.com/help/en/oss/developer-reference/add-signatures-to-urls
    """
    lines = [method, headers.get("content-md5", ""), headers.get("content-type", ""), query.get("Expires", "")]
    own = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith("x-oss-"))
    signed = [name for name in query if name == "security-token" or name.startswith("response-")]
    parameters = "&".join(f"{name}={query[name]}" for name in sorted(signed))
    return "\n".join([*lines, own + unquote(path) + (f"?{parameters}" if parameters else "")])


def url_signature(secret: str, text: str) -> str:
    """Return the signature of a pre-signed address."""
    return _base64(hmac.new(secret.encode(), text.encode(), hashlib.sha1))


def _fc(request: Request, authorization: str) -> Signature:
    access_key_id, _, signature = authorization[len("FC ") :].partition(":")
    headers = request.headers
    lines = [request.method, *(headers.get(name, "") for name in ("content-md5", "content-type", "date"))]
    own = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith("x-fc-"))
    text = "\n".join([*lines, own + unquote(request.path)])
    return Signature(
        access_key_id,
        headers.get("x-fc-security-token"),
        headers.get("date", ""),
        signature,
        text,
        text,
        lambda secret, text: _base64(hmac.new(secret.encode(), text.encode(), hashlib.sha256)),
    )


@lru_cache(maxsize=64)  # many calls are signed in the same second
def _epoch(text: str) -> float:
    """Return a signature's time as seconds since 1970; 0 when it is not a time."""
    try:
        if text.endswith("Z") and "-" not in text:
            return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
        if text.endswith("Z"):
            return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError):
        return 0.0


def _quote(text: str) -> str:
    return quote(text, safe="~")


def _base64(digest: hmac.HMAC) -> str:
    return base64.b64encode(digest.digest()).decode()

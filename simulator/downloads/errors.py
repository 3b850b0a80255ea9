"""OSS's errors, as a download sees them: XML, with the codes and messages of the real service.

https://www.alibabacloud.com/help/en/oss/developer-reference/error-responses
"""

from __future__ import annotations

from datetime import datetime, timezone
from xml.sax.saxutils import escape

from simulator.errors import ApiError


def unknown_key(access_key_id: str) -> ApiError:
    """Return the error for an access key ID that does not exist."""
    message = "The OSS Access Key Id you provided does not exist in our records."
    return ApiError(403, "InvalidAccessKeyId", message, {"OSSAccessKeyId": access_key_id})


def wrong_signature(string_to_sign: str) -> ApiError:
    """Return the error for a wrong signature. It quotes what was to be signed."""
    message = "The request signature we calculated does not match the signature you provided. "
    return ApiError(
        403,
        "SignatureDoesNotMatch",
        f"{message}Check your key and signing method.",
        {"StringToSign": string_to_sign},
    )


def no_signature() -> ApiError:
    """Return the error for a request without a signature."""
    return ApiError(403, "AccessDenied", "You have no right to access this object because of bucket acl.")


def expired(expires: float, now: float) -> ApiError:
    """Return the error for an address after its time. Both times: seconds since 1970.

    The answer of a real one: https://github.com/johnlui/AliyunOSS/issues/20
    """
    details = {"Expires": _timestamp(expires), "ServerTime": _timestamp(now)}
    return ApiError(403, "AccessDenied", "Request has expired.", details)


def no_such_key(key: str) -> ApiError:
    """Return the error for an object that does not exist."""
    return ApiError(404, "NoSuchKey", "The specified key does not exist.", {"Key": key})


def body(error: ApiError, host: str, request_id: str) -> bytes:
    """Return the XML document of an error's answer."""
    fields = {
        "Code": error.code,
        "Message": error.message,
        "RequestId": request_id,
        "HostId": host,
        **error.details,
    }
    lines = "".join(f"  <{name}>{escape(str(value))}</{name}>\n" for name, value in fields.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n{lines}</Error>\n'.encode()


def _timestamp(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")

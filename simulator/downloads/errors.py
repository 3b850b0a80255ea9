"""The errors of pre-signed addresses; others are OSS's own (`simulator.oss.errors`)."""

from __future__ import annotations

from datetime import datetime, timezone

from simulator.errors import ApiError


def wrong_signature(string_to_sign: str) -> ApiError:
    """Return the error for a wrong signature, such as one of another method. It quotes what was to be signed."""
    message = "The request signature we calculated does not match the signature you provided. "
    message += "Check your key and signing method."
    return ApiError(403, "SignatureDoesNotMatch", message, {"StringToSign": string_to_sign, "EC": "0002-00000040"})


def expired(expires: float, now: float) -> ApiError:
    """Return the error for an address after its time. Both times: seconds since 1970.

    The answer of a real one: https://github.com/johnlui/AliyunOSS/issues/20
    """
    details = {"Expires": _timestamp(expires), "ServerTime": _timestamp(now), "EC": "0002-00000069"}
    return ApiError(403, "AccessDenied", "Request has expired.", details)


def _timestamp(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")

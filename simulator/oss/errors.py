"""OSS's errors, with the codes and messages of the real service, and `EC`, its finer code.

https://www.alibabacloud.com/help/en/oss/user-guide/error-codes/
"""

from __future__ import annotations

from simulator.errors import ApiError


def no_such_bucket(bucket: str) -> ApiError:
    """Return the error for a bucket that does not exist."""
    return _error(404, "NoSuchBucket", "The specified bucket does not exist.", "0015-00000101", BucketName=bucket)


def no_such_key(key: str) -> ApiError:
    """Return the error for an object that does not exist."""
    return _error(404, "NoSuchKey", "The specified key does not exist.", "0026-00000001", Key=key)


def no_such_upload(upload_id: str) -> ApiError:
    """Return the error for an upload that does not exist, or was completed or aborted."""
    message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted "
    return _error(404, "NoSuchUpload", f"{message}or completed.", "0042-00000002", UploadId=upload_id)


def file_already_exists() -> ApiError:
    """Return the error for an object that exists and that the request forbids to overwrite."""
    message = "The object you specified already exists and can not be overwritten."
    return _error(409, "FileAlreadyExists", message, "0026-00000002")


def file_immutable() -> ApiError:
    """Return the error for an object that the bucket's retention policy protects."""
    return _error(409, "FileImmutable", "The object you specified is immutable.", "0026-00000202")


def invalid_part() -> ApiError:
    """Return the error for a part that was not uploaded, or has another ETag."""
    message = "One or more of the specified parts could not be found or the specified entity tag might not have "
    return _error(400, "InvalidPart", f"{message}matched the part's entity tag.", "0042-00000206")


def invalid_part_order() -> ApiError:
    """Return the error for parts that are not listed in ascending order."""
    message = "The list of parts was not in ascending order. The parts list must be specified in order by part number."
    return _error(400, "InvalidPartOrder", message, "0042-00000209")


def entity_too_small(size: int, smallest: int) -> ApiError:
    """Return the error for a part, other than the last, that is smaller than `smallest` bytes."""
    message = "Your proposed upload smaller than the minimum allowed size."
    details = {"ProposedSize": str(size), "MinSizeAllowed": str(smallest)}
    return _error(400, "EntityTooSmall", message, "0042-00000213", **details)


def entity_too_large(largest: int) -> ApiError:
    """Return the error for a body of more than `largest` bytes."""
    message = "Your proposed upload exceeds the maximum allowed size."
    return _error(400, "EntityTooLarge", message, "0026-00000010", MaxSizeAllowed=str(largest))


def invalid_digest() -> ApiError:
    """Return the error for a body that its Content-MD5 does not match."""
    message = "The Content-MD5 you specified did not match what we received."
    return _error(400, "InvalidDigest", message, "0016-00000301")


def invalid_argument(message: str, name: str = "", value: str = "", code: str = "0017-00000001") -> ApiError:
    """Return the error for a header or a parameter with a bad value."""
    details = {"ArgumentName": name, "ArgumentValue": value} if name else {}
    return _error(400, "InvalidArgument", message, code, **details)


def malformed_xml() -> ApiError:
    """Return the error for a body that is not the XML that was due."""
    message = "The XML you provided was not well-formed or did not validate against our published schema."
    return _error(400, "MalformedXML", message, "0031-00000001")


def invalid_range(size: int) -> ApiError:
    """Return the error for a range outside the object, when the request asks for standard behaviour."""
    message = "The requested range cannot be satisfied"
    return _error(416, "InvalidRange", message, "0029-00000001", ActualObjectSize=str(size))


def not_implemented() -> ApiError:
    """Return the error for an operation that the simulator does not have."""
    return _error(501, "NotImplemented", "A header you provided implies functionality that is not implemented.", "")


def wrong_region(bucket: str, region: str) -> ApiError:
    """Return the error for a bucket that lies in another region, `region`, than the endpoint."""
    message = "The bucket you are attempting to access must be addressed using the specified endpoint. "
    message += "Please send all future requests to this endpoint."
    details = {"Bucket": bucket, "Endpoint": f"oss-{region}.aliyuncs.com"}
    return _error(403, "AccessDenied", message, "0003-00001403", **details)


def unknown_key(access_key_id: str) -> ApiError:
    """Return the error for an access key ID that does not exist."""
    message = "The OSS Access Key Id you provided does not exist in our records."
    return _error(403, "InvalidAccessKeyId", message, "0002-00000902", OSSAccessKeyId=access_key_id)


def wrong_signature(canonical_request: str) -> ApiError:
    """Return the error for a wrong signature. It quotes the signed headers, the security token included."""
    message = "The request signature we calculated does not match the signature you provided. "
    message += "Check your key and signing method."
    return _error(403, "SignatureDoesNotMatch", message, "0002-00000201", CanonicalRequest=canonical_request)


def translated(error: ApiError) -> ApiError:
    """Return OSS's error for one that the gateway raised with R-KVStore's code; others, and OSS's own, as they are."""
    code = "Throttling" if error.code.startswith("Throttling") else error.code
    if code not in _OWN or "EC" in error.details:
        return error
    status, own_code, message, detailed_code = _OWN[code]
    return _error(status, own_code, message or error.message, detailed_code, **error.details)


def _error(status: int, code: str, message: str, detailed_code: str, **details: str) -> ApiError:
    return ApiError(status, code, message, {**details, **({"EC": detailed_code} if detailed_code else {})})


_OWN = {  # the gateway's code: status, code, message (the gateway's, if empty), EC
    "MissingAccessKeyId": (403, "AccessDenied", "Anonymous access is forbidden for this operation.", "0003-00000501"),
    "AccessDenied": (
        403,
        "AccessDenied",
        "You have no right to access this object because of bucket acl.",
        "0003-00000001",
    ),
    "IncompleteSignature": (400, "InvalidArgument", "Authorization header is invalid.", "0002-00000202"),
    "InvalidSecurityToken.Malformed": (
        403,
        "InvalidSecurityToken",
        "The security token you provided is invalid.",
        "0002-00000006",
    ),
    "InvalidSecurityToken.Expired": (
        403,
        "SecurityTokenExpired",
        "The security token you provided has expired.",
        "0002-00000007",
    ),
    "InvalidTimeStamp.Expired": (
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        "0002-00000504",
    ),
    "Throttling": (503, "TotalQpsLimitExceeded", "Max total qps limit is exceeded.", "0004-00000001"),
    "ServerBusy": (503, "ServiceUnavailable", "Thread pool is almost full, please retry later.", ""),
    "LockTimeout": (500, "InternalError", "We encountered an internal error. Please try again.", ""),
}

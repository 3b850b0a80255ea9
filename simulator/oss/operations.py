"""The operations of OSS, each on one bucket."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from itertools import pairwise
from urllib.parse import quote

from simulator.bodies import Body
from simulator.oss import errors, listing, xml
from simulator.oss.content import Segment
from simulator.oss.ranges import range_of
from simulator.oss.state import Bucket, Part, StoredObject
from simulator.server import Request, Response

MIN_PART_BYTES = 100 * 1024
MAX_PARTS = 10_000
MAX_BODY_BYTES = 5 * 1024**3
MAX_XML_BYTES = 2 * 1024**2
_KEPT_HEADERS = ("content-type", "cache-control", "content-disposition", "content-encoding", "expires")


@dataclass(frozen=True)
class Operation:
    """One operation: the action that RAM knows it by, and what it does."""

    action: str
    perform: Callable[[Bucket, str, Request], Response]


def _put_object(bucket: Bucket, key: str, request: Request) -> Response:
    forbid = _forbids_overwrite(request)
    segment = _receive(bucket, request)
    with bucket.lock:
        bucket.check_put(key, forbid_overwrite=forbid)
        stored = bucket.put(key, segment, _kept(request))
    return Response(200, b"", {**_checksums(stored.etag, stored.crc64), **_version(bucket, stored)})


def _get_object(bucket: Bucket, key: str, request: Request) -> Response:
    """Answer with the object, or a range of it; with the whole of it when the range is not inside the object.

    https://www.alibabacloud.com/help/en/oss/developer-reference/getobject
    """
    stored = bucket.get(key)
    headers = _object_headers(bucket, stored)
    is_standard = request.headers.get("x-oss-range-behavior") == "standard"
    part = range_of(request.headers.get("range", ""), stored.size, standard=is_standard)
    start, end = part or (0, stored.size)
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
    return Response(206 if part else 200, headers=headers, stream=Body(end - start, stored.content.read(start, end)))


def _head_object(bucket: Bucket, key: str, request: Request) -> Response:  # noqa: ARG001
    stored = bucket.get(key)
    return Response(200, b"", _object_headers(bucket, stored), stream=Body(stored.size, ()))


def _delete_object(bucket: Bucket, key: str, request: Request) -> Response:  # noqa: ARG001
    bucket.delete(key)
    return Response(204)


def _initiate(bucket: Bucket, key: str, request: Request) -> Response:
    bucket.check_put(key, forbid_overwrite=_forbids_overwrite(request))
    upload = bucket.initiate(key, _kept(request))
    fields = {"Bucket": bucket.name, "Key": listing.encoded(request, key), "UploadId": upload.id}
    return listing.answer("InitiateMultipartUploadResult", request, fields)


def _upload_part(bucket: Bucket, key: str, request: Request) -> Response:
    upload = bucket.upload(key, request.query["uploadId"])
    number = request.query["partNumber"]
    if not number.isdigit() or not 1 <= int(number) <= MAX_PARTS:
        message = "Part number must be an integer between 1 and 10000, inclusive."
        raise errors.invalid_argument(message, "partNumber", number)
    part = bucket.add_part(upload, int(number), _receive(bucket, request))
    return Response(200, b"", _checksums(part.etag, part.segment.crc64))


def _complete(bucket: Bucket, key: str, request: Request) -> Response:
    """Make an object of the parts that the body lists, or of all parts.

    https://www.alibabacloud.com/help/en/oss/developer-reference/completemultipartupload
    """
    forbid = _forbids_overwrite(request)
    body = b"".join(request.stream or ())
    with bucket.lock:
        upload = bucket.upload(key, request.query["uploadId"])
        if request.headers.get("x-oss-complete-all") == "yes":
            if body:
                message = "Should not speficy both complete all header and http body."
                raise errors.invalid_argument(message, code="0042-00000216")
            parts = [upload.parts[number] for number in sorted(upload.parts)]
        else:
            parts = _listed(upload.parts, xml.parts_of(body))
        if not parts:
            raise errors.malformed_xml()
        for part in parts[:-1]:
            if part.segment.size < MIN_PART_BYTES:
                raise errors.entity_too_small(part.segment.size, MIN_PART_BYTES)
        bucket.check_put(key, forbid_overwrite=forbid)
        stored = bucket.complete(upload, parts)
    host = request.headers.get("host", "")
    fields = {
        "Location": f"http://{host}/{bucket.name}/{quote(key)}",
        "Bucket": bucket.name,
        "Key": listing.encoded(request, key),
        "ETag": f'"{stored.etag}"',
    }
    headers = {**_checksums(stored.etag, stored.crc64), **_version(bucket, stored)}
    return listing.answer("CompleteMultipartUploadResult", request, fields, headers)


def _abort(bucket: Bucket, key: str, request: Request) -> Response:
    bucket.abort(bucket.upload(key, request.query["uploadId"]))
    return Response(204)


OPERATIONS = {
    "PutObject": Operation("oss:PutObject", _put_object),
    "GetObject": Operation("oss:GetObject", _get_object),
    "HeadObject": Operation("oss:GetObject", _head_object),
    "DeleteObject": Operation("oss:DeleteObject", _delete_object),
    "InitiateMultipartUpload": Operation("oss:PutObject", _initiate),
    "UploadPart": Operation("oss:PutObject", _upload_part),
    "CompleteMultipartUpload": Operation("oss:PutObject", _complete),
    "AbortMultipartUpload": Operation("oss:AbortMultipartUpload", _abort),
    "ListParts": Operation("oss:ListParts", listing.parts),
    "ListMultipartUploads": Operation("oss:ListMultipartUploads", listing.uploads),
    "ListObjectsV2": Operation("oss:ListObjects", listing.objects),
}


def name_of(method: str, key: str, query: Mapping[str, str]) -> str:
    """Return the operation that a request is; empty for one that the simulator does not have."""
    if not key:
        if method == "GET" and "uploads" in query:
            return "ListMultipartUploads"
        return "ListObjectsV2" if method == "GET" and query.get("list-type") == "2" else ""
    in_upload = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}
    if "uploadId" in query:
        return {**in_upload, "GET": "ListParts"}.get(method, "")
    if method == "POST":
        return "InitiateMultipartUpload" if "uploads" in query else ""
    return {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(method, "")


def _receive(bucket: Bucket, request: Request) -> Segment:
    """Read the request's body. Raise ApiError when it is too large, or Content-MD5 is that of another."""
    if int(request.headers.get("content-length") or 0) > MAX_BODY_BYTES:
        raise errors.entity_too_large(MAX_BODY_BYTES)
    digest = request.headers.get("content-md5")
    segment = bucket.receiver.receive(request.stream or (), exact=bool(digest))
    if digest and digest != base64.b64encode(bytes.fromhex(segment.md5)).decode():
        raise errors.invalid_digest()
    return segment


def _listed(parts: Mapping[int, Part], listed: list[tuple[int, str]]) -> list[Part]:
    """Return the parts that a request lists. Raise ApiError unless they are in order, known, and have these ETags."""
    if any(first >= second for (first, _), (second, _) in pairwise(listed)):
        raise errors.invalid_part_order()
    for number, etag in listed:
        if number not in parts or parts[number].etag != etag.upper():
            raise errors.invalid_part()
    return [parts[number] for number, _ in listed]


def _forbids_overwrite(request: Request) -> bool:
    value = request.headers.get("x-oss-forbid-overwrite", "false")
    if value.lower() not in ("true", "false"):
        message = "The x-oss-forbid-overwrite header must be true or false."
        raise errors.invalid_argument(message, "x-oss-forbid-overwrite", value, "0017-00000279")
    return value.lower() == "true"


def _kept(request: Request) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name in _KEPT_HEADERS or name.startswith("x-oss-meta-")
    }


def _object_headers(bucket: Bucket, stored: StoredObject) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        **{name.title() if name in _KEPT_HEADERS else name: value for name, value in stored.headers.items()},
        **_checksums(stored.etag, stored.crc64),
        **_version(bucket, stored),
        "Accept-Ranges": "bytes",
        "Last-Modified": formatdate(stored.modified, usegmt=True),
        "x-oss-object-type": stored.kind,
        "x-oss-storage-class": "Standard",
    }


def _checksums(etag: str, crc64: int) -> dict[str, str]:
    return {"ETag": f'"{etag}"', "x-oss-hash-crc64ecma": str(crc64)}


def _version(bucket: Bucket, stored: StoredObject) -> dict[str, str]:
    return {"x-oss-version-id": stored.version_id} if bucket.versioned else {}

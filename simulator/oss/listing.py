"""OSS's lists: of objects, of unfinished uploads, of an upload's parts."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from simulator.oss import errors, xml
from simulator.oss.state import Bucket, StoredObject, Upload
from simulator.server import Request, Response

MAX_ENTRIES = 1000


def objects(bucket: Bucket, key: str, request: Request) -> Response:  # noqa: ARG001
    """Answer ListObjectsV2: objects by key, and what keys have in common up to the delimiter.

    https://www.alibabacloud.com/help/en/oss/developer-reference/listobjectsv2
    """
    query = request.query
    prefix, delimiter, limit = query.get("prefix", ""), query.get("delimiter", ""), _limit(query, "max-keys", 100)
    token = query.get("continuation-token", "")
    after = base64.b64decode(token).decode() if token else query.get("start-after", "")
    contents: list[dict[str, Any]] = []
    common: list[dict[str, str]] = []
    last, truncated = "", False
    for name, stored in bucket.objects.items():
        group = _group(name, prefix, delimiter)
        if not name.startswith(prefix) or (group or name) <= after or (group and group == last):
            continue
        if len(contents) + len(common) == limit:
            truncated = True
            break
        last = group or name
        if group:
            common.append({"Prefix": encoded(request, group)})
        else:
            contents.append(_entry(request, stored))
    fields = {
        "Name": bucket.name,
        "Prefix": encoded(request, prefix),
        "MaxKeys": limit,
        "Delimiter": encoded(request, delimiter),
        "IsTruncated": truncated,
        "KeyCount": len(contents) + len(common),
        "Contents": contents,
        "CommonPrefixes": common,
    }
    if truncated:
        fields["NextContinuationToken"] = base64.b64encode(last.encode()).decode()
    return answer("ListBucketResult", request, fields)


def uploads(bucket: Bucket, key: str, request: Request) -> Response:  # noqa: ARG001
    """Answer ListMultipartUploads: those that are neither completed nor aborted, by key, then in their order.

    https://www.alibabacloud.com/help/en/oss/developer-reference/listmultipartuploads
    """
    query = request.query
    prefix, limit = query.get("prefix", ""), _limit(query, "max-uploads", MAX_ENTRIES)
    marker = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
    with bucket.lock:
        known = [each for each in bucket.uploads.values() if each.key.startswith(prefix)]
    found = sorted((each for each in known if _is_after(each, marker)), key=lambda each: (each.key, each.id))
    page = found[:limit]
    fields: dict[str, Any] = {
        "Bucket": bucket.name,
        "KeyMarker": encoded(request, marker[0]),
        "UploadIdMarker": marker[1],
        "NextKeyMarker": encoded(request, page[-1].key) if page else "",
        "NextUploadIdMarker": page[-1].id if page else "",
        "Prefix": encoded(request, prefix),
        "MaxUploads": limit,
        "IsTruncated": len(found) > limit,
        "Upload": [
            {"Key": encoded(request, each.key), "UploadId": each.id, "Initiated": _time(each.initiated)}
            for each in page
        ],
    }
    return answer("ListMultipartUploadsResult", request, fields)


def parts(bucket: Bucket, key: str, request: Request) -> Response:
    """Answer ListParts: the parts of an upload, by number.

    https://www.alibabacloud.com/help/en/oss/developer-reference/listparts
    """
    upload = bucket.upload(key, request.query["uploadId"])
    limit, marker = _limit(request.query, "max-parts", MAX_ENTRIES), request.query.get("part-number-marker", "0")
    if not marker.isdigit():
        raise errors.invalid_argument("Argument part-number-marker must be an integer.", "part-number-marker", marker)
    with bucket.lock:
        found = [each for number, each in sorted(upload.parts.items()) if number > int(marker)]
    page = found[:limit]
    fields: dict[str, Any] = {
        "Bucket": bucket.name,
        "Key": encoded(request, key),
        "UploadId": upload.id,
        "StorageClass": "Standard",
        "PartNumberMarker": marker,
        "NextPartNumberMarker": page[-1].number if page else "",
        "MaxParts": limit,
        "IsTruncated": len(found) > limit,
        "Part": [
            {
                "PartNumber": each.number,
                "LastModified": _time(each.modified),
                "ETag": f'"{each.etag}"',
                "HashCrc64ecma": each.segment.crc64,
                "Size": each.segment.size,
            }
            for each in page
        ],
    }
    return answer("ListPartsResult", request, {name: value for name, value in fields.items() if value != ""})


def encoded(request: Request, text: str) -> str:
    """Return a key as the answer has it: percent-encoded if the request asks for that."""
    return quote(text, safe="") if request.query.get("encoding-type") == "url" else text


def answer(
    root: str, request: Request, fields: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer in XML."""
    encoding = {"EncodingType": "url"} if request.query.get("encoding-type") == "url" else {}
    body = xml.document(root, {**encoding, **fields})
    return Response(200, body, {"Content-Type": "application/xml", **(headers or {})})


def _entry(request: Request, stored: StoredObject) -> dict[str, Any]:
    return {
        "Key": encoded(request, stored.key),
        "LastModified": _time(stored.modified),
        "ETag": f'"{stored.etag}"',
        "Type": stored.kind,
        "Size": stored.size,
        "StorageClass": "Standard",
    }


def _group(name: str, prefix: str, delimiter: str) -> str:
    """Return the common prefix that a key belongs to: `a/b/c` with prefix `a/` and delimiter `/` → `a/b/`."""
    begin, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
    return f"{prefix}{begin}{found}" if found else ""


def _is_after(upload: Upload, marker: tuple[str, str]) -> bool:
    """Return whether an upload is behind a marker; one without an upload ID is behind all uploads of its key."""
    key, upload_id = marker
    return upload.key > key or bool(upload_id and upload.key == key and upload.id > upload_id)


def _limit(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdigit() or not 1 <= int(text) <= MAX_ENTRIES:
        raise errors.invalid_argument(f"Argument {name} must be an integer between 1 and 1000.", name, text)
    return int(text)


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S.000Z}"

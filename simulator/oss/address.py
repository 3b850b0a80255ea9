"""Which requests are for OSS, and for which bucket and object: by path, or by host name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from simulator.server import Request

SIGNATURE_KIND = "OSS4-HMAC-SHA256"
AUTHORIZATION = re.compile(
    SIGNATURE_KIND + r" Credential=([^/,]+)/(\d{8})/([^/,]+)/oss/aliyun_v4_request"
    r"(?:,\s*AdditionalHeaders=([^,]+))?,\s*Signature=([0-9a-f]+)"
)
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_IP_ADDRESS = re.compile(r"[\d.]+")


def is_oss(headers: Mapping[str, str]) -> bool:
    """Return whether a request is for OSS, which its kind of signature tells."""
    return headers.get("authorization", "").startswith(SIGNATURE_KIND)


def signed_region(headers: Mapping[str, str]) -> str:
    """Return the region of a request's signature; empty when there is none."""
    match = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    return match[3] if match else ""


def of(request: Request) -> tuple[str, str]:
    """Return the bucket and the object's key, decoded; empty for none.

    `/backups/redis/a.rdb` → `("backups", "redis/a.rdb")`; `/redis/a.rdb` at the host `backups.localhost:8421` → the
    same.
    """
    host = request.headers.get("host", "").partition(":")[0]
    first, dot, _ = host.partition(".")
    path = unquote(request.path[1:])
    if dot and not _IP_ADDRESS.fullmatch(host):
        return first, path
    bucket, _, key = path.partition("/")
    return bucket, key

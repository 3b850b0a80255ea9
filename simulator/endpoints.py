"""Endpoints of regions: one port serves them all.

`http://127.0.0.1:PORT/cn-hangzhou` is the endpoint of that region, and needs no host name. (The SDKs put such a path in
front of their own, and do not sign it.) Where host names resolve, `http://cn-hangzhou.localhost:PORT` is the same.
`http://127.0.0.1:PORT` is the endpoint of every region.
"""

from __future__ import annotations

import re
from dataclasses import replace

from simulator.oss import address
from simulator.server import Request

_REGION = re.compile(r"[a-z]{2}-[a-z]+(-\d+)?(-[a-z]+)*")


def with_region(request: Request) -> Request:
    """Return the request with its endpoint's region filled in, and without the region in its path.

    `/cn-hangzhou/?Action=…` → path `/`, region `cn-hangzhou`; `/?Action=…` → path `/`, region None. A path of OSS's
    begins with a bucket, and its signature has the region.
    """
    if address.is_oss(request.headers):
        return request
    first, slash, rest = request.path[1:].partition("/")
    if slash and _REGION.fullmatch(first):
        return replace(request, path=f"/{rest}", region=first)
    for label in request.headers.get("host", "").partition(":")[0].split("."):
        if _REGION.fullmatch(label):
            return replace(request, region=label)
    return request

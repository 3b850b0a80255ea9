"""Which region an endpoint stands for.

One port serves every region. `http://127.0.0.1:PORT/cn-hangzhou` is the endpoint of that region, which needs no names
to resolve (the SDKs put such a path before their own and leave it out of the signature); where names do, so is
`cn-hangzhou.localhost:PORT`. `http://127.0.0.1:PORT` stands for any.
"""

from __future__ import annotations

import re
from dataclasses import replace

from simulator.server import Request

_REGION = re.compile(r"[a-z]{2}-[a-z]+(-\d+)?(-[a-z]+)*")


def localise(request: Request) -> Request:
    """The request with its endpoint's region filled in, and the region's part of the path taken off."""
    first, slash, rest = request.path[1:].partition("/")
    if slash and _REGION.fullmatch(first):
        return replace(request, path=f"/{rest}", region=first)
    for label in request.headers.get("host", "").partition(":")[0].split("."):
        if _REGION.fullmatch(label):
            return replace(request, region=label)
    return request

"""Ranges of an object, as the header `Range` asks for them."""

from __future__ import annotations

import re

from simulator.oss import errors

_RANGE = re.compile(r"bytes=(\d*)-(\d*)(?:,.*)?")


def range_of(text: str, size: int, *, standard: bool = False) -> tuple[int, int] | None:
    """Return where a range begins and ends in an object of `size` bytes; None when all of it is sent.

    `"bytes=0-8"` → `(0, 9)`; `"bytes=-9"` → `(size - 9, size)`; `"bytes=9-"` → `(9, size)`. Of several ranges the first
    counts, and one that is not inside the object does not count:
    https://www.alibabacloud.com/help/en/oss/how-to-obtain-oss-resources-by-segmenting-http-range-requests

    `standard`: as HTTP has it instead. One that is partly inside is cut. Raise ApiError (416) for one that is outside.
    """
    match = _RANGE.fullmatch(text)
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    start, stop = (int(first), int(last) + 1 if last else size) if first else (size - int(last), size)
    if 0 <= start < stop <= size:
        return start, stop
    if not standard:
        return None
    if start >= min(size, stop):
        raise errors.invalid_range(size)
    return max(0, start), min(size, stop)

"""Read and write RFC 3339 times. Inside the function a time is an aware `datetime` in UTC."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

UTC = timezone.utc
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)


def parse(text: str) -> datetime:
    """Read an RFC 3339 time, to the microsecond. Raise ValueError if the string is not one, or has no offset.

    `"2026-11-24T10:00:00+08:00"` → 2026-11-24 02:00:00 UTC.
    """
    match = _RFC3339.fullmatch(text.strip())
    if not match:
        raise ValueError("not an RFC 3339 time")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    micros = int((match[7] or "0")[:6].ljust(6, "0"))
    offset = timedelta(0)
    if match[9]:
        if int(match[10]) > 23 or int(match[11]) > 59:
            raise ValueError("not an RFC 3339 offset")
        offset = timedelta(hours=int(match[10]), minutes=int(match[11])) * (-1 if match[9] == "-" else 1)
    leap = second == 60  # RFC 3339 allows a leap second; datetime does not
    moment = datetime(year, month, day, hour, minute, 59 if leap else second, micros, UTC)
    try:
        return moment + timedelta(seconds=1 if leap else 0) - offset
    except OverflowError as error:
        raise ValueError("out of range") from error


def render(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC, so that `parse` returns exactly this time.

    2026-11-24 02:00:00.25 UTC → `"2026-11-24T02:00:00.25Z"`; without a fraction `"2026-11-24T02:00:00Z"`.
    """
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{moment.microsecond:06d}".rstrip("0") + "Z" if moment.microsecond else f"{text}Z"


def from_epoch(seconds: float) -> datetime:
    """Return the UTC time so many seconds after 1970-01-01T00:00:00Z: `1795485600` → 2026-11-24 02:00:00 UTC."""
    return datetime.fromtimestamp(seconds, UTC)

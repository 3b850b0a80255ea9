"""RFC 3339 times. Inside the function a time is an aware `datetime` in UTC."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

UTC = timezone.utc
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)


def parse(text: str) -> datetime:
    """The UTC time of an RFC 3339 text, to the microsecond. Raise ValueError if it is none, or bears no offset."""
    match = _RFC3339.fullmatch(text.strip())
    if not match:
        raise ValueError("no RFC 3339 time")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    micros = int((match[7] or "0")[:6].ljust(6, "0"))
    offset = timedelta(0)
    if match[9]:
        if int(match[10]) > 23 or int(match[11]) > 59:
            raise ValueError("no RFC 3339 offset")
        offset = timedelta(hours=int(match[10]), minutes=int(match[11])) * (-1 if match[9] == "-" else 1)
    leap = second == 60  # RFC 3339 allows a leap second; datetime does not
    moment = datetime(year, month, day, hour, minute, 59 if leap else second, micros, UTC)
    try:
        return moment + timedelta(seconds=1 if leap else 0) - offset
    except OverflowError as error:
        raise ValueError("out of range") from error


def render(moment: datetime) -> str:
    """RFC 3339 in UTC, with a fraction only where there is one: exact, so that `parse` gives it back."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{moment.microsecond:06d}".rstrip("0") + "Z" if moment.microsecond else f"{text}Z"


def from_epoch(seconds: float) -> datetime:
    """The UTC time that many seconds after 1970-01-01T00:00:00Z."""
    return datetime.fromtimestamp(seconds, UTC)

"""Reads the parameters of R-KVStore's operations. Each function raises ApiError for a bad value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TypeVar

from simulator.kvstore import errors
from simulator.kvstore.state import RETENTION_DEFAULT

Parameters = Mapping[str, str]
T = TypeVar("T")
MAX_TAGS = 5


def retention_days(values: Parameters) -> int:
    """Return BackupRetentionPeriod: `"30"` → 30, `"-1"` → -1 (for ever), absent → 7."""
    text = values.get("BackupRetentionPeriod")
    if text is None:
        return RETENTION_DEFAULT
    if not re.fullmatch(r"-1|\d{1,4}", text) or not (int(text) == -1 or 7 <= int(text) <= 730):
        raise errors.malformed("BackupRetentionPeriod")
    return int(text)


def job_id(values: Parameters) -> int | None:
    """Return BackupJobId: `"10001"` → 10001, absent → None."""
    text = values.get("BackupJobId")
    if text is None:
        return None
    if not re.fullmatch(r"\d+", text):
        raise errors.malformed("BackupJobId")
    return int(text)


def flag(values: Parameters, name: str) -> bool:
    """Return a boolean, False by default: `"true"` and `"True"` → True. (The documents write it both ways.)"""
    text = values.get(name, "false").lower()
    if text not in ("true", "false"):
        raise errors.malformed(name)
    return text == "true"


def window(values: Parameters) -> tuple[float, float]:
    """Return StartTime and EndTime in seconds since 1970.

    EndTime "must be later than" StartTime, says the document of DescribeBackups, and names no code for one that is not.
    R-KVStore's documents have one code for a bad EndTime, InvalidEndTime.Malformed.
    """
    begin, end = _minute(values, "StartTime"), _minute(values, "EndTime")
    if end <= begin:
        raise errors.malformed("EndTime")
    return begin, end


def _minute(values: Parameters, name: str) -> float:
    """Return the named time in seconds since 1970: `"2026-11-24T02:00Z"` → 1795485600.0."""
    text = values.get(name)
    if not text:
        raise errors.missing(name)
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        raise errors.malformed(name) from None


def tags(values: Parameters) -> dict[str, str]:
    """Return the tags: `Tag.1.Key=env`, `Tag.1.Value=production` → `{"env": "production"}`."""
    numbers = [match[1] for name in values if (match := re.fullmatch(r"Tag\.(\d+)\.Key", name))]
    if len(numbers) > MAX_TAGS:
        raise errors.malformed("Tag")
    return {values[f"Tag.{number}.Key"]: values.get(f"Tag.{number}.Value", "") for number in numbers}


def page(entries: Sequence[T], values: Parameters, sizes: range | tuple[int, ...]) -> tuple[Sequence[T], int, int]:
    """Return one page of the entries, its PageNumber (from 1) and its PageSize, which must be one of `sizes`."""
    number, size = values.get("PageNumber", "1"), values.get("PageSize", "30")
    if not number.isdigit() or int(number) < 1:
        raise errors.malformed("PageNumber")
    if not size.isdigit() or int(size) not in sizes:
        raise errors.malformed("PageSize")
    first = (int(number) - 1) * int(size)
    return entries[first : first + int(size)], int(number), int(size)

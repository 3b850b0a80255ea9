"""The values that a request's fields take: each reader returns the value, or raises what a wrong one deserves."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from redis_backup.request.instances import REGION
from redis_backup.settings import is_retention

MAX_TAGS = 5  # DescribeInstances takes no more
JOB_MARK = re.compile(r"[A-Za-z0-9_.:-]{1,80}")  # a job ID, or what the function itself wrote beside it


def words(text: str) -> list[str]:
    """The words of a text, which commas and white space separate."""
    return [word for word in re.split(r"[,\s]+", text) if word]


def as_list(value: Any) -> list[Any]:
    """A list as it is, anything else as the only item of one."""
    return value if isinstance(value, list) else [value]


def one_line(value: Any) -> str:
    """A text in one line that any stream can write: white space and what ends lines become blanks."""
    if not isinstance(value, str):
        raise TypeError
    return " ".join(value.encode("utf-8", "replace").decode().split())


def json_error(text: str) -> str | None:
    """Where a text that was to be JSON is none; None for one that was not."""
    try:
        json.loads(text if text.lstrip()[:1] in ("{", "[") else "0")
    except json.JSONDecodeError as error:
        return f"no valid JSON (line {error.lineno}, column {error.colno}: {error.msg})"
    except ValueError:  # CPython reads no integer of more than 4,300 digits
        return "no valid JSON that can be read: a number in it is too long"
    except RecursionError:
        return "nested too deeply"
    return None


def quote(value: Any) -> str:
    """A value in a message: short, and in one line."""
    try:
        text = json.dumps(value, default=str)
    except RecursionError:
        return "a value that is nested too deeply"
    return text if len(text) <= 60 else text[:57] + "…"


def json_type(value: Any) -> str:
    """What a JSON value that is neither object, list nor text is called."""
    return "true or false" if isinstance(value, bool) else "a number" if isinstance(value, (int, float)) else "null"


def region(value: Any) -> str:
    """A region's name."""
    if not REGION.fullmatch(value):
        raise ValueError
    return str(value)


def tags(value: Any) -> dict[str, str]:
    """Tags by their keys."""
    if not 1 <= len(value) <= MAX_TAGS or not all(isinstance(text, str) and key for key, text in value.items()):
        raise ValueError
    for key, text in value.items():
        (key + text).encode()  # UnicodeEncodeError, a ValueError, for half a character
    return dict(value)


def not_negative(value: Any) -> int:
    """A whole number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def minutes(value: Any) -> timedelta:
    """So many minutes, at most ten years: older than any backup is kept, and a date that exists."""
    if not_negative(value) > 5_256_000:
        raise ValueError
    return timedelta(minutes=value)


def retention(value: Any) -> int:
    """A retention period in days."""
    if isinstance(value, bool) or not isinstance(value, int) or not is_retention(value):
        raise ValueError
    return value


def boolean(value: Any) -> bool:
    """True or false, and no word for it."""
    if not isinstance(value, bool):
        raise TypeError
    return value


def reason(value: Any) -> str:
    """A text of at most 200 characters."""
    if len(value) > 200:
        raise ValueError
    return one_line(value)

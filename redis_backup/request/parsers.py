"""Read the values of a request's fields. Each parser returns the value, or raises ValueError, TypeError or
AttributeError if the value is wrong.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from redis_backup.settings import REGION, is_retention
from redis_backup.states import Proof

# https://www.alibabacloud.com/help/en/redis/developer-reference/api-r-kvstore-2015-01-01-describeinstances-redis
MAX_TAGS = 5  # of one call of DescribeInstances
JOB_MARK = re.compile(r"[A-Za-z0-9_.:-]{1,80}")  # a job ID, or a mark that the function wrote beside it


def words(text: str) -> list[str]:
    """Split a string at commas and white space: `"r-1, r-2\\n"` → `["r-1", "r-2"]`."""
    return [word for word in re.split(r"[,\s]+", text) if word]


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, anything else as the only item of a list: `"r-1"` → `["r-1"]`."""
    return value if isinstance(value, list) else [value]


def one_line(value: Any) -> str:
    """Return a string in one line that can be written as UTF-8: `"a\\n b"` → `"a b"`. Raise TypeError for others."""
    if not isinstance(value, str):
        raise TypeError
    return " ".join(value.encode("utf-8", "replace").decode().split())


def json_error(text: str) -> str | None:
    """Return why a string that begins like JSON is not valid; None if it is valid, or does not begin like JSON.

    `'{"a": }'` → `"not valid JSON (line 1, column 7: Expecting value)"`; `"r-1"` → None.
    """
    try:
        json.loads(text if text.lstrip()[:1] in ("{", "[") else "0")
    except json.JSONDecodeError as error:
        return f"not valid JSON (line {error.lineno}, column {error.colno}: {error.msg})"
    except ValueError:  # CPython reads no integer of more than 4,300 digits
        return "JSON with a number that is too long"
    except RecursionError:
        return "JSON that is nested too deeply"
    return None


def quote(value: Any) -> str:
    """Return a value as a message shows it, in one line of at most 60 characters: `{"a": 1}` → `'{"a": 1}'`."""
    try:
        text = json.dumps(value, default=str)
    except RecursionError:
        return "a value that is nested too deeply"
    return text if len(text) <= 60 else text[:57] + "…"


def json_type(value: Any) -> str:
    """Return the name of the type of a JSON value that is not an object, list or string: `True` → `"a boolean"`."""
    return "a boolean" if isinstance(value, bool) else "a number" if isinstance(value, (int, float)) else "null"


def region(value: Any) -> str:
    """Read a region's name: `"cn-hangzhou"` → `"cn-hangzhou"`."""
    if not REGION.fullmatch(value):
        raise ValueError
    return str(value)


def tags(value: Any) -> dict[str, str]:
    """Read 1 to 5 tags: `{"env": "production"}` → the same."""
    if not 1 <= len(value) <= MAX_TAGS or not all(isinstance(text, str) and key for key, text in value.items()):
        raise ValueError
    for key, text in value.items():
        (key + text).encode()  # UnicodeEncodeError, a ValueError, for half a character
    return dict(value)


def not_negative(value: Any) -> int:
    """Read an integer of 0 or more: `15` → `15`; `True`, `1.5` and `"15"` are errors."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def minutes(value: Any) -> timedelta:
    """Read a number of minutes, at most ten years, since no backup is older: `15` → `timedelta(minutes=15)`."""
    if not_negative(value) > 5_256_000:
        raise ValueError
    return timedelta(minutes=value)


def retention(value: Any) -> int:
    """Read a retention period in days: `30` → `30`, `-1` → `-1`."""
    if isinstance(value, bool) or not isinstance(value, int) or not is_retention(value):
        raise ValueError
    return value


def boolean(value: Any) -> bool:
    """Read a boolean: `true` → `True`; strings and numbers are errors."""
    if not isinstance(value, bool):
        raise TypeError
    return value


def verify(value: Any) -> str:
    """Read how much of a backup has to be verified: `"full"` → the same."""
    Proof.from_fields(value, False)
    return str(value)


def reason(value: Any) -> str:
    """Read a string of at most 200 characters: `"release\\n42"` → `"release 42"`."""
    if len(value) > 200:
        raise ValueError
    return one_line(value)

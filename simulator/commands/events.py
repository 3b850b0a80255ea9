"""Read the trigger and the time of an event file, so that a sample seems to happen just then."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d|PRC)")


def is_queued(payload: bytes) -> bool:
    """Return whether its trigger invokes asynchronously, so that failures are retried: timers and EventBridge."""
    return any("triggerName" in event or "specversion" in event for event in _events(payload))


def time_of(payload: bytes) -> float | None:
    """Return the latest time in the event, in seconds since 1970; None when it has no time."""
    times = [moment for event in _events(payload) for text in _times(event) if (moment := epoch(text)) is not None]
    return max(times, default=None)


def epoch(text: object) -> float | None:
    """Read a time in seconds: RFC 3339, digits (ms), or EventBridge's `…PRC` (UTC+8); None if it is none of them."""
    if str(text).isdigit():
        return int(str(text)) / 1000
    match = _RFC_3339.fullmatch(str(text))
    if not match:
        return None
    offset = {"Z": "+00:00", "z": "+00:00", "PRC": "+08:00"}.get(match[4], match[4])
    try:
        return datetime.fromisoformat(f"{match[1]}T{match[2]}{offset}").timestamp() + float(match[3] or 0)
    except ValueError:
        return None


def _times(event: dict[str, Any]) -> Iterator[object]:
    for name in ("triggerTime", "time", "aliyunpublishtime"):
        yield event.get(name)
    context = event.get("requestContext")
    yield context.get("timeEpoch") if isinstance(context, dict) else None


def _events(payload: bytes) -> Iterator[dict[str, Any]]:
    """Return the objects of a payload: one object, or a list of objects or of their JSON."""
    value = _parsed(payload)
    for each in value if isinstance(value, list) else [value]:
        event = _parsed(each.encode()) if isinstance(each, str) else each
        if isinstance(event, dict):
            yield event


def _parsed(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return None

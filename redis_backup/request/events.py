"""From the bytes that FC hands over to the requests in them: which trigger it was, when, and where the fields are.

    bytes ─► timer        payload ───────────────┐
             CloudEvent   data, else subject ────┤
             HTTP         body ──────────────────┼─► Event.fields ─► redis_backup.request.reader
             manual       the whole event ───────┤
             list         each item, as above ───┘

The shapes are those of Function Compute's and EventBridge's documents; `events/` has a sample of each.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from redis_backup import timestamps
from redis_backup.errors import InvalidRequest

MAX_BODY = 1_000_000  # characters; 10,000 instances with their jobs need less
MAX_ID = 256  # characters of a trigger's ID; it goes along with every follow-up
_BOM = "\ufeff"


class JsonObject(dict[str, Any]):
    """A JSON object. `repeated`: names that it has twice with different values, of which a dict keeps the last."""

    repeated: tuple[str, ...] = ()

    @classmethod
    def from_pairs(cls, pairs: list[tuple[str, Any]]) -> JsonObject:
        """Return the object of these names and values, as `json.loads` takes them for its `object_pairs_hook`."""
        found = cls(pairs)
        found.repeated = tuple(
            dict.fromkeys(name for name, value in pairs if value is not found[name] and value != found[name])
        )
        return found


class TriggerKind(str, Enum):
    """What invoked the function."""

    TIMER = "timer"
    EVENTBRIDGE = "eventbridge"
    HTTP = "http"
    MANUAL = "manual"
    FOLLOW = "follow"


@dataclass(frozen=True)
class Event:
    """One request as it arrived, its fields not yet looked at.

    `fields` is whatever JSON stood where the request sits: an object, a list, a text, or None. `since` is the
    trigger's time, None where it has none. `strict`: a field that is not ours is refused. `error`: why the fields could
    not be read at all.
    """

    kind: TriggerKind
    id: str
    place: str
    fields: Any
    since: datetime | None = None
    strict: bool = False
    subject: str = ""
    method: str = ""
    warning: str = ""
    error: str = ""


def read_events(raw: bytes | str, request_id: str) -> list[Event]:
    """Take an event apart. Raise InvalidRequest where not even its shape can be read; no event is ever quoted."""
    if isinstance(raw, bytes):
        try:
            raw = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InvalidRequest(
                [f"the event is {len(raw)} bytes that are no UTF-8 text: it takes JSON or instance IDs"]
            ) from None
    value = _json_or_text(raw)
    if isinstance(value, list):
        items = [_json_or_text(item) for item in value]
        if any(isinstance(item, dict) for item in items):
            return [_classify(item, request_id) for item in items]
    return [_classify(value, request_id)]


def _classify(value: Any, request_id: str) -> Event:
    if isinstance(value, dict):
        if "triggerTime" in value and ("triggerName" in value or "payload" in value):
            return _timer(value)
        if "specversion" in value or ("id" in value and "source" in value and "type" in value):
            return _cloud_event(value)
        if isinstance(value.get("requestContext"), dict):
            return _http(value)
        if "follow" in value:
            return Event(TriggerKind.FOLLOW, request_id, "event", value, strict=True)
    return Event(TriggerKind.MANUAL, request_id, "event", value, strict=True)


def _timer(value: Mapping[str, Any]) -> Event:
    name, fired = _text(value.get("triggerName")), _text(value.get("triggerTime"))
    since = _time_or_none(fired)
    return Event(
        TriggerKind.TIMER,
        _id(f"{name}@{timestamps.render(since) if since else fired}"),
        "timer payload",
        _json_or_text(value.get("payload")),
        since,
        strict=True,
        warning="" if since else "the timer's triggerTime is no RFC 3339 time; since is now",
    )


def _cloud_event(value: Mapping[str, Any]) -> Event:
    """`since` must be the same at every delivery, so a `time` that cannot be right gives way to the publish time."""
    sent, published = _time_or_none(value.get("time")), _publish_time(value.get("aliyunpublishtime"))
    since = published if sent is None or (published is not None and sent > published) else sent
    data = value.get("data")
    if data is None:
        data = value.get("data_base64")
    return Event(
        TriggerKind.EVENTBRIDGE,
        _id(value.get("id")),
        "CloudEvent data",
        _json_base64_or_text(data),
        since,
        subject=_text(value.get("subject")),
        warning=""
        if since
        else "the CloudEvent has neither an RFC 3339 time nor an aliyunpublishtime; since is now, "
        "so a repeat of it may start another backup: let the sender set `time`",
    )


def _http(value: Mapping[str, Any]) -> Event:
    about: Mapping[str, Any] = value["requestContext"]
    http = about.get("http")
    since: datetime | None
    try:
        since = timestamps.from_epoch(int(about.get("timeEpoch", "")) / 1000)
    except (TypeError, ValueError, OverflowError, OSError):
        since = _time_or_none(about.get("time"))
    body, fields, why_not = value.get("body"), None, ""
    try:
        if isinstance(body, str) and len(body) > MAX_BODY:
            raise ValueError(f"is {len(body)} characters long")
        if isinstance(body, str) and value.get("isBase64Encoded") is True:
            body = base64.b64decode(body, validate=True).decode("utf-8-sig")
        fields = _json_or_text(body)
    except UnicodeDecodeError:
        why_not = "HTTP body holds bytes that are no UTF-8 text: it takes a JSON object"
    except binascii.Error:
        why_not = "HTTP body is no base64, though isBase64Encoded says so: it takes a JSON object"
    except ValueError as error:
        why_not = f"HTTP body {error}: it takes a JSON object of at most {MAX_BODY}"
    event = Event(
        TriggerKind.HTTP,
        _text(about.get("requestId")),
        "HTTP body",
        fields,
        since,
        method=_text(http.get("method")).upper() if isinstance(http, dict) else "",
        error=why_not,
    )
    return _posted_cloud_event(event, value.get("headers"))


def _posted_cloud_event(event: Event, headers: Any) -> Event:
    """An HTTP request whose body is a CloudEvent, or whose headers `ce-*` make it one: its data, time and subject."""
    attributes: dict[str, Any] = {"data": event.fields}
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if str(name).lower().startswith("ce-"):
            attributes[str(name)[3:].lower()] = value[0] if isinstance(value, list) and value else value
    if isinstance(event.fields, dict) and "specversion" in event.fields:
        attributes = event.fields
    if "specversion" not in attributes:
        return event
    inner = _cloud_event(attributes)
    return replace(
        event,
        id=inner.id or event.id,
        place="CloudEvent data",
        fields=inner.fields,
        since=inner.since or event.since,
        subject=inner.subject,
    )


def _json_or_text(value: Any) -> Any:
    """The JSON that a text holds, texts in texts included; a text that is no JSON as it is; None for an empty one."""
    for _ in range(3):
        if not isinstance(value, str):
            return value
        value = value.lstrip(_BOM)
        if not value.strip():
            return None
        try:
            value = json.loads(value, object_pairs_hook=JsonObject.from_pairs)
        except (ValueError, RecursionError):
            return value
    return value


def _json_base64_or_text(value: Any) -> Any:
    decoded = _json_or_text(value)
    if isinstance(decoded, str):
        try:
            return _json_or_text(base64.b64decode("".join(decoded.split()), validate=True).decode("utf-8-sig"))
        except ValueError:  # neither base64 nor, inside, UTF-8
            pass
    return decoded


def _text(value: Any) -> str:
    """A short text in one line, whatever the value was."""
    return " ".join(str(value).encode("utf-8", "replace").decode().split()) if isinstance(value, (str, int)) else ""


def _id(value: Any) -> str:
    """A trigger's ID, a very long one cut and made unique again by a digest of the whole."""
    text = _text(value)
    return text if len(text) <= MAX_ID else f"{text[: MAX_ID - 17]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _time_or_none(value: Any) -> datetime | None:
    try:
        return timestamps.parse(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _publish_time(value: Any) -> datetime | None:
    """EventBridge's `aliyunpublishtime`: RFC 3339, or ending in `PRC`, which is UTC+8."""
    if isinstance(value, str) and value.strip().endswith("PRC"):
        value = value.strip()[:-3].strip() + "+08:00"
    return _time_or_none(value)

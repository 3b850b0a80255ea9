"""Read the bytes that FC passes to the function: which trigger invoked it, when, and its fields.

    bytes ─► timer        payload ───────────────┐
             CloudEvent   data, else subject ────┤
             HTTP         body ──────────────────┼─► Event.fields ─► redis_backup.request.reader
             manual       the whole event ───────┤
             list         each item, as above ───┘

The folder `events/` of the repository has an example of each shape. They are documented here:
https://www.alibabacloud.com/help/en/functioncompute/fc-3-0/user-guide/formats-of-event-for-different-triggers-1
https://www.alibabacloud.com/help/en/functioncompute/fc-3-0/user-guide/http-trigger-invoking-function
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
_CLOUD_EVENT_DATA = "CloudEvent data"  # an event's `place`


class JsonObject(dict[str, Any]):
    """A JSON object. `repeated`: names that it has twice with different values, of which a dict keeps the last."""

    repeated: tuple[str, ...] = ()

    @classmethod
    def from_pairs(cls, pairs: list[tuple[str, Any]]) -> JsonObject:
        """Return the object of these names and values, as `json.loads` takes them for its `object_pairs_hook`."""
        found = cls(pairs)
        found.repeated = tuple(dict.fromkeys(name for name, value in pairs if differ(value, found[name])))
        return found


def differ(one: Any, other: Any) -> bool:
    """Return whether two JSON values differ in meaning: 1 and true do, though Python takes them for equal."""
    if one is other:  # NaN is not equal to itself
        return False
    if one != other or isinstance(one, bool) is not isinstance(other, bool):
        return True
    return bool(getattr(one, "repeated", ()) != getattr(other, "repeated", ()))


class TriggerKind(str, Enum):
    """The kind of a trigger. FOLLOW: the function itself, by a follow-up (see `redis_backup.followups.payload`)."""

    TIMER = "timer"
    EVENTBRIDGE = "eventbridge"
    HTTP = "http"
    MANUAL = "manual"
    FOLLOW = "follow"

    @property
    def has_caller(self) -> bool:
        """Return whether somebody reads the answer. For the other kinds, an error has to be raised.

        A caller asks again when it likes, so the ID of its request is a new one each time.
        """
        return self in (TriggerKind.HTTP, TriggerKind.MANUAL)


@dataclass(frozen=True)
class Event:
    """One request as it arrived; its fields are not checked yet.

    `id`: the trigger's ID; `place`: what messages call the part of the event that has the fields. `fields`: any JSON
    value that stood there: an object, a list, a string, or None. `since`: the trigger's time, None if it has none.
    `strict`: an unknown field is an error. `error`: why the fields could not be read at all.
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

    @property
    def fields_are_ours(self) -> bool:
        """Return whether the fields were written for this function: a CloudEvent's data may be for others, too."""
        return self.place != _CLOUD_EVENT_DATA


def read_events(raw: bytes | str, request_id: str) -> list[Event]:
    """Read the requests of an event. Raise InvalidRequest if its shape cannot be read. No message quotes an event.

    `b'{"instance_ids": "r-1"}'` → one `Event` of kind MANUAL with these fields;
    `b'{"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "nightly", "payload": "r-1"}'` → one of kind TIMER with
    the ID `nightly@2026-11-24T02:00:00Z` and the fields `"r-1"`; a list of CloudEvents → one `Event` for each.
    """
    if isinstance(raw, bytes):
        try:
            raw = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InvalidRequest(
                [f"the event is {len(raw)} bytes that are not UTF-8; send JSON or instance IDs"]
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
    name, fired = _one_line(value.get("triggerName")), _one_line(value.get("triggerTime"))
    since = _time_or_none(fired)
    return Event(
        TriggerKind.TIMER,
        _trigger_id(f"{name}@{timestamps.render(since) if since else fired}"),
        "timer payload",
        _json_or_text(value.get("payload")),
        since,
        strict=True,
        warning="" if since else "the timer's triggerTime is not an RFC 3339 time; the current time is used as since",
        error=_given_twice(value, "timer event", ("triggerTime", "triggerName", "payload")),
    )


def _cloud_event(value: Mapping[str, Any]) -> Event:
    """Read a CloudEvent. `since` must be the same at every delivery; a `time` after the publish time is not used.

    `{"id": "e1", "time": "2026-11-24T02:00:00Z", "data": {"instance_ids": "r-1"}}` → `Event(EVENTBRIDGE, "e1",
    "CloudEvent data", {"instance_ids": "r-1"}, 2026-11-24 02:00:00 UTC)`.
    """
    sent, published = _time_or_none(value.get("time")), _publish_time(value.get("aliyunpublishtime"))
    since = published if sent is None or (published is not None and sent > published) else sent
    data = value.get("data")
    if data is None:
        data = value.get("data_base64")
    return Event(
        TriggerKind.EVENTBRIDGE,
        _trigger_id(value.get("id")),
        _CLOUD_EVENT_DATA,
        _json_base64_or_text(data),
        since,
        subject=_one_line(value.get("subject")),
        warning=""
        if since
        else "the CloudEvent has neither an RFC 3339 time nor an aliyunpublishtime; the current time is used as since, "
        "so another delivery of it may start another backup; set `time` in the sender",
        error=_given_twice(value, "CloudEvent", ("time", "subject", "data", "data_base64")),
    )


def _given_twice(value: Mapping[str, Any], place: str, names: tuple[str, ...]) -> str:
    """Return the error of an event whose JSON has one of these names twice, with different values; "" if none."""
    repeated = [name for name in names if name in getattr(value, "repeated", ())]
    return f"the {place} has {' and '.join(repeated)} twice, with different values; send one" if repeated else ""


def _http(value: Mapping[str, Any]) -> Event:
    context: Mapping[str, Any] = value["requestContext"]
    http = context.get("http")
    since: datetime | None
    try:
        since = timestamps.from_epoch(int(context.get("timeEpoch", "")) / 1000)
    except (TypeError, ValueError, OverflowError, OSError):
        since = _time_or_none(context.get("time"))
    body, fields, error_text = value.get("body"), None, ""
    try:
        if isinstance(body, str) and len(body) > MAX_BODY:
            raise ValueError(f"is {len(body)} characters long")
        if isinstance(body, str) and value.get("isBase64Encoded") is True:
            body = base64.b64decode(body, validate=True).decode("utf-8-sig")
        fields = _json_or_text(body)
    except UnicodeDecodeError:
        error_text = "the HTTP body is not UTF-8; send a JSON object"
    except binascii.Error:
        error_text = "the HTTP body is not base64, although isBase64Encoded is true; send a JSON object"
    except ValueError as error:
        error_text = f"the HTTP body {error}; send a JSON object of at most {MAX_BODY} characters"
    event = Event(
        TriggerKind.HTTP,
        _one_line(context.get("requestId")),
        "HTTP body",
        fields,
        since,
        method=_one_line(http.get("method")).upper() if isinstance(http, dict) else "",
        error=error_text,
    )
    return _posted_cloud_event(event, value.get("headers"))


def _posted_cloud_event(event: Event, headers: Any) -> Event:
    """Read a CloudEvent in an HTTP request, by its body or its headers `ce-*`; return any other event as it is.

    `Event(HTTP, "1-65", "HTTP body", "r-1"), {"ce-specversion": "1.0", "ce-id": "e1"}` →
    `Event(HTTP, "e1", "CloudEvent data", "r-1")`.
    """
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
        place=_CLOUD_EVENT_DATA,
        fields=inner.fields,
        since=inner.since or event.since,
        subject=inner.subject,
        error=event.error or inner.error,
    )


def _json_or_text(value: Any) -> Any:
    """Read the JSON in a string, up to three times; a string that is not JSON stays as it is; an empty one is None.

    `'{"a": 1}'` → `{"a": 1}`; `'"[1]"'` → `[1]`; `"r-1"` → `"r-1"`; `" "` → None; what is not a string → itself.
    """
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
    """Read the JSON in a string that may be base64: `"eyJhIjogMX0="` → `{"a": 1}`."""
    decoded = _json_or_text(value)
    if isinstance(decoded, str):
        try:
            return _json_or_text(base64.b64decode("".join(decoded.split()), validate=True).decode("utf-8-sig"))
        except ValueError:  # neither base64 nor, inside, UTF-8
            pass
    return decoded


def _one_line(value: Any) -> str:
    """Return a string or an integer as a string in one line, anything else as an empty one: `"a\\n b"` → `"a b"`."""
    return " ".join(str(value).encode("utf-8", "replace").decode().split()) if isinstance(value, (str, int)) else ""


def _trigger_id(value: Any) -> str:
    """Return a trigger's ID; a very long one is cut, and a digest of the whole keeps it unique."""
    text = _one_line(value)
    return text if len(text) <= MAX_ID else f"{text[: MAX_ID - 17]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _time_or_none(value: Any) -> datetime | None:
    try:
        return timestamps.parse(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _publish_time(value: Any) -> datetime | None:
    """Read EventBridge's `aliyunpublishtime`: RFC 3339, or with `PRC` at its end for UTC+8; None if it is neither.

    `"2026-11-24T10:00:00PRC"` → 2026-11-24 02:00:00 UTC.
    """
    if isinstance(value, str) and value.strip().endswith("PRC"):
        value = value.strip()[:-3].strip() + "+08:00"
    return _time_or_none(value)

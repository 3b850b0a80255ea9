"""The event that a round delivers, in the shape of its trigger."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from chaos.plan import Plan


def moment(seconds: float) -> str:
    """A time as triggers write it."""
    text = datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def since_of(plan: Plan, since: float) -> list[float]:
    """From when on each instance's backup is to have begun (less `max_age_minutes`), in the fleet's order."""
    earliest = since - 60 * plan.max_age_minutes
    if plan.trigger != "batch":
        return [earliest] * len(plan.instances)
    _, second = _halves(plan)
    return [earliest if number in second else earliest - plan.earlier for number in range(len(plan.instances))]


def build(plan: Plan, since: float, delivered: float) -> Any:
    """The event of one delivery. `since` is the trigger's moment, `delivered` that of this delivery."""
    everything = range(len(plan.instances))
    if plan.trigger == "batch":
        first, second = _halves(plan)
        batch = [
            _cloud_event(plan, 1, _request(plan, first), since - plan.earlier, delivered),
            _cloud_event(plan, 2, _request(plan, second), since, delivered),
        ]
        return [json.dumps(each) for each in batch] if plan.seed % 2 else batch
    request = _request(plan, everything)
    if plan.trigger == "event":
        return _cloud_event(plan, 1, request, since, delivered)
    if plan.trigger == "timer":
        return {"triggerTime": moment(since), "triggerName": "chaos", "payload": json.dumps(request)}
    return asked(plan, {**request, "since": moment(since)}, since)


def asked(plan: Plan, request: dict[str, Any], since: float) -> dict[str, Any]:
    """A manual request, or the same as an HTTP trigger's event."""
    if plan.trigger == "manual":
        return request
    return {
        "version": "v1",
        "rawPath": "/",
        "body": json.dumps(request),
        "isBase64Encoded": False,
        "headers": {},
        "queryParameters": {},
        "requestContext": {
            "accountId": plan.function.account,
            "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1"},
            "requestId": "1-chaos",
            "timeEpoch": str(int(since * 1000)),
        },
    }


def events_in(plan: Plan) -> int:
    """How many requests a delivery holds."""
    return 2 if plan.trigger == "batch" else 1


def _halves(plan: Plan) -> tuple[range, range]:
    """A batch's two events: some instances are named by both, and one may be all there is."""
    count = len(plan.instances)
    return range(count // 2 + 1), range(count) if count < 3 else range(count // 2, count)


def _request(plan: Plan, numbers: range) -> dict[str, Any]:
    request: dict[str, Any] = {"reason": "chaos"}
    if plan.tags and plan.trigger != "batch":
        request["tags"] = {"round": "chaos"}
    else:
        request["instance_ids"] = [plan.instances[number].id for number in numbers]
    for name in ("dry_run", "wait_seconds", "max_age_minutes"):
        if value := getattr(plan, name):
            request[name] = value
    return request


def _cloud_event(plan: Plan, number: int, data: dict[str, Any], time: float, delivered: float) -> dict[str, Any]:
    published = max(time, delivered) if plan.republished else time
    return {
        "id": f"chaos-{plan.seed}-{number}",
        "source": "chaos",
        "specversion": "1.0",
        "type": "chaos:Deploy",
        "time": moment(time),
        "aliyunpublishtime": moment(published),
        "data": data,
    }

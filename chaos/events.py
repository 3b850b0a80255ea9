"""The event of a round, as its trigger sends it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from chaos.plan import Plan
from chaos.proofs import fields_of


def rfc3339(seconds: float) -> str:
    """Return a time as triggers write it: 1795485600.0 → `2026-11-24T02:00:00.000Z`."""
    text = datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def earliest_starts(plan: Plan, since: float) -> list[float]:
    """Return the earliest start time of each instance's backup that satisfies the request, in the fleet's order."""
    earliest = since - 60 * plan.max_age_minutes
    if plan.trigger != "batch":
        return [earliest] * len(plan.instances)
    _, second = plan.halves
    return [earliest if number in second else earliest - plan.first_event_lead for number in range(len(plan.instances))]


def build_event(plan: Plan, since: float, delivered_at: float) -> Any:
    """Return the event of one delivery. `since`: the trigger's time; `delivered_at`: the time of this delivery."""
    everything = range(len(plan.instances))
    level, other_level = (plan.proof.level, plan.proof.other_level) if plan.proof else ("none", "none")
    if plan.trigger == "batch":
        first, second = plan.halves
        batch = [
            _cloud_event(plan, 1, _request(plan, first, other_level), since - plan.first_event_lead, delivered_at),
            _cloud_event(plan, 2, _request(plan, second, level), since, delivered_at),
        ]
        return [json.dumps(each) for each in batch] if plan.seed % 2 else batch
    request = _request(plan, everything, level)
    if plan.trigger == "event":
        return _cloud_event(plan, 1, request, since, delivered_at)
    if plan.trigger == "timer":
        return {"triggerTime": rfc3339(since), "triggerName": "chaos", "payload": json.dumps(request)}
    return manual_event(plan, {**request, "since": rfc3339(since)}, since)


def check_event(plan: Plan) -> dict[str, Any]:
    """Return an event that asks for a check, with the round's instances in every other round."""
    return {"check": True, "instance_ids": [each.id for each in plan.instances] if plan.seed % 2 else []}


def manual_event(plan: Plan, request: dict[str, Any], since: float) -> dict[str, Any]:
    """Return a manual request as it is, or as the event of an HTTP trigger."""
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


def _request(plan: Plan, numbers: range, level: str = "none") -> dict[str, Any]:
    request: dict[str, Any] = {"reason": "chaos", **fields_of(level)}
    if plan.tags and plan.trigger != "batch":
        request["tags"] = {"round": "chaos"}
    else:
        request["instance_ids"] = [plan.instances[number].id for number in numbers]
    for name in ("dry_run", "wait_seconds", "max_age_minutes"):
        if value := getattr(plan, name):
            request[name] = value
    return request


def _cloud_event(plan: Plan, number: int, data: dict[str, Any], time: float, delivered_at: float) -> dict[str, Any]:
    published = max(time, delivered_at) if plan.republished else time
    return {
        "id": f"chaos-{plan.seed}-{number}",
        "source": "chaos",
        "specversion": "1.0",
        "type": "chaos:Deploy",
        "time": rfc3339(time),
        "aliyunpublishtime": rfc3339(published),
        "data": data,
    }

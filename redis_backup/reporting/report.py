"""Make the report of one invocation ("The report" in docs/reference.md), and its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redis_backup import timestamps
from redis_backup.reconcile.work import WorkItem
from redis_backup.reporting.codec import write_instance, write_problem
from redis_backup.request.events import TriggerKind
from redis_backup.request.request import Request
from redis_backup.states import Problem, State


def make_report(
    request_id: str,
    kind: TriggerKind,
    requests: Sequence[Request],
    items: Sequence[WorkItem],
    *,
    shards: Sequence[Mapping[str, Any]] = (),
    is_ok: bool = True,
    problem: Problem | None = None,
) -> dict[str, Any]:
    """Return one report for all requests of an event, of JSON values.

    `shards`: task ID, number of instances and `sent` of each shard, if a request was split; `is_ok`: nothing else has
    failed than the instances show; `problem`: an error of the whole request.
    """
    counts = Counter(item.outcome.state for item in items)
    jobs = {item.instance.key: item.known.encode() for item in items} if not shards else {}
    return {
        "request_id": request_id,
        "trigger": {"kind": kind.value, "id": _joined(request.trigger_id for request in requests)},
        "since": timestamps.render(max(request.since for request in requests)),
        "reason": _joined(request.reason for request in requests) or None,
        "dry_run": all(request.dry_run for request in requests),
        "ok": is_ok and not counts[State.FAILED] and problem is None,
        "done": not any(item.is_open for item in items),
        "counts": {state.value: counts[state] for state in State if counts[state]},
        "jobs": {key: texts for key, texts in jobs.items() if texts},
        **({"shards": list(shards)} if shards else {}),
        "instances": [write_instance(item.instance, item.outcome) for item in items],
        **({"error": write_problem(problem)} if problem else {}),
    }


def log_fields(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report as fields of a record, without lists."""
    return {
        "trigger": report["trigger"]["kind"],
        "trigger_id": report["trigger"]["id"],
        **{name: report[name] for name in ("since", "reason", "dry_run", "ok", "done")},
        **report["counts"],
        "instances": len(report["instances"]),
        "shards": len(report.get("shards", ())) or None,
    }


def _joined(texts: Iterable[str | None]) -> str:
    return ",".join(dict.fromkeys(text for text in texts if text))[:1000]

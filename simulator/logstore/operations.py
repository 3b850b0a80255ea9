"""The operation of the log store: it searches logs by the fields of their records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from simulator.logstore.wire import Log


def matching(
    logs: Iterable[Log], *, instance: str | None = None, job: str | None = None, event: str | None = None
) -> Iterator[Log]:
    """Return the logs whose record has this instance, this job ID (one of several) and this event; None: any."""
    for log in logs:
        record = log.record or {}
        conditions = (
            instance in (None, record.get("instance_id")),
            job is None or job in str(record.get("job_ids", "")).split(","),
            event in (None, record.get("event")),
        )
        if all(conditions):
            yield log

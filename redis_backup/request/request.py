"""A request: instances that are to have a backup that began at or after `since`; and a batch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from redis_backup.request.events import TriggerKind
from redis_backup.request.instances import InstanceRef


@dataclass(frozen=True)
class Totals:
    """What is final already of a request (or shard): counts, and as many keys of failed instances as fit.

    `unlisted`: how many instances have the tags, but were not listed, so that they got no backup.
    """

    succeeded: int = 0
    failed: int = 0
    attempts: int = 0
    first_started: datetime | None = None
    failed_ids: tuple[str, ...] = ()
    unlisted: int = 0


@dataclass(frozen=True)
class FollowUpInfo:
    """What a follow-up knows of the event that it goes on with.

    `first`: when the first invocation began; `due`: when this one is to run (a shard: `since`); `kind` and
    `trigger_id`: the first trigger's; `total`: how many instances the whole request has; `sent_at`: when a prompt
    invocation sent this shard; `shard`: which part of the request it is, such as `3/50`.
    """

    first: datetime
    due: datetime
    kind: TriggerKind
    trigger_id: str
    total: int = 0
    sent_at: datetime | None = None
    totals: Totals = Totals()
    shard: str = ""


@dataclass(frozen=True, eq=False)
class Request:
    """One request, complete. `jobs` maps an instance's key to what earlier answers reported of its jobs."""

    kind: TriggerKind
    trigger_id: str
    since: datetime
    instances: tuple[InstanceRef, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    region: str = ""
    max_age: timedelta = timedelta(0)
    retention_days: int | None = None
    wait_seconds: int = 0
    dry_run: bool = False
    reason: str | None = None
    jobs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    follow_up: FollowUpInfo | None = None
    unlisted: int = 0

    @property
    def earliest_start(self) -> datetime:
        """The earliest start of a backup that satisfies it. R-KVStore lists times in whole seconds, cut off."""
        return (self.since - self.max_age).replace(microsecond=0)

    @property
    def is_shard(self) -> bool:
        """Whether it is a part of a large request that is due at the event's own time."""
        return self.follow_up is not None and self.follow_up.due == self.since

    @property
    def total(self) -> int:
        """How many instances the whole request has, of which this may be a part."""
        return max(len(self.instances), self.follow_up.total if self.follow_up else 0)

    @property
    def earlier_totals(self) -> Totals:
        """What earlier invocations have brought to an end."""
        return self.follow_up.totals if self.follow_up else Totals(unlisted=self.unlisted)


def too_many_instances(count: int, limit: int) -> str:
    """What is said of a request with more instances than one may have."""
    return (
        f"the request names {count} instances: at most {limit} go into one; raise BACKUP_MAX_INSTANCES in the "
        "function's environment, or split the request"
    )


@dataclass(frozen=True)
class SharedInstance:
    """An instance that two events of a batch name: `request` leaves it to the stricter one, `owner`."""

    request: Request
    owner: Request
    instance: InstanceRef


def merge(requests: Sequence[Request]) -> tuple[list[Request], list[SharedInstance]]:
    """Leave each instance to one request: a real one before a dry run, then the one with the latest earliest start.

    Where that one knows of no jobs, it has another's.
    """
    requests = list({_identity(request): request for request in reversed(requests)}.values())[::-1]
    owners: dict[InstanceRef, int] = {}
    jobs: dict[str, tuple[str, ...]] = {}
    for number, request in enumerate(requests):
        for instance in request.instances:
            other = requests[owners.get(instance, number)]
            if (not request.dry_run, request.earliest_start) > (not other.dry_run, other.earliest_start):
                owners[instance] = number
            owners.setdefault(instance, number)
        jobs |= request.jobs
    merged = []
    for number, request in enumerate(requests):
        instances = tuple(instance for instance in dict.fromkeys(request.instances) if owners[instance] == number)
        own_jobs = {each.key: request.jobs.get(each.key) or jobs[each.key] for each in instances if each.key in jobs}
        merged.append(replace(request, instances=instances, jobs=own_jobs))
    shared = [
        SharedInstance(merged[number], merged[owners[instance]], instance)
        for number, request in enumerate(requests)
        for instance in dict.fromkeys(request.instances)
        if owners[instance] != number
    ]
    return merged, shared


def _identity(request: Request) -> tuple[object, ...]:
    """What two deliveries of one event have in common: a batch may hold it twice."""
    content = (request.instances, request.max_age, request.retention_days, request.dry_run, request.reason)
    return (request.kind, request.trigger_id, request.since, *content)

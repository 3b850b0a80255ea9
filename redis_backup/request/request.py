"""Define a request: the instances that have to have a backup which started at or after `since`.

Two words that are used everywhere: a *follow-up* is the same request again, sent by the function to itself, for the
instances that have not reached a final state; a *shard* is a part of a large request, sent in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from redis_backup.request.events import TriggerKind
from redis_backup.request.instances import InstanceRef
from redis_backup.states import Proof


@dataclass(frozen=True)
class Totals:
    """The final part of a request (or shard): numbers of instances and attempts, and as many failed instances as fit.

    `failed_ids`: their keys, `REGION/r-…`; `unlisted`: how many instances with the tags were not listed, so that they
    got no backup.
    """

    succeeded: int = 0
    failed: int = 0
    attempts: int = 0
    first_started: datetime | None = None
    failed_ids: tuple[str, ...] = ()
    unlisted: int = 0


@dataclass(frozen=True)
class FollowUpInfo:
    """The knowledge that a follow-up (or shard) has of the event for which it was sent.

    `first`: when the first invocation began; `due`: when this one has to run (a shard: `since`); `kind` and
    `trigger_id`: the first trigger's; `total`: how many instances the whole request has; `totals`: what earlier
    invocations have finished; `sent_at`: when a prompt invocation (see `redis_backup.reconcile.watch`) sent this shard;
    `shard`: which part of the request it is, such as `3/50`; `is_reading`: it is for one instance, with a backup whose
    files have to be read.
    """

    first: datetime
    due: datetime
    kind: TriggerKind
    trigger_id: str
    total: int = 0
    sent_at: datetime | None = None
    totals: Totals = Totals()
    shard: str = ""
    is_reading: bool = False


@dataclass(frozen=True, eq=False)
class Request:
    """One complete request. `jobs` maps an instance's key to what earlier answers reported of its backup jobs.

    `proof`: what has to be shown of each backup; `raised`: the instances for which another event of its batch asks for
    more. `is_check`: no backups are asked for, but a check of the function (`redis_backup.check`).
    """

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
    is_check: bool = False
    proof: Proof = Proof.NONE
    raised: Mapping[InstanceRef, Proof] = field(default_factory=dict)

    def proof_of(self, instance: InstanceRef) -> Proof:
        """Return what has to be shown of the instance's backup."""
        return self.raised.get(instance, self.proof)

    @property
    def earliest_start(self) -> datetime:
        """Return the earliest start time of a backup that satisfies the request. R-KVStore cuts times to seconds."""
        return (self.since - self.max_age).replace(microsecond=0)

    @property
    def is_shard(self) -> bool:
        """Return whether it is a part of a large request, which is due at the event's own time."""
        return self.follow_up is not None and self.follow_up.due == self.since and not self.follow_up.is_reading

    @property
    def total(self) -> int:
        """Return how many instances the whole request has; this request may be a part of it."""
        return max(len(self.instances), self.follow_up.total if self.follow_up else 0)

    @property
    def earlier_totals(self) -> Totals:
        """Return what earlier invocations have finished."""
        return self.follow_up.totals if self.follow_up else Totals(unlisted=self.unlisted)


def too_many_instances(count: int, limit: int) -> str:
    """Return the message for a request with more instances than it may have."""
    return (
        f"the request names {count} instances but must name at most {limit}; raise BACKUP_MAX_INSTANCES in the "
        "function's environment, or split the request"
    )


@dataclass(frozen=True)
class SharedInstance:
    """An instance that two events of a batch name: `request` leaves it to `owner`, the stricter one."""

    request: Request
    owner: Request
    instance: InstanceRef


def merge(requests: Sequence[Request]) -> tuple[list[Request], list[SharedInstance]]:
    """Give each instance to one request: a real one before a dry run, then the one with the latest earliest start.

    If that request knows no jobs of the instance, it takes another's; and it shows as much as any of them asks for.
    """
    requests = list({_identity(request): request for request in reversed(requests)}.values())[::-1]
    owners: dict[InstanceRef, int] = {}
    jobs: dict[str, tuple[str, ...]] = {}
    proofs: dict[tuple[InstanceRef, bool], Proof] = {}
    for number, request in enumerate(requests):
        for instance in request.instances:
            other = requests[owners.get(instance, number)]
            if (not request.dry_run, request.earliest_start) > (not other.dry_run, other.earliest_start):
                owners[instance] = number
            owners.setdefault(instance, number)
            key = instance, request.dry_run
            proofs[key] = max(proofs.get(key, Proof.NONE), request.proof)
        jobs |= request.jobs
    merged = []
    for number, request in enumerate(requests):
        instances = tuple(instance for instance in dict.fromkeys(request.instances) if owners[instance] == number)
        own_jobs = {each.key: request.jobs.get(each.key) or jobs[each.key] for each in instances if each.key in jobs}
        raised = {each: proofs[each, request.dry_run] for each in instances}
        raised = {each: proof for each, proof in raised.items() if proof > request.proof}
        merged.append(replace(request, instances=instances, jobs=own_jobs, raised=raised))
    shared = [
        SharedInstance(merged[number], merged[owners[instance]], instance)
        for number, request in enumerate(requests)
        for instance in dict.fromkeys(request.instances)
        if owners[instance] != number
    ]
    return merged, shared


def _identity(request: Request) -> tuple[object, ...]:
    """Return what two deliveries of one event have in common; a batch may have it twice."""
    content = (
        request.instances,
        request.max_age,
        request.retention_days,
        request.dry_run,
        request.reason,
        request.proof,
    )
    return (request.kind, request.trigger_id, request.since, *content)

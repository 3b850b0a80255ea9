"""List the instances that have a request's tags."""

from __future__ import annotations

from dataclasses import replace

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.retries import call_with_retries
from redis_backup.alibaba.rkvstore import RKVStore
from redis_backup.alibaba.sdk_errors import unreadable
from redis_backup.backoff import Deadline
from redis_backup.reconcile.work import incomplete_listing
from redis_backup.request.instances import InstanceRef
from redis_backup.request.request import Request
from redis_backup.runtime import Clock
from redis_backup.states import Problem


def select(
    request: Request, client: RKVStore, clock: Clock, deadline: Deadline
) -> tuple[Request, list[tuple[str, Problem]]]:
    """Add the instances of the request's region that have its tags. Return the request, and warnings.

    Raise ApiError if no list can be read. There are two lists: one without a type, and one of type Tair, since the
    first may leave Tair instances out (the API's document names no default type). The instances of one list are backed
    up even if the other list fails. `unlisted` counts the instances that a list left out by its own TotalCount; if the
    first list fails, it is at least 1.
    """
    found: dict[str, None] = {}
    warnings: list[tuple[str, Problem]] = []
    unlisted, first_error = 0, None
    for instance_type in (None, "Tair"):
        try:
            listed, total = _list_tagged(request, client, instance_type, clock, deadline)
        except ApiError as error:
            if first_error:
                raise first_error from None
            if instance_type is None:
                first_error, unlisted = error, 1
            warnings.append((f"the instances of {instance_type or 'all types'} could not be listed", error.problem))
            continue
        found |= dict.fromkeys(listed)
        unlisted = max(unlisted, total - len(listed))
    if first_error and not found:
        raise first_error
    instances = (InstanceRef(request.region, instance_id) for instance_id in sorted(found))
    if unlisted:
        warnings.append(("the list of instances is not complete", incomplete_listing(request, unlisted)))
    all_instances = tuple(dict.fromkeys((*request.instances, *instances)))
    return replace(request, instances=all_instances, unlisted=unlisted), warnings


def _list_tagged(
    request: Request, client: RKVStore, instance_type: str | None, clock: Clock, deadline: Deadline
) -> tuple[list[str], int]:
    """Return one list's IDs and its TotalCount. Ask again while TotalCount is larger than the list."""
    longest: tuple[list[str], int] = [], 0

    def list_once() -> tuple[list[str], int]:
        nonlocal longest
        listed, total = client.tagged(request.tags, instance_type)
        if len(listed) >= len(longest[0]):
            longest = listed, total
        if len(listed) < total:
            raise unreadable("DescribeInstances")
        return listed, total

    try:
        return call_with_retries(list_once, clock, deadline)
    except ApiError:
        if longest[1]:
            return longest
        raise

"""What the tests of this folder share: an event that asks for proof, and what came of it."""

from __future__ import annotations

import json
from typing import Any

from simulator import Cloud
from simulator.oss.state import Bucket

STORE = {"BACKUP_STORE": "oss://backups/redis"}
FOLDER = "redis/1234567890123456/cn-hangzhou/r-1/20261124T020000Z-10000/"


def event(instance_ids: str = "r-1", **fields: Any) -> dict[str, Any]:
    """A timer's event at two in the morning."""
    payload = json.dumps({"instance_ids": instance_ids, **fields})
    return {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "nightly", "payload": payload}


def ensure(cloud: Cloud, instance_ids: str = "r-1", *, most: int = 60, **fields: Any) -> list[dict[str, Any]]:
    """Deliver the event, and all that follows. Return the records that are new."""
    before = len(cloud.logs.records)
    cloud.invoke_async(event(instance_ids, **fields))
    cloud.platform.drain(most)
    return cloud.logs.records[before:]


def states(records: list[dict[str, Any]], instance_id: str = "r-1") -> list[str]:
    """The events of an instance in order; one that comes again at once counts once."""
    names = [each["event"].removeprefix("backup_") for each in records if each.get("instance_id") == instance_id]
    return [name for name, previous in zip(names, [None, *names], strict=False) if name != previous]


def last(records: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The last record of an event."""
    return [each for each in records if each["event"] == name][-1]


def first(records: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The first record of an event."""
    return next(each for each in records if each["event"] == name)


def names(store: Bucket) -> list[str]:
    """The objects in the folder of `r-1`'s backup."""
    return sorted(key.removeprefix(FOLDER) for key in store.objects if key.startswith(FOLDER))


def stored(store: Bucket, name: str) -> Any:
    """A JSON object of the folder."""
    return json.loads(store.get(FOLDER + name).read())


def downloads(cloud: Cloud) -> int:
    """How many ranges of files were asked for."""
    return sum(call.operation == "Download" for call in cloud.calls)

"""How R-KVStore writes what it answers: numbers as text, job IDs in one text, times without their `Z`, …"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from redis_backup import timestamps
from redis_backup.job import Architecture, JobStatus

# CreateBackup's page: clusters that were created before then answer one job ID for each shard.
_ONE_JOB_ID_SINCE = datetime(2023, 12, 5, tzinfo=timestamps.UTC)
SET_STATUS = {"success": JobStatus.SUCCEEDED, "failed": JobStatus.FAILED}
CLUSTER_STATUS = {"OK": JobStatus.SUCCEEDED, "RUNNING": JobStatus.RUNNING}


def split_job_ids(value: Any) -> tuple[str, ...]:
    """The IDs in CreateBackup's answer: a number, `"10000,10001"`, or (an official sample) with quotes in the text."""
    parts = re.split(r"[\s,\"']+", str(value)) if isinstance(value, (str, int)) else []
    return tuple(dict.fromkeys(filter(None, map(identifier, parts))))


def architecture(instance: Any) -> Architecture:
    """Cloud-native clusters are those in cloud-native deployment mode (DescribeClusterBackupList's reference)."""
    is_cluster = str(instance.architecture_type).lower() == "cluster"
    created = time(getattr(instance, "create_time", None))
    return Architecture(
        is_cluster,
        is_cloud_native=is_cluster and str(instance.computing_type).lower() == "ecs",
        shards=(number(instance.shard_count) or 1) if is_cluster else 1,
        has_job_per_shard=is_cluster and (created < _ONE_JOB_ID_SINCE if created else None),
    )


def is_manual(mode: Any) -> bool:
    """Whether a backup mode is not the automatic policy's."""
    return not str(mode or "").lower().startswith("auto")


def identifier(value: Any) -> str:
    """An ID as text, of no more than what a request's `jobs` takes."""
    return re.sub(r"[^A-Za-z0-9_.:-]", "", str(value))[:64] if value is not None else ""


def time(value: Any) -> datetime | None:
    """A time as the API writes it; one official sample lacks the `Z`."""
    try:
        return timestamps.parse(value if re.search(r"(Z|[+-]\d\d:\d\d)$", value) else value + "Z")
    except (TypeError, ValueError):
        return None


def number(value: Any) -> int | None:
    """A whole number, None where it is none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def percent(value: Any) -> int | None:
    """`35`, `"35"`, `"35%"` or `"{35.0}"`-like texts: the number in it."""
    match = re.search(r"\d+", str(value or ""))
    return min(100, int(match[0])) if match else None

"""How R-KVStore writes what it answers: numbers as text, job IDs in one text, times without their `Z`, …

Absent is not empty: an answer without the list that it is asked for says nothing, and is refused as unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from redis_backup import timestamps

_MOST_SHARDS = 256  # of a cluster
# CreateBackup's page: clusters that were created before then answer one job ID for each shard.
_ONE_JOB_ID_SINCE = datetime(2023, 12, 5, tzinfo=timestamps.UTC)


class Unreadable(Exception):  # noqa: N818 - a fact, and no error of ours
    """The answer is not one that the API gives."""


class JobStatus(str, Enum):
    """How far a job is, as far as listings show it."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_SET_STATUS = {"success": JobStatus.SUCCEEDED, "failed": JobStatus.FAILED}
_CLUSTER_STATUS = {"OK": JobStatus.SUCCEEDED, "RUNNING": JobStatus.RUNNING}


@dataclass(frozen=True)
class Job:
    """One job as listed. `start` and `end` in whole seconds, None where the listing does not say; `size` in bytes."""

    status: JobStatus
    start: datetime | None
    end: datetime | None = None
    job_id: str = ""
    cluster_backup_id: str = ""
    node: str = ""
    is_manual: bool = True
    progress: int | None = None
    phase: str = ""
    size: int | None = None


@dataclass(frozen=True)
class Instance:
    """What of an instance matters here.

    `has_job_per_shard`: whether a backup has a job ID for each of the `shards`, None where that is not known.
    `status`: as R-KVStore names it, such as Normal; empty where it is not known.
    """

    is_cluster: bool = False
    is_cloud_native: bool = False  # its backups are listed by DescribeClusterBackupList, without job IDs
    shards: int = 1
    has_job_per_shard: bool | None = False
    status: str = ""


def entries(body: Any, *path: str) -> list[Mapping[str, Any]]:
    """The objects of the list that is at this path of an answer. Raise Unreadable where there is none."""
    value = body
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise Unreadable
    return value


def backup_task(entry: Mapping[str, Any]) -> Job:
    """An entry of DescribeBackupTasks, which has no value for an end."""
    return Job(
        JobStatus.RUNNING,
        time(entry.get("StartTime")),
        job_id=identifier(entry.get("BackupJobID")),
        node=str(entry.get("NodeId") or ""),
        is_manual=is_manual(entry.get("JobMode")),
        progress=percent(entry.get("Progress") or entry.get("Process")),
        phase=identifier(entry.get("BackupProgressStatus")),
    )


def backup_set(entry: Mapping[str, Any]) -> Job:
    """An entry of DescribeBackups. Its download URLs are left behind here."""
    return Job(
        _SET_STATUS.get(str(entry.get("BackupStatus")).lower(), JobStatus.RUNNING),
        time(entry.get("BackupStartTime")),
        time(entry.get("BackupEndTime")),
        job_id=identifier(entry.get("BackupJobID")),
        node=str(entry.get("NodeInstanceId") or ""),
        is_manual=is_manual(entry.get("BackupMode")),
        size=number(entry.get("BackupSize")),
    )


def cluster_backup(entry: Mapping[str, Any]) -> Job:
    """An entry of DescribeClusterBackupList, running or ended, without a job ID. Raise Unreadable without a status."""
    status = str(entry.get("ClusterBackupStatus") or "").upper()
    if not status:
        raise Unreadable
    return Job(
        _CLUSTER_STATUS.get(status, JobStatus.FAILED),
        time(entry.get("ClusterBackupStartTime")),
        time(entry.get("ClusterBackupEndTime")),
        cluster_backup_id=identifier(entry.get("ClusterBackupId")),
        is_manual=is_manual(entry.get("ClusterBackupMode")),
        progress=percent(entry.get("Progress")),
        size=number(entry.get("ClusterBackupSize")),
    )


def instance(entry: Mapping[str, Any]) -> Instance:
    """An entry of DescribeInstances. Cloud-native clusters: see DescribeClusterBackupList's reference."""
    is_cluster = str(entry.get("ArchitectureType")).lower() == "cluster"
    created, shards = time(entry.get("CreateTime")), number(entry.get("ShardCount"))
    has_job_per_shard = is_cluster and (created < _ONE_JOB_ID_SINCE if created else None)
    if has_job_per_shard and not shards:  # how many is not said, so that no number of them is known to be all
        has_job_per_shard, shards = None, _MOST_SHARDS
    return Instance(
        is_cluster,
        is_cloud_native=is_cluster and str(entry.get("ComputingType")).lower() == "ecs",
        shards=(shards or 1) if is_cluster else 1,
        has_job_per_shard=has_job_per_shard,
        status=str(entry.get("InstanceStatus") or ""),
    )


def split_job_ids(value: Any) -> tuple[str, ...]:
    """The IDs in CreateBackup's answer: a number, `"10000,10001"`, or (an official sample) with quotes in the text."""
    parts = re.split(r"[\s,\"']+", str(value)) if isinstance(value, (str, int)) else []
    return tuple(dict.fromkeys(filter(None, map(identifier, parts))))


def is_manual(mode: Any) -> bool:
    """Whether a backup mode is not the automatic policy's."""
    return not str(mode or "").lower().startswith("auto")


def identifier(value: Any) -> str:
    """An ID as text, of letters, digits and `_.-`, 64 characters at most."""
    return re.sub(r"[^A-Za-z0-9_.-]", "", str(value))[:64] if isinstance(value, (str, int)) else ""


def time(value: Any) -> datetime | None:
    """A time as the API writes it; one official sample lacks the `Z`."""
    try:
        return timestamps.parse(value if re.search(r"(Z|[+-]\d\d:\d\d)$", value) else value + "Z")
    except (TypeError, ValueError):
        return None


def number(value: Any) -> int | None:
    """An integer, None where it is none: `35`, `"35"`."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def percent(value: Any) -> int | None:
    """The number in `35`, `"35"`, `"35%"` and the like."""
    match = re.search(r"\d{1,9}", str(value or ""))
    return min(100, int(match[0])) if match else None

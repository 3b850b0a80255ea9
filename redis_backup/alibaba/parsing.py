"""Read R-KVStore's answers: numbers as strings, several job IDs in one string, times without their `Z`, …

An absent list is not an empty list: an answer without the list that was asked for is unreadable. The operations are
documented at https://www.alibabacloud.com/help/en/redis/developer-reference/ under these names:
api-r-kvstore-2015-01-01-createbackup-redis, …-describeclusterbackuplist-redis, …-describeinstances-redis,
…-describeinstanceattribute-redis.
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
# The document of CreateBackup: clusters that were created before this date answer one job ID for each shard.
_ONE_JOB_ID_SINCE = datetime(2023, 12, 5, tzinfo=timestamps.UTC)


class Unreadable(Exception):  # noqa: N818 - it describes the answer
    """The answer is not one that the API documents."""


class JobStatus(str, Enum):
    """The status of a backup job, as lists show it."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_SET_STATUS = {"success": JobStatus.SUCCEEDED, "failed": JobStatus.FAILED}
_CLUSTER_STATUS = {"OK": JobStatus.SUCCEEDED, "RUNNING": JobStatus.RUNNING}


@dataclass(frozen=True)
class Job:
    """One listed backup job. `start` and `end` are in whole seconds, None if the list has none; `size` is in bytes."""

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
    """The facts about an instance that the function needs.

    `shards`: the parts of a cluster, each with a node of its own. `has_job_per_shard`: whether a backup has a job ID
    for each shard, None if that is not known. `status`: R-KVStore's, such as Normal; empty if it is not known.
    """

    is_cluster: bool = False
    is_cloud_native: bool = False  # its backups are listed by DescribeClusterBackupList, without job IDs
    shards: int = 1
    has_job_per_shard: bool | None = False
    status: str = ""


def entries(body: Any, *path: str) -> list[Mapping[str, Any]]:
    """Return the objects of the list at this path of an answer. Raise Unreadable if there is no list of objects.

    `{"Backups": {"Backup": [{"BackupJobID": 7}]}}, "Backups", "Backup"` → `[{"BackupJobID": 7}]`.
    """
    value = body
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise Unreadable
    return value


def backup_task(entry: Mapping[str, Any]) -> Job:
    """Read an entry of DescribeBackupTasks, which has no value for the end of a job.

    `{"BackupJobID": 7, "Progress": "35%", "JobMode": "Manual"}` → `Job(RUNNING, None, job_id="7", progress=35)`.
    """
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
    """Read an entry of DescribeBackups, without its download URLs.

    `{"BackupJobID": 7, "BackupStatus": "Success", "BackupStartTime": "2026-11-24T02:00:05Z", "BackupSize": "1024"}` →
    `Job(SUCCEEDED, 2026-11-24 02:00:05 UTC, job_id="7", size=1024)`.
    """
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
    """Read an entry of DescribeClusterBackupList, which has no job ID. Raise Unreadable if it has no status.

    `{"ClusterBackupId": "cb-12", "ClusterBackupStatus": "OK"}` → `Job(SUCCEEDED, None, cluster_backup_id="cb-12")`.
    """
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
    """Read an entry of DescribeInstances or DescribeInstanceAttribute.

    `{"ArchitectureType": "cluster", "ShardCount": 2, "CreateTime": "2023-01-01T00:00:00Z"}` →
    `Instance(is_cluster=True, shards=2, has_job_per_shard=True)`.
    """
    is_cluster = str(entry.get("ArchitectureType")).lower() == "cluster"
    created, shards = time(entry.get("CreateTime")), number(entry.get("ShardCount"))
    has_job_per_shard = is_cluster and (created < _ONE_JOB_ID_SINCE if created else None)
    if has_job_per_shard and not shards:  # without their number it is never certain that all are listed
        has_job_per_shard, shards = None, _MOST_SHARDS
    return Instance(
        is_cluster,
        is_cloud_native=is_cluster and str(entry.get("ComputingType")).lower() == "ecs",
        shards=(shards or 1) if is_cluster else 1,
        has_job_per_shard=has_job_per_shard,
        status=str(entry.get("InstanceStatus") or ""),
    )


def split_job_ids(value: Any) -> tuple[str, ...]:
    """Read the job IDs of CreateBackup's answer; one official example has quotes inside the string.

    `1162` → `("1162",)`; `"10000,10001"` → `("10000", "10001")`; `'"1022,2480"'` → `("1022", "2480")`.
    """
    parts = re.split(r"[\s,\"']+", str(value)) if isinstance(value, (str, int)) else []
    return tuple(dict.fromkeys(filter(None, map(identifier, parts))))


def is_manual(mode: Any) -> bool:
    """Return whether a backup is not one of the automatic policy: `"Manual"` → True, `"Automated"` → False."""
    return not str(mode or "").lower().startswith("auto")


def identifier(value: Any) -> str:
    """Return an ID as a string of letters, digits and `_.-`, at most 64 characters: `1162` → `"1162"`, None → `""`."""
    return re.sub(r"[^A-Za-z0-9_.-]", "", str(value))[:64] if isinstance(value, (str, int)) else ""


def time(value: Any) -> datetime | None:
    """Read a time of the API; in one official example the `Z` is missing. Return None if it is not a time.

    `"2026-11-24T02:00:05Z"`, `"2026-11-24T02:00:05"` → 2026-11-24 02:00:05 UTC.
    """
    try:
        return timestamps.parse(value if re.search(r"(Z|[+-]\d\d:\d\d)$", value) else value + "Z")
    except (TypeError, ValueError):
        return None


def number(value: Any) -> int | None:
    """Read an integer: `35` → 35, `"35"` → 35; None if it is not one."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def percent(value: Any) -> int | None:
    """Read a percentage: `35` → 35, `"35%"` → 35, `"120"` → 100; None if there is no number."""
    match = re.search(r"\d{1,9}", str(value or ""))
    return min(100, int(match[0])) if match else None

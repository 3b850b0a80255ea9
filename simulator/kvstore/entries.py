"""The entries of R-KVStore's answers: backups, tasks and instances as JSON objects, with the service's time formats."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from simulator.downloads.addresses import WAYS, Address
from simulator.kvstore.state import Backup, InstanceState, Job


def _timestamp(moment: float) -> str:
    """Return a time as `yyyy-MM-ddTHH:mm:ssZ`, fractions cut off."""
    return datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _node_id(state: InstanceState, job: Job) -> str:
    return f"{state.config.id}-db-{job.node}"


def _backup_id(job: Job, shard: int = 0) -> int:
    """Return the ID of a backup file. (Its type is string in a cluster's list, but the sample there has a number.)"""
    return 500_000_000 + 1000 * job.job_id + shard


def _size(state: InstanceState, backup: Backup, nodes: Iterable[tuple[Job, int]]) -> int:
    """Return the bytes of the files of these nodes."""
    return sum(state.content(backup, job, node).size for job, node in nodes if job.succeeded)


def _file_name(state: InstanceState, job: Job, node: int, offset: float) -> str:
    """Return the name of a node's file. As in the documentation's sample, it has the start time in UTC+8."""
    number = zlib.crc32(f"{state.config.id}/{node}".encode()) % 1_000_000_000
    start = datetime.fromtimestamp(int(job.start + offset), timezone(timedelta(hours=8)))
    return f"hins{number}_data_{start:%Y%m%d%H%M%S}.rdb"


def _addresses(state: InstanceState, backup: Backup, job: Job, node: int, offset: float) -> dict[str, Address]:
    """Return the addresses of a node's file, if it has one. They are signed when the answer is written."""
    if not (job.succeeded and state.file(backup, node).listed):
        return {}
    key = f"custins{job.job_id}/{_file_name(state, job, node, offset)}"
    content, config = state.content(backup, job, node), state.config
    return {field: Address(way, config.region, config.id, key, content, job.end) for field, way in WAYS.items()}


def _expires(backup: Backup, job: Job, offset: float) -> datetime:
    return datetime.fromtimestamp(job.end + offset, timezone.utc) + timedelta(days=backup.retention_days)


def backup_set(state: InstanceState, backup: Backup, job: Job, offset: float) -> dict[str, Any]:
    """Return an entry of DescribeBackups. `offset`: how many seconds the service's clock is ahead."""
    entry = {
        "BackupId": _backup_id(job),
        "BackupJobID": job.job_id,
        "BackupStatus": "Success" if job.succeeded else "Failed",
        "BackupMode": backup.mode,
        "BackupMethod": "Physical",
        "BackupType": "FullBackup",
        "BackupStartTime": _timestamp(job.start + offset),
        "BackupEndTime": _timestamp(job.end + offset),
        "BackupSize": _size(state, backup, [(job, job.node)]),
        "BackupDBNames": "all",
        "EngineVersion": "5.0",
        "NodeInstanceId": _node_id(state, job),
    }
    if backup.retention_days > 0:
        entry["ExpectExpireTime"] = _timestamp(_expires(backup, job, offset).timestamp())
    return entry | _addresses(state, backup, job, job.node, offset)


def backup_task(state: InstanceState, backup: Backup, job: Job, now: float, offset: float) -> dict[str, Any]:
    """Return an entry of DescribeBackupTasks. `offset`: how many seconds the service's clock is ahead."""
    percent = str(job.progress(now))
    return {
        "BackupJobID": job.job_id,
        "BackupProgressStatus": job.phase(now),
        "Progress": percent,
        "Process": percent,
        "JobMode": backup.mode,
        "NodeId": _node_id(state, job),
        "TaskAction": "BackupIns",
        "StartTime": _timestamp(job.start + offset),
    }


def cluster_backup(
    state: InstanceState, backup: Backup, index: int, now: float, lag: float, offset: float, *, with_shards: bool = True
) -> dict[str, Any]:
    """Return an entry of DescribeClusterBackupList, which has no job ID.

    `index`: its place in the order of starts. Every other start time lacks the Z, and every other size is a number, as
    in the documentation's samples. `lag`: seconds between a backup's end and its entry. `offset`: how many seconds the
    service's clock is ahead. `with_shards`: whether it has the file of each shard.
    """
    job, size = backup.jobs[0], _size(state, backup, state.nodes(backup))
    running = now < state.listed_at(backup, job, lag)
    start = _timestamp(job.start + offset)
    entry: dict[str, Any] = {
        "ClusterBackupId": f"cb-{job.job_id + 500_000}",
        "ClusterBackupMode": backup.mode,
        "ClusterBackupStatus": "RUNNING" if running else "OK" if job.succeeded else "Failed",
        "ClusterBackupStartTime": start.rstrip("Z") if index % 2 else start,
        "ClusterBackupSize": "0" if running else size if index % 2 else str(size),
        "ShardClassMemory": 1024,
        "Progress": f"{job.progress(now)}%",
        "IsAvail": 1 if job.succeeded and not running else 0,
        "Backups": [],
    }
    if not running:
        entry["ClusterBackupEndTime"] = _timestamp(job.end + offset)
        if backup.retention_days > 0:
            entry["ExpectExpireTime"] = _expires(backup, job, offset).strftime("%Y-%m-%dT%H:%MZ")
        if with_shards:
            entry["Backups"] = [
                _shard_backup(state, backup, job, shard, offset)
                for _, shard in state.nodes(backup)
                if not state.file(backup, shard).missing
            ]
    return entry


def _shard_backup(state: InstanceState, backup: Backup, job: Job, shard: int, offset: float) -> dict[str, Any]:
    """Return an entry of a cluster backup's `Backups`: the file of one shard.

    As in the documentation's sample, the end time lacks the Z.
    """
    name = _file_name(state, job, shard, offset)
    entry = {
        "BackupId": _backup_id(job, shard),
        "BackupName": name,
        "InstanceName": name,
        "BackupStatus": "OK" if job.succeeded else "ERROR",
        "BackupStartTime": _timestamp(job.start + offset),
        "BackupEndTime": _timestamp(job.end + offset).rstrip("Z"),
        "BackupSize": _size(state, backup, [(job, shard)]),
        "IsAvail": 1 if job.succeeded else 0,
        "Engine": "redis",
        "ExtraInfo": {"CustinsDbVersion": "5.0"},
        "RecoverConfigMode": None,
    }
    return entry | _addresses(state, backup, job, shard, offset)


def instance(state: InstanceState) -> dict[str, Any]:
    """Return an entry of DescribeInstances and of DescribeInstanceAttribute."""
    config = state.config
    return {
        "InstanceId": config.id,
        "InstanceName": config.name or config.id,
        "InstanceStatus": state.status,
        "InstanceType": config.type,
        "RegionId": config.region,
        "ZoneId": f"{config.region}-h",
        "ArchitectureType": "standard" if config.kind == "standard" else "cluster",
        "ComputingType": "Ecs" if config.kind == "cloud-native" else "Local",
        "EditionType": "Enterprise" if config.type == "Tair" else "Community",
        "EngineVersion": "5.0",
        "ShardCount": config.shards,
        "CreateTime": f"{2022 if config.kind == 'classic-cluster' else 2024}-05-01T08:00:00Z",
        "ChargeType": "PostPaid",
        "NetworkType": "VPC",
        "ConnectionDomain": f"{config.id}.redis.example",
        "Tags": {"Tag": [{"Key": key, "Value": value} for key, value in config.tags.items()]},
    }

"""How the service writes things down: its time formats, and the objects inside its answers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from simulator.kvstore.backups import Backup, InstanceState, Part

URL_SECRET = "SECRETURLSIGNATURE"  # noqa: S105 recognisable, opens nothing


def seconds_text(moment: float) -> str:
    """A time in whole seconds, truncated: `yyyy-MM-ddTHH:mm:ssZ`."""
    return datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def minute(text: str) -> float:
    """Seconds since 1970 of `yyyy-MM-ddTHH:mmZ`. Raise ValueError for anything else."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=timezone.utc).timestamp()


def node_id(state: InstanceState, part: Part) -> str:
    return f"{state.config.id}-db-{part.node}"


def backup_set(state: InstanceState, backup: Backup, part: Part, offset: float) -> dict[str, Any]:
    """An entry of DescribeBackups. `offset`: how many seconds the service's clock is ahead, here and below."""
    entry = {
        "BackupId": str(part.job_id + 500_000),
        "BackupJobID": part.job_id,
        "BackupStatus": "Success" if part.ok else "Failed",
        "BackupMode": backup.mode,
        "BackupMethod": "Physical",
        "BackupType": "FullBackup",
        "BackupStartTime": seconds_text(part.start + offset),
        "BackupEndTime": seconds_text(part.end + offset),
        "BackupSize": 1_048_576 * (1 + part.job_id % 97) if part.ok else 0,
        "BackupDBNames": "all",
        "EngineVersion": "5.0",
        "NodeInstanceId": node_id(state, part),
    }
    if backup.retention_days > 0:
        expires = datetime.fromtimestamp(part.end + offset, timezone.utc) + timedelta(days=backup.retention_days)
        entry["ExpectExpireTime"] = seconds_text(expires.timestamp())
    if part.ok:
        path = f"oss.example/{part.job_id}.rdb?Expires=1&OSSAccessKeyId=LTAI&Signature={URL_SECRET}{part.job_id}"
        entry |= {"BackupDownloadURL": f"https://out.{path}", "BackupIntranetDownloadURL": f"https://in.{path}"}
    return entry


def backup_task(state: InstanceState, backup: Backup, part: Part, now: float, offset: float) -> dict[str, Any]:
    """An entry of DescribeBackupTasks."""
    percent = str(part.progress(now))
    return {
        "BackupJobID": part.job_id,
        "BackupProgressStatus": part.phase(now),
        "Progress": percent,
        "Process": percent,
        "JobMode": backup.mode,
        "NodeId": node_id(state, part),
        "TaskAction": "BackupIns",
        "StartTime": seconds_text(part.start + offset),
    }


def cluster_backup(
    state: InstanceState, backup: Backup, index: int, now: float, lag: float, offset: float
) -> dict[str, Any]:
    """An entry of DescribeClusterBackupList, which bears no job ID; every other start lacks the Z, as samples do."""
    part = backup.parts[0]
    running = now < state.listed_at(backup, part, lag)
    start = seconds_text(part.start + offset)
    entry: dict[str, Any] = {
        "ClusterBackupId": f"cb-{part.job_id + 500_000}",
        "ClusterBackupMode": backup.mode,
        "ClusterBackupStatus": "RUNNING" if running else "OK" if part.ok else "FAILED",
        "ClusterBackupStartTime": start.rstrip("Z") if index % 2 else start,
        "ClusterBackupSize": "0" if running else str(1_048_576 * (1 + part.job_id % 97)),
        "Progress": f"{part.progress(now)}%",
        "IsAvail": 1 if part.ok and not running else 0,
        "Backups": [],
    }
    if not running:
        entry["ClusterBackupEndTime"] = seconds_text(part.end + offset)
    return entry


def instance(state: InstanceState) -> dict[str, Any]:
    """An entry of DescribeInstances and of DescribeInstanceAttribute."""
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

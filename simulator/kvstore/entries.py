"""The entries of R-KVStore's answers: backups, tasks and instances as JSON objects, with the service's time formats."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from simulator.kvstore.state import Backup, InstanceState, Job

URL_SECRET = "SECRETURLSIGNATURE"  # noqa: S105 a mark that tests search for


def _timestamp(moment: float) -> str:
    """Return a time as `yyyy-MM-ddTHH:mm:ssZ`, fractions cut off."""
    return datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _node_id(state: InstanceState, job: Job) -> str:
    return f"{state.config.id}-db-{job.node}"


def backup_set(state: InstanceState, backup: Backup, job: Job, offset: float) -> dict[str, Any]:
    """Return an entry of DescribeBackups. `offset`: how many seconds the service's clock is ahead."""
    entry = {
        "BackupId": str(job.job_id + 500_000),
        "BackupJobID": job.job_id,
        "BackupStatus": "Success" if job.succeeded else "Failed",
        "BackupMode": backup.mode,
        "BackupMethod": "Physical",
        "BackupType": "FullBackup",
        "BackupStartTime": _timestamp(job.start + offset),
        "BackupEndTime": _timestamp(job.end + offset),
        "BackupSize": 1_048_576 * (1 + job.job_id % 97) if job.succeeded else 0,
        "BackupDBNames": "all",
        "EngineVersion": "5.0",
        "NodeInstanceId": _node_id(state, job),
    }
    if backup.retention_days > 0:
        expires = datetime.fromtimestamp(job.end + offset, timezone.utc) + timedelta(days=backup.retention_days)
        entry["ExpectExpireTime"] = _timestamp(expires.timestamp())
    if job.succeeded:
        path = f"oss.example/{job.job_id}.rdb?Expires=1&OSSAccessKeyId=LTAI&Signature={URL_SECRET}{job.job_id}"
        entry |= {"BackupDownloadURL": f"https://out.{path}", "BackupIntranetDownloadURL": f"https://in.{path}"}
    return entry


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
    state: InstanceState, backup: Backup, index: int, now: float, lag: float, offset: float
) -> dict[str, Any]:
    """Return an entry of DescribeClusterBackupList, which has no job ID.

    `index`: its place in the order of starts. Every other start time lacks the Z, as in the documentation's samples.
    `lag`: seconds between a backup's end and its entry. `offset`: how many seconds the service's clock is ahead.
    """
    job = backup.jobs[0]
    running = now < state.listed_at(backup, job, lag)
    start = _timestamp(job.start + offset)
    entry: dict[str, Any] = {
        "ClusterBackupId": f"cb-{job.job_id + 500_000}",
        "ClusterBackupMode": backup.mode,
        "ClusterBackupStatus": "RUNNING" if running else "OK" if job.succeeded else "FAILED",
        "ClusterBackupStartTime": start.rstrip("Z") if index % 2 else start,
        "ClusterBackupSize": "0" if running else str(1_048_576 * (1 + job.job_id % 97)),
        "Progress": f"{job.progress(now)}%",
        "IsAvail": 1 if job.succeeded and not running else 0,
        "Backups": [],
    }
    if not running:
        entry["ClusterBackupEndTime"] = _timestamp(job.end + offset)
    return entry


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

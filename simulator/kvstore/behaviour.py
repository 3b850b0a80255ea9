"""How R-KVStore behaves where its documentation does not say, and how its files are served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Behaviour:
    """The behaviour of the service where its documentation does not say, or a test needs something else."""

    listing_lag: float = 0.0  # seconds between a task's end and its entry in DescribeBackups; meanwhile no list has it
    task_lag: float = 0.0  # seconds between CreateBackup's answer and the entry in DescribeBackupTasks
    wrong_state_code: str = "IncorrectDBInstanceState"  # or OperationDenied.DBInstanceStatus
    cloud_native_tasks: bool = False  # whether DescribeBackupTasks shows a cloud-native cluster's jobs
    tair_only_if_asked: bool = True  # DescribeInstances leaves Tair out unless InstanceType=Tair
    always_shards: bool = False  # DescribeClusterBackupList shows each shard's file, whatever NoShardBackup says
    refused_types: tuple[str, ...] = ()  # values of InstanceType that DescribeInstances refuses
    address_lifetime: float = 3600.0  # seconds for which a file's pre-signed address is good
    address_uses: int | None = None  # or after how many downloads it has expired
    unreachable: Mapping[str, str] = field(default_factory=dict)  # intranet, internet: refused (when listed) or timeout
    download_latency: float = 0.0  # seconds that a download takes before its first byte
    download_pace: float | None = None  # real bytes a second of each download
    extra_total: Mapping[str, int] = field(default_factory=dict)  # by operation: how much too large TotalCount is

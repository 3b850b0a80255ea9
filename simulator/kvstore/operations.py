"""The six operations of R-KVStore, from a call's parameters to the fields of its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from simulator.kvstore import entries, errors, parameters
from simulator.kvstore.behaviour import Behaviour
from simulator.kvstore.parameters import Parameters
from simulator.kvstore.state import Instances, InstanceState

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.kvstore.fleet import Fleet

Answer = dict[str, Any]
BACKUP_PAGES = (30, 50, 100, 200, 300)
CLUSTER_PAGES = (5, 10, 15, 20, *BACKUP_PAGES)
MAX_IDS = 30


class KVStore:
    """The service. Each operation takes the parameters, and the region of the endpoint (None: all regions)."""

    def __init__(
        self, fleet: Fleet, clock: Clock, behaviour: Behaviour | None = None, clock_offset: float = 0.0
    ) -> None:
        """Create the service. `clock_offset`: the seconds that its clock is ahead of `clock`; answers have its time."""
        self.behaviour = behaviour or Behaviour()
        self.clock_offset = clock_offset
        self.instances = Instances({each.id: each for each in fleet}, clock)
        self._clock = clock
        self.operations: Mapping[str, Callable[[Parameters, str | None], Answer]] = {
            "CreateBackup": self.create_backup,
            "DescribeBackups": self.describe_backups,
            "DescribeBackupTasks": self.describe_backup_tasks,
            "DescribeClusterBackupList": self.describe_cluster_backup_list,
            "DescribeInstances": self.describe_instances,
            "DescribeInstanceAttribute": self.describe_instance_attribute,
        }

    def instance(self, instance_id: str) -> InstanceState:
        """Return an instance's state, to read or to change. Raise ApiError when there is none."""
        return self.instances.get(instance_id)

    def create_later(self, values: Parameters, region: str | None, delay: float) -> None:
        """Start a backup `delay` seconds from now: CreateBackup, with an answer that is lost."""
        days = parameters.retention_days(values)
        at = self._clock.time() + delay
        self._instance(values, region).create_later(at, by_api=True, retention_days=days)

    def create_backup(self, values: Parameters, region: str | None) -> Answer:
        """Start a backup. Raise ApiError when the instance cannot have one now."""
        state = self._instance(values, region)
        days = parameters.retention_days(values)
        backup = state.create_backup(days, self.behaviour.wrong_state_code)
        text = ",".join(backup.job_ids)
        style = state.config.job_id_style
        answer: str | int = f'"{text}"' if style == "quoted" else text
        return {"BackupJobID": int(text) if style == "int" and text.isdigit() else answer}

    def describe_backups(self, values: Parameters, region: str | None) -> Answer:
        """List the jobs that have ended, except those of cloud-native clusters."""
        state = self._instance(values, region)
        if state.config.kind == "cloud-native":
            raise errors.wrong_type()
        begin, end = self._window(values)
        job_id = parameters.job_id(values)
        listed = [
            entries.backup_set(state, backup, job, self.clock_offset)
            for backup, job in state.finished(self._clock.time(), self.behaviour.listing_lag)
            if begin <= job.start < end and job_id in (None, job.job_id)
        ]
        page, number, size = parameters.page(listed, values, BACKUP_PAGES)
        total = len(listed) + self.behaviour.extra_total.get("DescribeBackups", 0)
        return {"Backups": {"Backup": page}, "TotalCount": total, "PageNumber": number, "PageSize": size}

    def describe_backup_tasks(self, values: Parameters, region: str | None) -> Answer:
        """List the jobs that run."""
        state = self._instance(values, region)
        job_id, mode, now = parameters.job_id(values), values.get("JobMode"), self._clock.time()
        hidden = state.config.kind == "cloud-native" and not self.behaviour.cloud_native_tasks
        tasks = [
            entries.backup_task(state, backup, job, now, self.clock_offset)
            for backup, job in ([] if hidden else state.running(now, self.behaviour.task_lag))
            if job_id in (None, job.job_id) and mode in (None, backup.mode)
        ]
        return {"InstanceId": state.config.id, "BackupJobs": tasks}

    def describe_cluster_backup_list(self, values: Parameters, region: str | None) -> Answer:
        """List a cloud-native cluster's backups, running ones included."""
        state = self._instance(values, region)
        if state.config.kind != "cloud-native":
            raise errors.wrong_type()
        begin, end = self._window(values)
        now, lag = self._clock.time(), self.behaviour.listing_lag
        with_shards = self.behaviour.always_shards or not parameters.flag(values, "NoShardBackup")
        listed = [
            entries.cluster_backup(state, backup, index, now, lag, self.clock_offset, with_shards=with_shards)
            for index, backup in enumerate(state.backups)
            if begin <= backup.start < end and not state.is_gone(backup, now)
        ]
        page, number, size = parameters.page(listed[::-1], values, CLUSTER_PAGES)
        return {"ClusterBackups": page, "MaxResults": len(listed), "PageNumber": number, "PageSize": size}

    def describe_instances(self, values: Parameters, region: str | None) -> Answer:
        """List a region's instances, by ID, tags, status or type."""
        region = values.get("RegionId") or region
        if not region:
            raise errors.missing("RegionId")
        ids = [each for each in values.get("InstanceIds", "").split(",") if each]
        if len(ids) > MAX_IDS:
            raise errors.malformed("InstanceIds")
        tags, status, kind = parameters.tags(values), values.get("InstanceStatus"), values.get("InstanceType")
        if kind in self.behaviour.refused_types:
            raise errors.malformed("InstanceType")
        if kind is None and self.behaviour.tair_only_if_asked:
            kind = "Redis"
        found = [
            state
            for state in (self.instances.existing(ids) if ids else self.instances)
            if state.config.region == region
            and not state.denied  # the role may not see it, so it is left out
            and kind in (None, state.config.type)
            and status in (None, state.status)
            and all(state.config.tags.get(key) == value for key, value in tags.items())
        ]
        page, number, size = parameters.page(found, values, range(1, 51))
        listed = [entries.instance(state) for state in page]
        return {
            "Instances": {"KVStoreInstance": listed},
            "TotalCount": len(found) + self.behaviour.extra_total.get("DescribeInstances", 0),
            "PageNumber": number,
            "PageSize": size,
        }

    def describe_instance_attribute(self, values: Parameters, region: str | None) -> Answer:
        """Describe one instance."""
        entry = entries.instance(self._instance(values, region))
        return {"Instances": {"DBInstanceAttribute": [entry]}}

    def _window(self, values: Parameters) -> tuple[float, float]:
        """Return StartTime and EndTime by the clock. (The parameters are by the service's own.)"""
        begin, end = parameters.window(values)
        return begin - self.clock_offset, end - self.clock_offset

    def _instance(self, values: Parameters, region: str | None) -> InstanceState:
        instance_id = values.get("InstanceId")
        if not instance_id:
            raise errors.missing("InstanceId")
        return self.instances.get(instance_id, values.get("RegionId") or region)

"""The service's operations: parameters in, an answer's fields out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulator.kvstore import errors, rendering
from simulator.kvstore.backups import RETENTION_DEFAULT, Instances, InstanceState

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.kvstore.fleet import Fleet

Parameters = Mapping[str, str]
Answer = dict[str, Any]
BACKUP_PAGES = (30, 50, 100, 200, 300)
MAX_IDS = 30
MAX_TAGS = 5


@dataclass(frozen=True)
class Behaviour:
    """What the documents leave open, or a test wants otherwise."""

    listing_lag: float = 0.0  # seconds between a task's end and its set's entry: the job is nowhere
    task_lag: float = 0.0  # seconds between CreateBackup's answer and the task's entry
    wrong_state_code: str = "IncorrectDBInstanceState"  # or OperationDenied.DBInstanceStatus
    cloud_native_tasks: bool = False  # whether DescribeBackupTasks shows a cloud-native cluster's jobs
    tair_only_if_asked: bool = True  # DescribeInstances leaves Tair out unless InstanceType=Tair
    refused_types: tuple[str, ...] = ()  # values of InstanceType that DescribeInstances refuses
    extra_total: Mapping[str, int] = field(default_factory=dict)  # by operation: TotalCount is that much too large


class KVStore:
    """The service. `region` is what the endpoint tells; None accepts any."""

    def __init__(
        self, fleet: Fleet, clock: Clock, behaviour: Behaviour | None = None, clock_offset: float = 0.0
    ) -> None:
        """`clock_offset`: how many seconds the service's own clock is ahead of `clock`. All that it tells is by it."""
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
        """The instance's state, to look at or to change. Raise ApiError when there is none."""
        return self.instances.get(instance_id)

    def create_later(self, parameters: Parameters, region: str | None, delay: float) -> None:
        """CreateBackup whose answer is lost, and whose effect comes `delay` seconds from now."""
        days = _retention(parameters.get("BackupRetentionPeriod"))
        at = self._clock.time() + delay
        self._instance(parameters, region).create_later(at, by_api=True, retention_days=days)

    def create_backup(self, parameters: Parameters, region: str | None) -> Answer:
        state = self._instance(parameters, region)
        days = _retention(parameters.get("BackupRetentionPeriod"))
        backup = state.create_backup(days, self.behaviour.wrong_state_code)
        text = ",".join(backup.job_ids)
        style = state.config.job_id_style
        answer: str | int = f'"{text}"' if style == "quoted" else text
        return {"BackupJobID": int(text) if style == "int" and text.isdigit() else answer}

    def describe_backups(self, parameters: Parameters, region: str | None) -> Answer:
        state = self._instance(parameters, region)
        if state.config.kind == "cloud-native":
            raise errors.wrong_type()
        begin, end = self._window(parameters)
        job_id = _job_id(parameters)
        entries = [
            rendering.backup_set(state, backup, part, self.clock_offset)
            for backup, part in state.finished(self._clock.time(), self.behaviour.listing_lag)
            if begin <= part.start < end and job_id in (None, part.job_id)
        ]
        page, number, size = _page(entries, parameters, BACKUP_PAGES)
        total = len(entries) + self.behaviour.extra_total.get("DescribeBackups", 0)
        return {"Backups": {"Backup": page}, "TotalCount": total, "PageNumber": number, "PageSize": size}

    def describe_backup_tasks(self, parameters: Parameters, region: str | None) -> Answer:
        state = self._instance(parameters, region)
        job_id, mode, now = _job_id(parameters), parameters.get("JobMode"), self._clock.time()
        hidden = state.config.kind == "cloud-native" and not self.behaviour.cloud_native_tasks
        tasks = [
            rendering.backup_task(state, backup, part, now, self.clock_offset)
            for backup, part in ([] if hidden else state.running(now, self.behaviour.task_lag))
            if job_id in (None, part.job_id) and mode in (None, backup.mode)
        ]
        return {"InstanceId": state.config.id, "BackupJobs": tasks}

    def describe_cluster_backup_list(self, parameters: Parameters, region: str | None) -> Answer:
        state = self._instance(parameters, region)
        if state.config.kind != "cloud-native":
            raise errors.wrong_type()
        begin, end = self._window(parameters)
        now, lag = self._clock.time(), self.behaviour.listing_lag
        entries = [
            rendering.cluster_backup(state, backup, index, now, lag, self.clock_offset)
            for index, backup in enumerate(state.backups)
            if begin <= backup.start < end and not state.is_gone(backup, now)
        ]
        page, number, size = _page(entries[::-1], parameters, range(1, 301))
        return {"ClusterBackups": page, "MaxResults": len(entries), "PageNumber": number, "PageSize": size}

    def describe_instances(self, parameters: Parameters, region: str | None) -> Answer:
        region = parameters.get("RegionId") or region
        if not region:
            raise errors.missing("RegionId")
        ids = [each for each in parameters.get("InstanceIds", "").split(",") if each]
        if len(ids) > MAX_IDS:
            raise errors.malformed("InstanceIds")
        tags, status, kind = _tags(parameters), parameters.get("InstanceStatus"), parameters.get("InstanceType")
        if kind in self.behaviour.refused_types:
            raise errors.malformed("InstanceType")
        if kind is None and self.behaviour.tair_only_if_asked:
            kind = "Redis"
        found = [
            state
            for state in (self.instances.known(ids) if ids else self.instances)
            if state.config.region == region
            and not state.denied  # the role may not see it, so it is left out
            and kind in (None, state.config.type)
            and status in (None, state.status)
            and all(state.config.tags.get(key) == value for key, value in tags.items())
        ]
        page, number, size = _page(found, parameters, range(1, 51))
        entries = [rendering.instance(state) for state in page]
        return {
            "Instances": {"KVStoreInstance": entries},
            "TotalCount": len(found) + self.behaviour.extra_total.get("DescribeInstances", 0),
            "PageNumber": number,
            "PageSize": size,
        }

    def describe_instance_attribute(self, parameters: Parameters, region: str | None) -> Answer:
        entry = rendering.instance(self._instance(parameters, region))
        return {"Instances": {"DBInstanceAttribute": [entry]}}

    def _window(self, parameters: Parameters) -> tuple[float, float]:
        """From when on and until when, by the clock; the parameters mean the service's own."""
        begin, end = (_minute(parameters, name) - self.clock_offset for name in ("StartTime", "EndTime"))
        return begin, end

    def _instance(self, parameters: Parameters, region: str | None) -> InstanceState:
        instance_id = parameters.get("InstanceId")
        if not instance_id:
            raise errors.missing("InstanceId")
        return self.instances.get(instance_id, parameters.get("RegionId") or region)


def _retention(text: str | None) -> int:
    if text is None:
        return RETENTION_DEFAULT
    if not re.fullmatch(r"-1|\d{1,4}", text) or not (int(text) == -1 or 7 <= int(text) <= 730):
        raise errors.malformed("BackupRetentionPeriod")
    return int(text)


def _job_id(parameters: Parameters) -> int | None:
    text = parameters.get("BackupJobId")
    if text is None:
        return None
    if not re.fullmatch(r"\d+", text):
        raise errors.malformed("BackupJobId")
    return int(text)


def _minute(parameters: Parameters, name: str) -> float:
    text = parameters.get(name)
    if not text:
        raise errors.missing(name)
    try:
        return rendering.minute(text)
    except ValueError:
        raise errors.malformed(name) from None


def _tags(parameters: Parameters) -> dict[str, str]:
    numbers = [match[1] for name in parameters if (match := re.fullmatch(r"Tag\.(\d+)\.Key", name))]
    if len(numbers) > MAX_TAGS:
        raise errors.malformed("Tag")
    return {parameters[f"Tag.{number}.Key"]: parameters.get(f"Tag.{number}.Value", "") for number in numbers}


def _page(entries: list[Any], parameters: Parameters, sizes: range | tuple[int, ...]) -> tuple[list[Any], int, int]:
    """One page of the entries, its number (from 1) and its size."""
    number, size = parameters.get("PageNumber", "1"), parameters.get("PageSize", "30")
    if not number.isdigit() or int(number) < 1:
        raise errors.malformed("PageNumber")
    if not size.isdigit() or int(size) not in sizes:
        raise errors.malformed("PageSize")
    first = (int(number) - 1) * int(size)
    return entries[first : first + int(size)], int(number), int(size)

"""R-KVStore (API 2015-01-01) as this function uses it: six operations of one region, typed.

Reads are tried again here; CreateBackup never is, since it has no ClientToken (see `redis_backup.ensure`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from redis_backup import answers, lean, sdk, timestamps
from redis_backup.api_errors import ApiError
from redis_backup.fields import Target
from redis_backup.invocation import Invocation
from redis_backup.job import Architecture, Job, JobStatus
from redis_backup.pace import Brake, Deadline, jitter
from redis_backup.runtime import Clock
from redis_backup.settings import Settings
from redis_backup.states import ErrorKind, Problem

BATCH = 30  # IDs that DescribeInstances takes in one call
_MARGIN = timedelta(minutes=2)  # windows are in minutes, and clocks differ
_READ_ATTEMPTS = 8  # but for throttled calls, which are tried for as long as there is time
_TRY_AGAIN = (ErrorKind.THROTTLED, ErrorKind.TRANSIENT, ErrorKind.UNKNOWN)


class KVStore:
    """One region's API. Every method may raise ApiError. Threads may share it."""

    def __init__(
        self, region: str, invocation: Invocation, settings: Settings, clock: Clock, deadline: Deadline
    ) -> None:
        client = lean.load("alibabacloud_r_kvstore20150101.client")
        self._models = lean.load("alibabacloud_r_kvstore20150101.models")
        endpoint = settings.endpoint.format(region=region, account=invocation.account_id) if settings.endpoint else None
        self._client = client.Client(sdk.config(invocation.credentials, region, endpoint, settings.concurrency))
        self._region, self._account, self._secrets = region, invocation.account_id, invocation.credentials.secrets
        self._clock, self._deadline, self._brake = clock, deadline, Brake(clock)
        self._first_call, self._is_warm = threading.Lock(), False

    def create_backup(self, instance_id: str, retention_days: int | None) -> tuple[str, ...]:
        """Start a backup; its job IDs, in the API's order. Sent once, whatever happens."""
        request = self._models.CreateBackupRequest(instance_id=instance_id, backup_retention_period=retention_days)
        body = self._call(
            "CreateBackup", instance_id, lambda options: self._client.create_backup_with_options(request, options)
        )
        ids = answers.split_job_ids(body.backup_job_id)
        if not ids:
            raise ApiError(Problem("NoJobID", "CreateBackup answered without a job ID", ErrorKind.UNKNOWN))
        return ids

    def backup_tasks(self, instance_id: str) -> list[Job]:
        """What runs now, or is listed as if it did."""
        request = self._models.DescribeBackupTasksRequest(instance_id=instance_id)
        body = self._read(
            "DescribeBackupTasks",
            instance_id,
            lambda options: self._client.describe_backup_tasks_with_options(request, options),
        )
        return [
            Job(
                job_id=answers.identifier(task.backup_job_id),
                node=task.node_id or "",
                status=JobStatus.RUNNING,
                start=answers.time(task.start_time),
                is_manual=answers.is_manual(task.job_mode),
                progress=answers.percent(task.progress or task.process),
            )
            for task in body.backup_jobs or []
        ]

    def backup_sets(self, instance_id: str, since: datetime) -> list[Job]:
        """What has ended since then. Their download URLs are left behind here."""
        start, end = self._window(since)

        def page(number: int, seen: int) -> tuple[list[Any], bool]:
            request = self._models.DescribeBackupsRequest(
                instance_id=instance_id, start_time=start, end_time=end, page_number=number, page_size=300
            )
            body = self._read(
                "DescribeBackups",
                instance_id,
                lambda options: self._client.describe_backups_with_options(request, options),
            )
            entries = (body.backups.backup if body.backups else None) or []
            return entries, seen + len(entries) < (answers.number(body.total_count) or 0)

        return [
            Job(
                job_id=answers.identifier(entry.backup_job_id),
                node=entry.node_instance_id or "",
                status=answers.SET_STATUS.get(str(entry.backup_status).lower(), JobStatus.RUNNING),
                start=answers.time(entry.backup_start_time),
                end=answers.time(entry.backup_end_time),
                is_manual=answers.is_manual(entry.backup_mode),
                size=answers.number(entry.backup_size),
            )
            for entry in _pages(page)
        ]

    def cluster_backups(self, instance_id: str, since: datetime) -> list[Job]:
        """A cloud-native cluster's backups, running and ended. They carry no job ID."""
        start, end = self._window(since)

        def page(number: int, seen: int) -> tuple[list[Any], bool]:  # noqa: ARG001 - no total is documented
            request = self._models.DescribeClusterBackupListRequest(
                region_id=self._region,
                instance_id=instance_id,
                start_time=start,
                end_time=end,
                no_shard_backup="true",  # leaves out each shard's download URLs
                page_number=number,
                page_size=100,
            )
            body = self._read(
                "DescribeClusterBackupList",
                instance_id,
                lambda options: self._client.describe_cluster_backup_list_with_options(request, options),
            )
            entries = body.cluster_backups or []
            return entries, len(entries) == 100 and answers.number(body.page_number) == number

        return [
            Job(
                cluster_backup_id=entry.cluster_backup_id or "",
                status=answers.CLUSTER_STATUS.get(str(entry.cluster_backup_status).upper(), JobStatus.FAILED),
                start=answers.time(entry.cluster_backup_start_time),
                end=answers.time(entry.cluster_backup_end_time),
                is_manual=answers.is_manual(entry.cluster_backup_mode),
                progress=answers.percent(entry.progress),
                size=answers.number(entry.cluster_backup_size),
            )
            for entry in _pages(page)
        ]

    def architectures(self, instance_ids: Sequence[str]) -> dict[str, Architecture]:
        """Those of at most 30 instances. One that is left out is not known to be absent."""
        found: dict[str, Architecture] = {}
        # The official metadata names Redis as the default type, so Tair instances may be left out unless asked for.
        for instance_type in (None, "Tair"):
            missing = [instance_id for instance_id in instance_ids if instance_id not in found]
            if missing:
                request = self._models.DescribeInstancesRequest(
                    region_id=self._region,
                    instance_ids=",".join(missing),
                    instance_type=instance_type,
                    page_number=1,
                    page_size=50,
                )
                for instance in self._describe_instances(request)[0]:
                    found[instance.instance_id] = answers.architecture(instance)
        return found

    def architecture(self, instance_id: str) -> Architecture:
        """That of one instance, asked of itself: an unknown one raises."""
        request = self._models.DescribeInstanceAttributeRequest(instance_id=instance_id)
        body = self._read(
            "DescribeInstanceAttribute",
            instance_id,
            lambda options: self._client.describe_instance_attribute_with_options(request, options),
        )
        listed = (body.instances.dbinstance_attribute if body.instances else None) or []
        if not listed:
            raise ApiError(Problem("NoAttributes", "DescribeInstanceAttribute answered nothing", ErrorKind.UNKNOWN))
        return answers.architecture(listed[0])

    def select(self, tags: Mapping[str, str]) -> list[Target]:
        """The region's instances, of every type, that bear all these tags."""
        tag = [self._models.DescribeInstancesRequestTag(key=key, value=value) for key, value in tags.items()]
        found: dict[str, None] = {}
        for instance_type in (None, "Tair"):

            def page(number: int, seen: int, instance_type: str | None = instance_type) -> tuple[list[Any], bool]:
                entries, total = self._describe_instances(
                    self._models.DescribeInstancesRequest(
                        region_id=self._region, tag=tag, instance_type=instance_type, page_number=number, page_size=50
                    )
                )
                return entries, seen + len(entries) < total

            for instance in _pages(page):
                found[instance.instance_id] = None
        return [Target(self._region, instance_id) for instance_id in sorted(found)]

    def _describe_instances(self, request: Any) -> tuple[list[Any], int]:
        body = self._read(
            "DescribeInstances", "*", lambda options: self._client.describe_instances_with_options(request, options)
        )
        return (body.instances.kvstore_instance if body.instances else None) or [], answers.number(
            body.total_count
        ) or 0

    def _window(self, since: datetime) -> tuple[str, str]:
        now = timestamps.from_epoch(self._clock.time())
        return tuple(  # type: ignore[return-value]
            moment.strftime("%Y-%m-%dT%H:%MZ") for moment in (since - _MARGIN, now + _MARGIN)
        )

    def _read(self, operation: str, instance_id: str, send: Callable[[Any], Any]) -> Any:
        """Call, and call again after what passes, as long as there is time."""
        attempt = 0
        while True:
            try:
                return self._call(operation, instance_id, send)
            except ApiError as error:
                attempt += 1
                too_often = attempt >= _READ_ATTEMPTS and error.kind is not ErrorKind.THROTTLED
                if error.kind not in _TRY_AGAIN or too_often or not self.pause(error, attempt):
                    raise

    def pause(self, error: ApiError, attempt: int) -> bool:
        """Wait before a call is tried again, as long as the error asks for. False: there is not that much time."""
        if error.kind is ErrorKind.THROTTLED:
            return self._brake.wait(self._deadline)
        return self._deadline.sleep(error.retry_after or jitter(self._clock, attempt - 1))

    def _call(self, operation: str, instance_id: str, send: Callable[[Any], Any]) -> Any:
        """Call once. The first call goes alone: the SDK makes its session then, without a lock, so one for each."""
        if not self._is_warm:
            with self._first_call:
                if not self._is_warm:
                    try:
                        return self._send(operation, instance_id, send)
                    finally:
                        self._is_warm = True
        return self._send(operation, instance_id, send)

    def _send(self, operation: str, instance_id: str, send: Callable[[Any], Any]) -> Any:
        if not self._brake.wait(self._deadline):
            raise sdk.out_of_time()
        try:
            body = sdk.call(
                send,
                self._deadline,
                action=f"kvstore:{operation}",
                resource=f"acs:kvstore:{self._region}:{self._account}:instance/{instance_id}",
                secrets=self._secrets,
            ).body
        except ApiError as error:
            if error.kind is ErrorKind.THROTTLED:
                self._brake.press(error.retry_after)
            raise
        self._brake.ease()
        if body is None:
            raise sdk.unreadable(operation)
        return body


def _pages(page: Callable[[int, int], tuple[list[Any], bool]]) -> Iterator[Any]:
    """All entries; `page` takes its number and how many came before, and gives entries and whether more follow."""
    seen = 0
    for number in itertools.count(1):
        entries, more = page(number, seen)
        yield from entries
        seen += len(entries)
        if not entries or not more:
            return

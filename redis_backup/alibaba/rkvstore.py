"""Call R-KVStore (API 2015-01-01): the six operations that this function uses. Each call is sent once.

The official client signs and sends. Its methods for the operations are not used, since their models make an empty list
of a list that is absent from an answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from redis_backup.alibaba import adapters, lazy_sdk, parsing, sdk, sdk_errors
from redis_backup.alibaba.api_clock import ApiClock
from redis_backup.alibaba.api_errors import EXPIRED, ApiError
from redis_backup.alibaba.downloads import BackupFile, backup_files
from redis_backup.alibaba.parsing import Instance, Job, Unreadable
from redis_backup.backoff import Deadline
from redis_backup.context import Context
from redis_backup.runtime import Clock, utc_now
from redis_backup.settings import Settings

T = TypeVar("T")
# https://www.alibabacloud.com/help/en/redis/developer-reference/api-r-kvstore-2015-01-01-describeinstances-redis
BATCH = 30  # the most IDs of one call of DescribeInstances
_VERSION = "2015-01-01"
_MARGIN = timedelta(minutes=2)  # StartTime and EndTime of a list are in minutes, and clocks differ
_SETS_PER_PAGE, _INSTANCES_PER_PAGE, _CLUSTERS_PER_PAGE = 300, 50, 100  # the most entries of a page


class RKVStore:
    """The API of one region. Every method may raise ApiError. Threads may share it."""

    def __init__(
        self,
        region: str,
        context: Context,
        settings: Settings,
        clock: Clock,
        deadline: Deadline,
        api_clock: ApiClock,
    ) -> None:
        client = lazy_sdk.load("alibabacloud_r_kvstore20150101.client")
        endpoint = settings.endpoint.format(region=region, account=context.account_id) if settings.endpoint else None
        self._client = client.Client(sdk.config(context.credentials, region, endpoint, settings.concurrency))
        self._region, self._account, self._secrets = region, context.account_id, context.credentials.secrets
        self._clock, self._deadline, self._api_clock = clock, deadline, api_clock
        self._way = settings.download
        self._first_call, self._is_warm, self._was_served = threading.Lock(), False, False

    def create_backup(self, instance_id: str, retention_days: int | None) -> tuple[str, ...]:
        """Start a backup (CreateBackup). Return its job IDs, in the API's order.

        https://www.alibabacloud.com/help/en/redis/developer-reference/api-r-kvstore-2015-01-01-createbackup-redis
        """
        query = {"InstanceId": instance_id, "BackupRetentionPeriod": retention_days}

        def read(body: Any) -> tuple[str, ...]:
            ids = parsing.split_job_ids(body.get("BackupJobID"))
            if not ids:
                raise Unreadable
            return ids

        return self._call("CreateBackup", query, read)

    def backup_tasks(self, instance_id: str) -> list[Job]:
        """List the jobs that run now, or are still listed as running (DescribeBackupTasks)."""

        def read(body: Any) -> list[Job]:
            return [parsing.backup_task(entry) for entry in parsing.entries(body, "BackupJobs")]

        return self._call("DescribeBackupTasks", {"InstanceId": instance_id}, read)

    def backup_sets(self, instance_id: str, since: datetime) -> list[Job]:
        """List the jobs that started since then and have ended (DescribeBackups)."""
        query = {"InstanceId": instance_id, **self._window(since)}
        listed, total = self._list("DescribeBackups", query, _SETS_PER_PAGE, "Backups", "Backup")
        if len(listed) < total:  # the missing one could be the backup that satisfies
            raise sdk_errors.unreadable("DescribeBackups")
        return [parsing.backup_set(entry) for entry in listed]

    def cluster_backups(self, instance_id: str, since: datetime) -> list[Job]:
        """List a cloud-native cluster's backups that started since then, running and ended.

        https://www.alibabacloud.com/help/en/redis/developer-reference/api-r-kvstore-2015-01-01-describeclusterbackuplist-redis
        """
        query = {"RegionId": self._region, "InstanceId": instance_id, **self._window(since)}
        query |= {"NoShardBackup": "true"}  # without the download URLs of each shard
        listed, _ = self._list("DescribeClusterBackupList", query, _CLUSTERS_PER_PAGE, "ClusterBackups", method="GET")
        try:
            return [parsing.cluster_backup(entry) for entry in listed]
        except Unreadable:
            raise sdk_errors.unreadable("DescribeClusterBackupList") from None

    def backup_files(
        self, instance_id: str, began: datetime, job_ids: Sequence[str], cluster_id: str
    ) -> list[BackupFile]:
        """List the files of one backup with their addresses, which expire: by its jobs, or by its ClusterBackupId.

        An empty list means that the backup is not listed (any more). Raise ApiError if a file has no address.
        """
        query = {"InstanceId": instance_id, **self._window(began)}
        if cluster_id:
            query |= {"RegionId": self._region}
            operation, size = "DescribeClusterBackupList", _CLUSTERS_PER_PAGE
            listed, _ = self._list(operation, query, size, "ClusterBackups", method="GET")
            listed = [each for each in listed if parsing.identifier(each.get("ClusterBackupId")) == cluster_id]
            entries: list[Mapping[str, Any]] = [entry for each in listed for entry in each.get("Backups") or ()]
        else:
            listed, _ = self._list("DescribeBackups", query, _SETS_PER_PAGE, "Backups", "Backup")
            entries = [each for each in listed if parsing.identifier(each.get("BackupJobID")) in job_ids]
            if entries and {parsing.identifier(each.get("BackupJobID")) for each in entries} != set(job_ids):
                raise sdk_errors.unreadable("DescribeBackups")  # a file that is not listed would not be read
        if any(str(each.get("BackupStatus") or "OK").upper() not in ("OK", "SUCCESS") for each in entries):
            raise sdk_errors.unreadable(operation if cluster_id else "DescribeBackups")
        return backup_files(entries, self._way)

    def describe(self, instance_ids: Sequence[str]) -> dict[str, Instance]:
        """Describe at most 30 instances by their IDs (DescribeInstances). An instance that is left out may exist."""
        found: dict[str, Instance] = {}
        # The API's metadata says that the default type is Redis, so Tair instances may be missing unless asked for.
        for instance_type in (None, "Tair"):
            missing = [instance_id for instance_id in instance_ids if instance_id not in found]
            query = {"InstanceIds": ",".join(missing), "InstanceType": instance_type}
            try:
                for entry in self._instances(query)[0] if missing else ():
                    found[str(entry.get("InstanceId"))] = parsing.instance(entry)
            except ApiError:
                if instance_type is None:
                    raise
        return found

    def describe_one(self, instance_id: str) -> Instance:
        """Describe one instance (DescribeInstanceAttribute). Raise ApiError if it does not exist."""

        def read(body: Any) -> Instance:
            listed = parsing.entries(body, "Instances", "DBInstanceAttribute")
            if not listed:
                raise Unreadable
            return parsing.instance(listed[0])

        return self._call("DescribeInstanceAttribute", {"InstanceId": instance_id}, read)

    def tagged(self, tags: Mapping[str, str], instance_type: str | None) -> tuple[list[str], int]:
        """List the IDs of the region's instances that have all these tags, and return TotalCount with them."""
        query: dict[str, object] = {"InstanceType": instance_type}
        for number, (key, value) in enumerate(tags.items(), 1):
            query |= {f"Tag.{number}.Key": key, f"Tag.{number}.Value": value}
        listed, total = self._instances(query)
        found = list(dict.fromkeys(str(entry.get("InstanceId")) for entry in listed))
        return found, total

    def _instances(self, query: Mapping[str, object]) -> tuple[list[Mapping[str, Any]], int]:
        query = {"RegionId": self._region, **query}
        return self._list("DescribeInstances", query, _INSTANCES_PER_PAGE, "Instances", "KVStoreInstance")

    def _window(self, since: datetime) -> dict[str, object]:
        now = utc_now(self._clock)
        start, end = (moment.strftime("%Y-%m-%dT%H:%MZ") for moment in (since - _MARGIN, now + _MARGIN))
        return {"StartTime": start, "EndTime": end}

    def _list(
        self, operation: str, query: Mapping[str, object], size: int, *path: str, method: str = "POST"
    ) -> tuple[list[Mapping[str, Any]], int]:
        """Read all pages. Return their entries and TotalCount (the number of entries if the answers have none).

        The last page is the one that reaches TotalCount; without TotalCount the first page that is not full.
        """

        def read(body: Any) -> tuple[list[Mapping[str, Any]], int | None]:
            return parsing.entries(body, *path), parsing.number(body.get("TotalCount"))

        found: list[Mapping[str, Any]] = []
        previous: list[Mapping[str, Any]] = []
        number = 1
        while True:
            page = {**query, "PageNumber": number, "PageSize": size}
            listed, total = self._call(operation, page, read, method=method)
            if listed == previous:  # no more entries, or the server ignores PageNumber
                return found, max(total or 0, len(found))
            found += listed
            if not listed or (len(found) >= total if total is not None else len(listed) < size):
                return found, max(total or 0, len(found))
            previous, number = listed, number + 1

    def _call(
        self, operation: str, query: Mapping[str, object], read: Callable[[Any], T], *, method: str = "POST"
    ) -> T:
        """Call once. The first call goes alone, since the SDK makes its session then and has no lock for that."""
        if not self._is_warm:
            with self._first_call:
                if not self._is_warm:
                    try:
                        return self._send(operation, query, read, method)
                    finally:
                        self._is_warm = True
        return self._send(operation, query, read, method)

    def _send(self, operation: str, query: Mapping[str, object], read: Callable[[Any], T], method: str) -> T:
        params, request = sdk.rpc_call(operation, _VERSION, method, query)
        sent = self._clock.time()

        def send_and_read(options: Any) -> T:
            answer = self._client.call_api(params, request, options)
            self._was_served = True
            self._api_clock.note(answer.get("headers", {}).get("date"), sent)
            try:
                return read(answer["body"])
            except (Unreadable, AttributeError, KeyError, TypeError):
                raise sdk_errors.UnexpectedAnswerError(answer.get("body")) from None

        try:
            return sdk.call(
                send_and_read,
                self._deadline,
                action=f"kvstore:{operation}",
                resource=f"acs:kvstore:{self._region}:{self._account}:instance/{query.get('InstanceId', '*')}",
                secrets=self._secrets,
            )
        except ApiError as error:
            if error.status and error.problem.code != "NoAnswer":
                self._api_clock.note(adapters.last_date(), sent)
            if error.problem.code.startswith(EXPIRED) and self._was_served:
                raise sdk_errors.credentials_ended(error.problem) from None
            raise

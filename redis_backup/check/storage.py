"""Try the store, and the way to a backup's files, as receipts, copies and reading need them.

An object `check.json` is written at the top of the store's folder; it is replaced at each check. A multipart upload is
begun and aborted. Nothing else is left there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from redis_backup.alibaba.api_clock import ApiClock
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.downloads import BackupFile, Downloads
from redis_backup.alibaba.oss import ObjectStore
from redis_backup.alibaba.parsing import JobStatus
from redis_backup.alibaba.retries import call_with_retries, run_in_parallel
from redis_backup.alibaba.rkvstore import RKVStore
from redis_backup.backoff import Deadline
from redis_backup.context import Context
from redis_backup.request.instances import InstanceRef
from redis_backup.request.request import Request
from redis_backup.runtime import Clock, utc_now
from redis_backup.settings import INTRANET, Settings
from redis_backup.states import CheckResult, Proof

_TIME = 30.0  # seconds for the store, and again for a file
_KEY, _UPLOAD = "check.json", "check.upload"
_CONTENT = b'{"what": "written by a check of redis-backup"}\n'
_BACKUPS_OF = timedelta(days=30)  # among which a file to read is looked for
_MOST_TRIED = 5  # instances whose backups are looked at


class StorageCheck:
    """The check of the store and of the way to files, where a setting or the request asks for them."""

    def __init__(self, context: Context, settings: Settings, clock: Clock) -> None:
        self._context, self._settings, self._clock = context, settings, clock

    def results(self, request: Request) -> Iterator[CheckResult]:
        """Yield the results."""
        proof = max(Proof.from_fields(self._settings.verify, self._settings.copy), request.proof)
        if self._settings.store:
            yield from self._store()
        elif proof.needs_store:
            detail = "BACKUP_STORE is not set, so that requests with verify: full, or with copy, are refused"
            yield CheckResult("store", False, detail, "set it to oss://BUCKET/PREFIX in the function's environment")
        if proof is not Proof.NONE:
            yield self._download(request)

    def _store(self) -> Iterator[CheckResult]:
        """Yield one result for each operation that fails, or one for all of them."""
        folder = self._settings.store
        if folder is None:
            return
        deadline = self._deadline()
        store = ObjectStore(folder, self._context, self._settings, deadline)
        steps: dict[str, Callable[[], object]] = {
            "oss:PutObject": lambda: store.put(_KEY, _CONTENT, overwrite=True),
            "oss:GetObject": lambda: store.get(_KEY),
            "oss:ListObjects": store.list,
            "oss:ListMultipartUploads": lambda: store.uploads(_KEY),
            "oss:AbortMultipartUpload": lambda: store.abort_upload(_UPLOAD, store.begin_upload(_UPLOAD)),
        }
        found = list(run_in_parallel([partial(self._error_of, step) for step in steps.values()], len(steps), deadline))
        failed = {name: errors[0] for name, errors in zip(steps, found, strict=True) if errors and errors[0]}
        unanswered = next((error for error in failed.values() if error.problem.code == "NoAnswer"), None)
        if unanswered or None in found:
            detail = unanswered.problem.message if unanswered else "OSS did not answer in time"
            hint = "check the function's network, BACKUP_OSS_ENDPOINT and BACKUP_STORE_REGION"
            yield CheckResult("store", False, f"{folder.url} by {store.endpoint}: {detail}", hint)
            return
        for name, error in failed.items():
            hint = error.problem.hint or "compare the role's policy with deploy/role-policy-store.json"
            yield CheckResult(f"store {name}", False, f"{error.problem.message} ({error.problem.code})", hint)
        if not failed:
            yield CheckResult("store", True, f"{folder.url} can be written, read and listed by {store.endpoint}")

    def _download(self, request: Request) -> CheckResult:
        """Read one byte of the file of a backup of one of the request's instances."""
        way, own = self._settings.download, self._context.region
        named = [each for each in request.instances if way != INTRANET or each.region == own]
        if not named:
            detail = f"over the {way}: not tried, since the check names no instance" + (
                f" of {own}" if way == INTRANET else ""
            )
            return CheckResult("download", None, detail, "name an instance that has a backup in the check")
        steps = [partial(self._try_file, instance) for instance in named[:_MOST_TRIED]]
        found = [each for each in run_in_parallel(steps, len(steps), self._deadline()) if each]
        read = next((each for each in found if each.file and not each.error), None)
        failed = next((each for each in found if each.error), None)
        if read and read.file:
            return CheckResult("download", True, f"over the {way}: a byte of {read.file.name} was read")
        if failed and failed.error:
            problem = failed.error.problem
            return CheckResult("download", False, f"{problem.message} ({problem.code})", problem.hint or "check again")
        hint = f"name one that has a backup of the last {_BACKUPS_OF.days} days"
        return CheckResult("download", None, f"over the {way}: not tried, since no named instance has a backup", hint)

    def _try_file(self, instance: InstanceRef) -> _Tried:
        deadline = self._deadline()
        client = RKVStore(instance.region, self._context, self._settings, self._clock, deadline, ApiClock(self._clock))
        try:
            file = call_with_retries(partial(self._file, client, instance.instance_id), self._clock, deadline)
            if file:
                downloads = Downloads(self._settings.download, deadline, connections=1)
                call_with_retries(lambda: list(downloads.read(file, 0, 1).chunks), self._clock, deadline)
        except ApiError as error:
            return _Tried(None, error)
        return _Tried(file, None)

    def _file(self, client: RKVStore, instance_id: str) -> BackupFile | None:
        """Return a file of the instance's newest good backup, None if it has none."""
        since = utc_now(self._clock) - _BACKUPS_OF
        is_cloud_native = client.describe_one(instance_id).is_cloud_native
        listed = (client.cluster_backups if is_cloud_native else client.backup_sets)(instance_id, since)
        good = [job for job in listed if job.status is JobStatus.SUCCEEDED and job.start]
        if not good:
            return None
        newest = max(good, key=lambda job: job.start or since)
        files = client.backup_files(instance_id, newest.start or since, [newest.job_id], newest.cluster_backup_id)
        return files[0] if files else None

    def _error_of(self, call: Callable[[], object]) -> list[ApiError | None]:
        try:
            call_with_retries(call, self._clock, self._deadline())
        except ApiError as error:
            return [error]
        return [None]

    def _deadline(self) -> Deadline:
        return Deadline(self._clock, min(self._context.stop_work_at, self._clock.monotonic() + _TIME))


@dataclass(frozen=True)
class _Tried:
    """What came of reading a file: the file, None if the instance has no backup, and the error."""

    file: BackupFile | None
    error: ApiError | None

"""What the log store holds after some nights, line by line as docs/reference.md has the records.

Written by hand, so that queries and alerts are held to what is promised, and not to what the function happens to write.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

REGION = "cn-hangzhou"
STANDARD, SHARDS, SLOW, BROKEN, DENIED = (
    "r-bp1zxszhcgatnx01",
    "r-bp1cluster2shards",
    "r-bp1tenhours00001",
    "r-bp1alwaysfails01",
    "r-bp1notyours00001",
)
CREATE = f"kvstore:CreateBackup on acs:kvstore:{REGION}:1234567890123456:instance/{DENIED}"
INVOKE = f"fc:InvokeFunction on acs:fc:{REGION}:1234567890123456:functions/redis-backup"
DENIAL = {"error_code": "Forbidden.RAM", "error_kind": "permanent", "api_request_id": "4C8F7D8A-1"}


class Night(NamedTuple):
    """Lines of the log store, and when it is looked at."""

    lines: list[str]
    now: str


class Story:
    """One event's records: what they have in common is written once."""

    def __init__(self, trigger: str, trigger_id: str, since: str, reason: str | None = None) -> None:
        self._trigger = trigger
        self._common = {"trigger_id": trigger_id, "since": since, "reason": reason}

    def line(self, time: str, event: str, level: str = "INFO", *, follow: bool = False, **fields: Any) -> str:
        """A record, written at `time`; `follow`: by one of the event's follow-ups."""
        trigger = "follow" if follow else self._trigger
        record = {"time": time, "level": level, "event": event, "request_id": f"1-{time}", "trigger": trigger}
        known = {name: value for name, value in {**self._common, **fields}.items() if value is not None}
        return json.dumps({**record, **known}, ensure_ascii=False, separators=(",", ":"))

    def state(self, time: str, event: str, instance: str, level: str = "INFO", **fields: Any) -> str:
        """An instance has come to a state."""
        return self.line(time, event, level, region=REGION, instance_id=instance, **fields)

    def report(self, time: str, *, ok: bool, done: bool, level: str = "INFO", **fields: Any) -> str:
        """What one invocation came to."""
        return self.line(time, "report", level, **{"dry_run": False, "ok": ok, "done": done, **fields})


def seconds(time: str) -> int:
    """A record's time as Log Service's `__time__`."""
    return int(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp())


NIGHTLY = Story("timer", "nightly@2026-11-24T02:00:00Z", "2026-11-24T02:00:00Z", "nightly")
RELEASE = Story("eventbridge", "release-42", "2026-11-24T03:26:10Z", "release 42 of shop/web")
BY_HAND = Story("manual", "1-slow", "2026-11-24T03:40:00Z", "by hand")
AUDIT = Story("timer", "audit@2026-11-25T15:40:00Z", "2026-11-25T15:40:00Z", "audit")
LAST = Story("manual", "1-last", "2026-11-25T15:41:00Z", "the last one")
SPLIT = Story("manual", "1-split", "2026-11-25T15:41:30Z", "a split one")

# A night on which everything goes wrong that alerts are for, then a deployment, and a day later an audit.
EVENTFUL = Night(
    [
        NIGHTLY.state("2026-11-24T02:00:01.100Z", "backup_started", STANDARD, job_ids="10000", attempts=1),
        NIGHTLY.state("2026-11-24T02:00:01.200Z", "backup_started", SHARDS, job_ids="10001,10002", attempts=1),
        NIGHTLY.state("2026-11-24T02:00:01.300Z", "backup_started", BROKEN, job_ids="10003", attempts=1),
        NIGHTLY.state(
            "2026-11-24T02:00:01.400Z",
            "backup_failed",
            DENIED,
            "ERROR",
            error_message=f"RAM does not allow {CREATE}",
            hint=f"grant {CREATE} to the function's role",
            **DENIAL,
        ),
        NIGHTLY.report(
            "2026-11-24T02:00:01.500Z", ok=False, done=False, level="ERROR", running=3, failed=1, instances=4
        ),
        NIGHTLY.state(
            "2026-11-24T02:10:00.000Z",
            "backup_succeeded",
            STANDARD,
            follow=True,
            job_ids="10000",
            attempts=1,
            backup_size=1048576,
            duration_seconds=95,
        ),
        NIGHTLY.state(
            "2026-11-24T02:10:00.100Z",
            "backup_succeeded",
            SHARDS,
            follow=True,
            job_ids="10001,10002",
            attempts=1,
            backup_size=2097152,
            duration_seconds=160,
        ),
        NIGHTLY.state(
            "2026-11-24T02:10:00.200Z",
            "warning",
            BROKEN,
            "WARNING",
            follow=True,
            job_ids="10003",
            attempts=1,
            error_code="BackupJobFailed",
            error_message="earlier backups of this request failed",
        ),
        NIGHTLY.state(
            "2026-11-24T02:10:00.300Z",
            "backup_pending",
            BROKEN,
            follow=True,
            attempts=1,
            error_code="Watching",
            error_kind="unknown",
            error_message="watched until 2026-11-24T02:11:05Z at least",
        ),
        NIGHTLY.state(
            "2026-11-24T02:11:05.000Z", "backup_started", BROKEN, follow=True, job_ids="10004", attempts=2, progress=1
        ),
        NIGHTLY.report(
            "2026-11-24T02:11:06.000Z", ok=True, done=False, follow=True, succeeded=2, running=1, instances=3
        ),
        NIGHTLY.state(
            "2026-11-24T02:20:00.000Z",
            "backup_failed",
            BROKEN,
            "ERROR",
            follow=True,
            job_ids="10004",
            attempts=2,
            error_code="BackupJobFailed",
            error_kind="permanent",
            error_message="2 backups of this request have failed",
            hint="look at the instance's backups in its console, then ask again",
        ),
        NIGHTLY.report(
            "2026-11-24T02:20:00.100Z", ok=False, done=True, level="ERROR", follow=True, failed=1, instances=1
        ),
        NIGHTLY.line(
            "2026-11-24T02:20:00.200Z",
            "request_finished",
            "ERROR",
            follow=True,
            instances=4,
            succeeded=2,
            failed=2,
            attempts=4,
            first_started="2026-11-24T02:00:01Z",
            duration_seconds=1200,
            failed_ids=f"{REGION}/{BROKEN},{REGION}/{DENIED}",
        ),
        # The platform delivers the last follow-up again, since it has raised: the same records once more.
        NIGHTLY.state(
            "2026-11-24T02:21:00.000Z",
            "backup_failed",
            BROKEN,
            "ERROR",
            follow=True,
            job_ids="10004",
            attempts=2,
            error_code="BackupJobFailed",
            error_kind="permanent",
            error_message="2 backups of this request have failed",
            hint="look at the instance's backups in its console, then ask again",
        ),
        NIGHTLY.line(
            "2026-11-24T02:21:00.100Z",
            "request_finished",
            "ERROR",
            follow=True,
            instances=4,
            succeeded=2,
            failed=2,
            attempts=4,
            first_started="2026-11-24T02:00:01Z",
            duration_seconds=1200,
            failed_ids=f"{REGION}/{BROKEN},{REGION}/{DENIED}",
        ),
        # A deployment's event, delivered twice: the second one adopts what the first one started.
        RELEASE.state("2026-11-24T03:26:10.500Z", "backup_started", STANDARD, job_ids="10005", attempts=1),
        RELEASE.state("2026-11-24T03:26:10.600Z", "backup_started", SHARDS, job_ids="10006,10007", attempts=1),
        RELEASE.report("2026-11-24T03:26:10.700Z", ok=True, done=False, running=2, instances=2),
        RELEASE.state("2026-11-24T03:26:40.500Z", "backup_adopted", STANDARD, job_ids="10005", attempts=1),
        RELEASE.state("2026-11-24T03:26:40.600Z", "backup_adopted", SHARDS, job_ids="10006,10007", attempts=1),
        RELEASE.report("2026-11-24T03:26:40.700Z", ok=True, done=False, running=2, instances=2),
        RELEASE.state(
            "2026-11-24T03:36:10.000Z",
            "backup_succeeded",
            STANDARD,
            follow=True,
            job_ids="10005",
            attempts=1,
            backup_size=1048576,
            duration_seconds=95,
        ),
        RELEASE.state(
            "2026-11-24T03:36:10.100Z",
            "backup_succeeded",
            SHARDS,
            follow=True,
            job_ids="10006,10007",
            attempts=1,
            backup_size=2097152,
            duration_seconds=160,
        ),
        RELEASE.report("2026-11-24T03:36:10.200Z", ok=True, done=True, follow=True, succeeded=2, instances=2),
        RELEASE.line(
            "2026-11-24T03:36:10.300Z",
            "request_finished",
            follow=True,
            instances=2,
            succeeded=2,
            failed=0,
            attempts=2,
            first_started="2026-11-24T03:26:10Z",
            duration_seconds=600,
        ),
        # A backup that takes ten hours, followed for six.
        BY_HAND.state("2026-11-24T03:40:01.000Z", "backup_started", SLOW, job_ids="10008", attempts=1),
        BY_HAND.report("2026-11-24T03:40:01.100Z", ok=True, done=False, running=1, instances=1),
        BY_HAND.state(
            "2026-11-24T09:40:01.000Z",
            "backup_failed",
            SLOW,
            "ERROR",
            follow=True,
            job_ids="10008",
            attempts=1,
            error_code="FollowUpExpired",
            error_kind="unknown",
            error_message="still running 6 h after the request",
            hint="look at the backup jobs in the instance's console",
        ),
        BY_HAND.report(
            "2026-11-24T09:40:01.100Z", ok=False, done=True, level="ERROR", follow=True, failed=1, instances=1
        ),
        BY_HAND.line(
            "2026-11-24T09:40:01.200Z",
            "request_finished",
            "ERROR",
            follow=True,
            instances=1,
            succeeded=0,
            failed=1,
            attempts=1,
            first_started="2026-11-24T03:40:01Z",
            duration_seconds=21601,
            failed_ids=f"{REGION}/{SLOW}",
        ),
        # One bad event of a batch, and one that comes alone.
        Story("eventbridge", "release-43", "2026-11-24T09:42:00Z").line(
            "2026-11-24T09:42:00.000Z",
            "event_refused",
            "ERROR",
            error_code="InvalidRequest",
            error_message="instance_idz is no field of a request",
        ),
        Story("manual", "1-template", "2026-11-24T09:42:20Z").report(
            "2026-11-24T09:42:20.000Z",
            ok=False,
            done=None,  # type: ignore[arg-type] # left out: nothing is known to be done
            level="ERROR",
            dry_run=None,
            error_code="InvalidRequest",
            error_message="key1 is no field of a request; key2 is none",
        ),
        # The audit, a backup that has just begun, and one whose follow-up could not be sent.
        AUDIT.state("2026-11-25T15:40:01.000Z", "backup_planned", STANDARD),
        AUDIT.state("2026-11-25T15:40:01.100Z", "backup_planned", SHARDS),
        AUDIT.report("2026-11-25T15:40:01.200Z", ok=True, done=True, dry_run=True, planned=2, instances=2),
        LAST.state("2026-11-25T15:41:01.000Z", "backup_started", STANDARD, job_ids="10009", attempts=1),
        LAST.line(
            "2026-11-25T15:41:01.100Z",
            "warning",
            "WARNING",
            error_message=f"the function could not invoke itself: RAM does not allow {INVOKE}",
            hint=f"grant {INVOKE} to the function's role",
            **DENIAL,
        ),
        LAST.report(
            "2026-11-25T15:41:01.200Z",
            ok=True,
            done=False,
            level="WARNING",
            running=1,
            instances=1,
            hint=f"RAM does not allow {INVOKE}",
        ),
        # A request that is split: the first answer, then each part's end.
        SPLIT.report("2026-11-25T15:41:30.500Z", ok=True, done=False, pending=2, instances=2, shards=2),
        *(
            SPLIT.line(
                f"2026-11-25T15:4{minute}:00.000Z",
                "request_finished",
                follow=True,
                shard=shard,
                instances=1,
                succeeded=1,
                failed=0,
                attempts=1,
                first_started=f"2026-11-25T15:41:3{minute}Z",
                duration_seconds=60 * minute,
            )
            for minute, shard in ((2, "1/2"), (3, "2/2"), (4, "2/2"))  # the second part's end comes twice
        ),
    ],
    "2026-11-25T15:44:00Z",
)

DENIED_CALL = "RAM does not allow kvstore:CreateBackup on acs:kvstore:cn-hangzhou:1:instance/*"
CHECKED = [
    ("INFO", "memory", True, "512 MB", None),
    ("ERROR", "kvstore:CreateBackup cn-hangzhou", False, DENIED_CALL, "grant it to the function's role"),
    ("WARNING", "log store", None, "the function cannot read it", "search for it"),
]
QUIET = Story("timer", "nightly@2026-11-24T02:00:00Z", "2026-11-24T02:00:00Z", "nightly")
# A night on which nothing goes wrong, though one delivery came late and watched first; and its audit.
HEALTHY = Night(
    [
        QUIET.state("2026-11-24T02:00:01.100Z", "backup_started", STANDARD, job_ids="10000", attempts=1),
        QUIET.state(
            "2026-11-24T02:00:41.100Z",
            "backup_pending",
            SHARDS,
            error_code="Watching",
            error_kind="unknown",
            error_message="watched until 2026-11-24T02:01:45Z",
        ),
        QUIET.state("2026-11-24T02:01:45.100Z", "backup_started", SHARDS, job_ids="10001,10002", attempts=1),
        QUIET.report("2026-11-24T02:01:46.000Z", ok=True, done=False, running=2, instances=2),
        QUIET.state(
            "2026-11-24T02:10:00.000Z",
            "backup_succeeded",
            STANDARD,
            follow=True,
            job_ids="10000",
            backup_size=1048576,
            duration_seconds=95,
        ),
        QUIET.state(
            "2026-11-24T02:10:00.100Z",
            "backup_verifying",
            SHARDS,
            follow=True,
            job_ids="10001,10002",
            progress=0,
            backup_size=2097152,
        ),
        QUIET.report(
            "2026-11-24T02:10:00.200Z", ok=True, done=True, follow=True, succeeded=1, verifying=1, instances=2
        ),
        *(
            QUIET.state(  # the follow-up that was sent before the files were read says it again
                f"2026-11-24T02:1{minute}:10.000Z",
                "backup_succeeded",
                SHARDS,
                follow=True,
                job_ids="10001,10002",
                backup_size=2097152,
                duration_seconds=160,
                verified="full",
                copies=f"oss://backups/redis/1234567890123456/{REGION}/{SHARDS}/20261124T020145Z-10001/",
                bytes_read=bytes_read,
            )
            for minute, bytes_read in ((0, 2097188), (1, 0))
        ),
        QUIET.line(
            "2026-11-24T02:10:00.300Z",
            "request_finished",
            follow=True,
            instances=2,
            succeeded=2,
            failed=0,
            attempts=2,
            first_started="2026-11-24T02:00:01Z",
            duration_seconds=600,
        ),
        *(
            Story("timer", "audit@2026-11-24T02:40:00Z", "2026-11-24T02:40:00Z", "audit").state(
                "2026-11-24T02:40:01.000Z",
                "backup_succeeded",
                instance,
                adopted=None,
                backup_size=1,
                duration_seconds=1,
            )
            for instance in (STANDARD, SHARDS)
        ),
        Story("timer", "audit@2026-11-24T02:40:00Z", "2026-11-24T02:40:00Z", "audit").report(
            "2026-11-24T02:40:01.100Z", ok=True, done=True, dry_run=True, succeeded=2, instances=2
        ),
        *(
            Story("manual", "1-check", "2026-11-24T02:40:30Z", "after a change").line(
                f"2026-11-24T02:40:3{number}.000Z", "check", level=level, name=name, ok=ok, detail=detail, hint=hint
            )
            for number, (level, name, ok, detail, hint) in enumerate(CHECKED)  # somebody reads its answer
        ),
    ],
    "2026-11-24T02:41:00Z",
)

UNREACHED = {
    "error_code": "DownloadFailed",
    "error_kind": "transient",
    "error_message": "file hins1.rdb could not be read over the intranet: no answer came in time",
    "hint": "give the function a vpcConfig of the instance's region",
}
CORRUPT = {
    "error_code": "BackupCorrupt",
    "error_message": "earlier backups of this request failed: job 20003, node r-bp1-db-0, file hins3.rdb: cut",
}
YESTERDAY = Story("timer", "nightly@2026-11-23T02:00:00Z", "2026-11-23T02:00:00Z", "nightly")
PROVING = Story("timer", "nightly@2026-11-24T02:00:00Z", "2026-11-24T02:00:00Z", "nightly")


def _read(story: Story, time: str, job_ids: str, instance: str, bytes_read: int, **fields: Any) -> str:
    """A backup was read and judged."""
    known = {"backup_size": 1048576, "duration_seconds": 95, "verified": "full", "bytes_read": bytes_read}
    return story.state(time, "backup_succeeded", instance, follow=True, job_ids=job_ids, **{**known, **fields})


# Two nights of backups that are read: yesterday's were, and tonight's not all of them.
PROVED = Night(
    [
        *(
            YESTERDAY.state("2026-11-23T02:05:00.000Z", "backup_verifying", instance, follow=True, job_ids=job_ids)
            for instance, job_ids in ((STANDARD, "19001"), (SLOW, "19002"))
        ),
        _read(YESTERDAY, "2026-11-23T02:05:30.000Z", "19001", STANDARD, 1048594),
        _read(YESTERDAY, "2026-11-23T02:06:00.000Z", "19002", SLOW, 1048594),
        *(
            PROVING.state("2026-11-24T02:05:00.000Z", "backup_verifying", instance, follow=True, job_ids=job_ids)
            for instance, job_ids in ((STANDARD, "20001"), (BROKEN, "20003"))
        ),
        PROVING.state(
            "2026-11-24T02:05:10.000Z", "backup_verifying", SLOW, "WARNING", follow=True, job_ids="20002", **UNREACHED
        ),
        PROVING.state(
            "2026-11-24T02:05:20.000Z",
            "warning",
            BROKEN,
            "WARNING",
            follow=True,
            job_ids="20003",
            attempts=1,
            **CORRUPT,
        ),
        PROVING.state("2026-11-24T02:06:30.000Z", "backup_started", BROKEN, follow=True, job_ids="20004", attempts=2),
        _read(PROVING, "2026-11-24T02:06:40.000Z", "20001", STANDARD, 2097188),  # some of it twice
        _read(PROVING, "2026-11-24T02:07:40.000Z", "20001", STANDARD, 0),
        PROVING.state("2026-11-24T02:08:00.000Z", "backup_verifying", BROKEN, follow=True, job_ids="20004"),
        _read(PROVING, "2026-11-24T02:08:20.000Z", "20004", BROKEN, 1048594, attempts=2),
        _read(PROVING, "2026-11-24T02:08:30.000Z", "20005", DENIED, 18, verified="unknown-format"),
        Story("manual", "1-later", "2026-11-24T02:20:00Z").state(
            "2026-11-24T02:20:01.000Z", "backup_started", STANDARD, job_ids="20006", attempts=1
        ),
    ],
    "2026-11-24T02:21:00Z",
)

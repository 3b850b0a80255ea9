"""From jobs and what is known to backups, as a table. Seconds are counted from `since`, by R-KVStore's clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_backup.alibaba import parsing
from redis_backup.alibaba.parsing import Instance, Job, JobStatus, split_job_ids
from redis_backup.reconcile.backups import Backup, resolve
from redis_backup.reconcile.grouping import running_tasks
from redis_backup.reconcile.known import KnownJobs

SINCE = datetime(2026, 11, 24, 2, 0, 0, tzinfo=timezone.utc)
RUNNING, SUCCEEDED, FAILED = JobStatus.RUNNING, JobStatus.SUCCEEDED, JobStatus.FAILED
SINGLE, CLOUD_NATIVE = Instance(), Instance(True, True, shards=2)
CLUSTER, NEW_CLUSTER, SOME_CLUSTER = (Instance(True, False, 2, per_shard) for per_shard in (True, False, None))
OTHER_NODE = "r-a-db-1"


def at(seconds: float) -> datetime:
    return SINCE + timedelta(seconds=seconds)


def epoch(seconds: float) -> str:
    """As marks write it."""
    return f"{at(seconds).timestamp():.3f}"


def job(
    status: JobStatus, start: float | None, end: float | None = None, job_id: str = "1", node: str = "r-a-db-0", **more
) -> Job:
    return Job(
        status, None if start is None else at(start), None if end is None else at(end), job_id, node=node, **more
    )


def listed(status: JobStatus, start: float, end: float | None = None, job_id: str = "1", **more) -> Job:
    """One of a cloud-native cluster's list."""
    return job(status, start, end, "", "", cluster_backup_id=f"cb-{job_id}", **more)


def backup(status: JobStatus, ids: str = "1", start: float | None = None, end: float | None = None, **more) -> Backup:
    return Backup(
        status,
        tuple(ids.split()),
        started_at=None if start is None else at(start),
        ended_at=None if end is None else at(end),
        **more,
    )


@dataclass(frozen=True)
class Case:
    """`jobs` are listed and `known` is known at `now`: `backups` there are, and `after` is known from then on."""

    jobs: tuple[Job, ...] = ()
    known: str = ""
    backups: tuple[Backup, ...] = ()
    after: str = ""
    instance: Instance = SINGLE
    now: float = 300
    max_age: float = 0


def case(*jobs: Job, **more: Any) -> Case:
    return Case(jobs, **more)


TABLE = {
    # One instance, one node.
    "nothing": case(),
    "a success of somebody": case(job(SUCCEEDED, 3, 9), backups=(backup(SUCCEEDED, "1", 3, 9),)),
    "a running one of somebody is adopted": case(
        job(RUNNING, 5), backups=(backup(RUNNING, "1", 5),), after="1 by:other"
    ),
    "an older running one is not": case(job(RUNNING, -5), backups=(backup(RUNNING, "1", -5),)),
    "an older running one within the maximal age is": case(
        job(RUNNING, -5), max_age=60, backups=(backup(RUNNING, "1", -5),), after="1 by:other"
    ),
    "a running one that says no start": case(Job(RUNNING, None, job_id="1"), backups=(backup(RUNNING),)),
    "a failed one is an attempt": case(
        job(FAILED, 1, 9), backups=(backup(FAILED, "1", 1, 9),), after="1 by:other ended:failed"
    ),
    "an automatic one that failed is none": case(
        job(FAILED, 1, 9, is_manual=False), backups=(backup(FAILED, "1", 1, 9, is_manual=False),)
    ),
    "one that failed before since is none, the age does not matter": case(
        job(FAILED, -9, -2), max_age=60, backups=(backup(FAILED, "1", -9, -2),)
    ),
    "two failed ones": case(
        job(FAILED, 20, 29, "2"),
        job(FAILED, 1, 9),
        backups=(backup(FAILED, "1", 1, 9), backup(FAILED, "2", 20, 29)),
        after="1 by:other ended:failed attempt:2 2 by:other ended:failed",
    ),
    "a failed one, and a success": case(
        job(FAILED, 1, 9),
        job(SUCCEEDED, 20, 29, "2"),
        backups=(backup(FAILED, "1", 1, 9), backup(SUCCEEDED, "2", 20, 29)),
        after="1 by:other ended:failed",
    ),
    "a failed one, and one that runs": case(
        job(FAILED, 1, 9),
        job(RUNNING, 20, None, "2"),
        backups=(backup(FAILED, "1", 1, 9), backup(RUNNING, "2", 20)),
        after="1 by:other ended:failed attempt:2 2 by:other",
    ),
    "two attempts without nodes": case(
        job(FAILED, 1, 5, "1", ""),
        job(SUCCEEDED, 5, 9, "2", ""),
        backups=(backup(FAILED, "1", 1, 5), backup(SUCCEEDED, "2", 5, 9)),
        after="1 by:other ended:failed",
    ),
    "an older task that is listed for ever, by another name of its node": case(
        job(RUNNING, -9000, None, "0", "777"),
        job(SUCCEEDED, 3, 9),
        backups=(backup(RUNNING, "0", -9000), backup(SUCCEEDED, "1", 3, 9)),
    ),
    # What is known to be the request's own.
    "a known one runs": case(job(RUNNING, 3), known="1", backups=(backup(RUNNING, "1", 3, is_own=True),), after="1"),
    "a known one has succeeded": case(
        job(SUCCEEDED, 3, 9),
        known="1",
        backups=(backup(SUCCEEDED, "1", 3, 9, is_own=True),),
        after="1 ended:succeeded",
    ),
    "a known one is nowhere": case(known="1", after=f"1 missing:{epoch(300)}"),
    "a known one is still nowhere": case(known=f"1 missing:{epoch(290)}", now=889, after=f"1 missing:{epoch(290)}"),
    "a known one has been nowhere for 10 minutes": case(
        known=f"1 missing:{epoch(290)}",
        now=890,
        backups=(backup(FAILED, "1", is_own=True, has_vanished=True),),
        after="1 ended:failed",
    ),
    "a known one was nowhere, and shows again": case(
        job(RUNNING, 3),
        known=f"1 missing:{epoch(290)}",
        now=890,
        backups=(backup(RUNNING, "1", 3, is_own=True),),
        after="1",
    ),
    "an adopted one is nowhere": case(known="1 by:other", after=f"1 by:other missing:{epoch(300)}"),
    "a known one that says no start runs": case(
        Job(RUNNING, None, job_id="1"), known="1", backups=(backup(RUNNING, is_own=True),), after="1"
    ),
    "a known one that says no start has ended": case(
        Job(SUCCEEDED, None, job_id="1"),
        known="1",
        backups=(backup(SUCCEEDED, is_own=True),),
        after="1 ended:succeeded",
    ),
    "a known one, by a clock that is behind": case(
        job(SUCCEEDED, -4, 9),
        known="1",
        backups=(backup(SUCCEEDED, "1", -4, 9, is_own=True),),
        after="1 ended:succeeded",
    ),
    "a known one of another request": case(
        job(SUCCEEDED, -3600, -3500), known="1", backups=(backup(SUCCEEDED, "1", -3600, -3500, is_own=True),)
    ),
    "a known one that is automatic and failed": case(
        job(FAILED, 3, 9, is_manual=False),
        known="1 by:other",
        backups=(backup(FAILED, "1", 3, 9, is_manual=False),),
    ),
    "the set of a failed attempt was deleted, the next one runs": case(
        job(RUNNING, 20, None, "2"),
        known="1 ended:failed attempt:2 2",
        backups=(backup(FAILED, "1", is_own=True), backup(RUNNING, "2", 20, is_own=True)),
        after="1 ended:failed attempt:2 2",
    ),
    "the set of a failed attempt was deleted, the next one has succeeded": case(
        job(SUCCEEDED, 20, 29, "2"),
        known="1 ended:failed attempt:2 2",
        backups=(backup(FAILED, "1", is_own=True), backup(SUCCEEDED, "2", 20, 29, is_own=True)),
        after="1 ended:failed attempt:2 2 ended:succeeded",
    ),
    "the sets of all attempts were deleted": case(
        known="1 ended:failed attempt:2 2 ended:failed",
        backups=(backup(FAILED, "1", is_own=True), backup(FAILED, "2", is_own=True)),
        after="1 ended:failed attempt:2 2 ended:failed",
    ),
    # Clusters with a job ID for each shard.
    "all shards": case(
        job(SUCCEEDED, 3, 9),
        job(SUCCEEDED, 3, 20, "2", OTHER_NODE),
        instance=CLUSTER,
        now=30,
        backups=(backup(SUCCEEDED, "1 2", 3, 20),),
    ),
    "all shards of a known one, in the order of its IDs": case(
        job(SUCCEEDED, 3, 9),
        job(SUCCEEDED, 3, 20, "2", OTHER_NODE),
        known="2 1",
        instance=CLUSTER,
        backups=(backup(SUCCEEDED, "2 1", 3, 20, is_own=True),),
        after="2 1 ended:succeeded",
    ),
    "one shard of a known one is nowhere": case(
        job(SUCCEEDED, 3, 9),
        known="1 2",
        instance=CLUSTER,
        backups=(backup(SUCCEEDED, "1 2", 3, 9, is_own=True, is_complete=False),),
        after=f"1 2 missing:{epoch(300)}",
    ),
    "one shard of a known one has been nowhere for 10 minutes": case(
        job(SUCCEEDED, 3, 9),
        known=f"1 2 missing:{epoch(20)}",
        instance=CLUSTER,
        now=620,
        backups=(backup(FAILED, "1 2", 3, 9, is_own=True, has_vanished=True),),
        after="1 2 ended:failed",
    ),
    "one shard has ended, the other runs": case(
        job(SUCCEEDED, 3, 9),
        job(RUNNING, 3, None, "2", OTHER_NODE),
        known="1 2",
        instance=CLUSTER,
        backups=(backup(RUNNING, "1 2", 3, is_own=True),),
        after="1 2",
    ),
    "one shard has failed": case(
        job(SUCCEEDED, 3, 9),
        job(FAILED, 3, 20, "2", OTHER_NODE),
        known="1 2",
        instance=CLUSTER,
        backups=(backup(FAILED, "1 2", 3, 20, is_own=True),),
        after="1 2 ended:failed",
    ),
    "one shard has failed before another began": case(
        job(FAILED, 0, 1),
        job(SUCCEEDED, 2, 9, "2", OTHER_NODE),
        instance=CLUSTER,
        backups=(backup(FAILED, "1 2", 0, 9),),
        after="1 2 by:other ended:failed",
    ),
    "shards one after the other, the second failed": case(
        job(SUCCEEDED, 0, 9),
        job(FAILED, 12, 19, "2", OTHER_NODE),
        known="1 2",
        instance=CLUSTER,
        backups=(backup(FAILED, "1 2", 0, 19, is_own=True),),
        after="1 2 ended:failed",
    ),
    "of one that was adopted when one shard was visible, the other has failed": case(
        job(SUCCEEDED, 3, 9),
        job(FAILED, 3, 20, "2", OTHER_NODE),
        known="1 by:other",
        instance=CLUSTER,
        backups=(backup(FAILED, "1 2", 3, 20),),
        after="1 2 by:other ended:failed",
    ),
    "of one that was adopted when one shard was visible, the other is not listed yet": case(
        job(SUCCEEDED, 3, 9),
        known="1 by:other",
        instance=CLUSTER,
        backups=(backup(SUCCEEDED, "1", 3, 9, is_complete=False),),
        after=f"1 by:other partial:{epoch(300)}",
    ),
    "of one that was adopted when one shard was visible, the other is never listed": case(
        job(SUCCEEDED, 3, 9),
        known=f"1 by:other partial:{epoch(9)}",
        instance=CLUSTER,
        now=9 + 600,
        backups=(backup(FAILED, "1", 3, 9),),
        after="1 by:other ended:failed",
    ),
    "one shard of somebody's, the other may not be listed yet": case(
        job(SUCCEEDED, 3, 9),
        instance=CLUSTER,
        now=60,
        backups=(backup(SUCCEEDED, "1", 3, 9, is_complete=False),),
        after=f"1 started:{epoch(3)} by:other partial:{epoch(60)}",
    ),
    "one shard of somebody's, by a clock that is ahead": case(
        job(SUCCEEDED, 3, 9),
        instance=CLUSTER,
        now=5,
        backups=(backup(SUCCEEDED, "1", 3, 9, is_complete=False),),
        after=f"1 started:{epoch(3)} by:other partial:{epoch(5)}",
    ),
    "one shard of somebody's, the other is never listed": case(
        job(SUCCEEDED, 3, 9),
        instance=CLUSTER,
        now=9 + 600,
        backups=(backup(FAILED, "1", 3, 9),),
        after="1 by:other ended:failed",
    ),
    "another shard than the one that was seen of it": case(  # that one is between its task and its entry
        job(SUCCEEDED, 3, 9),
        known=f"2 started:{epoch(5)} by:other",
        instance=CLUSTER,
        now=60,
        backups=(backup(SUCCEEDED, "2 1", 3, 9, is_complete=False),),
        after=f"2 1 started:{epoch(5)} by:other missing:{epoch(60)}",
    ),
    "both shards, of which one was seen first, and one failed": case(
        job(SUCCEEDED, 3, 9),
        job(FAILED, 5, 9, "2", OTHER_NODE),
        known=f"2 1 started:{epoch(5)} by:other missing:{epoch(60)}",
        instance=CLUSTER,
        now=70,
        backups=(backup(FAILED, "2 1", 3, 9),),
        after=f"2 1 started:{epoch(5)} by:other ended:failed",
    ),
    "a backup that began long after the shard that was seen": case(
        job(RUNNING, 90),
        known=f"2 started:{epoch(5)} by:other",
        instance=CLUSTER,
        now=100,
        backups=(backup(RUNNING, "1", 90),),
        after=f"2 started:{epoch(5)} by:other missing:{epoch(100)} attempt:2 1 started:{epoch(90)} by:other",
    ),
    "two attempts of a cluster in one second": case(
        job(FAILED, 1, 1),
        job(FAILED, 1, 1, "2", OTHER_NODE),
        job(RUNNING, 1, None, "3"),
        instance=CLUSTER,
        backups=(backup(FAILED, "1 2", 1, 1), backup(RUNNING, "3", 1)),
        after=f"1 2 by:other ended:failed attempt:2 3 started:{epoch(1)} by:other",
    ),
    "shards without nodes, one of which runs": case(
        job(SUCCEEDED, 3, 9, "1", ""),
        job(RUNNING, 3, None, "2", ""),
        instance=CLUSTER,
        backups=(backup(RUNNING, "1 2", 3),),
        after=f"1 2 started:{epoch(3)} by:other",
    ),
    "shards without nodes, one of which has failed": case(
        job(SUCCEEDED, 3, 9, "1", ""),
        job(FAILED, 3, 20, "2", ""),
        instance=CLUSTER,
        backups=(backup(FAILED, "1 2", 3, 20),),
        after="1 2 by:other ended:failed",
    ),
    "shards without nodes, one of which may not be listed yet": case(
        job(SUCCEEDED, 3, 9, "1", ""),
        instance=CLUSTER,
        now=60,
        backups=(backup(SUCCEEDED, "1", 3, 9, is_complete=False),),
        after=f"1 started:{epoch(3)} by:other partial:{epoch(60)}",
    ),
    "shards without nodes, known and all listed": case(
        job(SUCCEEDED, 3, 9, "1", ""),
        job(SUCCEEDED, 3, 9, "2", ""),
        known="1 2",
        instance=CLUSTER,
        now=10,
        backups=(backup(SUCCEEDED, "1 2", 3, 9, is_own=True),),
        after="1 2 ended:succeeded",
    ),
    "shards without nodes that one CreateBackup answered, one of which has failed": case(
        job(SUCCEEDED, 3, 9, "1", ""),
        job(FAILED, 3, 20, "2", ""),
        known="1 2 shards:2",
        backups=(backup(FAILED, "1 2", 3, 20, is_own=True),),
        after="1 2 shards:2 ended:failed",
    ),
    "shards without nodes of what is not known to be a cluster, one of which has failed": case(
        job(SUCCEEDED, 3, 9, "1", ""),
        job(FAILED, 3, 20, "2", ""),
        known="1 2",
        backups=(backup(FAILED, "1 2", 3, 20, is_own=True),),
        after="1 2 ended:failed",
    ),
    "shards of what is not known to be a cluster, one of which has failed": case(
        job(SUCCEEDED, 3, 9),
        job(FAILED, 3, 20, "2", OTHER_NODE),
        known="1 2",
        backups=(backup(FAILED, "1 2", 3, 20, is_own=True),),
        after="1 2 ended:failed",
    ),
    "an older task of a cluster that is listed for ever, without a node": case(
        job(RUNNING, -9000, None, "0", ""),
        job(SUCCEEDED, 3, 9, "1", ""),
        job(SUCCEEDED, 3, 9, "2", ""),
        instance=CLUSTER,
        backups=(backup(RUNNING, "0", -9000), backup(SUCCEEDED, "1 2", 3, 9)),
    ),
    # Clusters with one job ID.
    "a cluster's one ID": case(
        job(SUCCEEDED, 3, 9, "1", "r-a"),
        instance=NEW_CLUSTER,
        now=10,
        backups=(backup(SUCCEEDED, "1", 3, 9),),
    ),
    "a cluster's one ID, known": case(
        job(SUCCEEDED, 3, 9, "1", "r-a"),
        known="1 shards:1",
        instance=NEW_CLUSTER,
        now=10,
        backups=(backup(SUCCEEDED, "1", 3, 9, is_own=True),),
        after="1 shards:1 ended:succeeded",
    ),
    "a cluster's one ID with an entry for each shard, of which one runs": case(
        job(SUCCEEDED, 3, 9),
        job(RUNNING, 3, None, "1", OTHER_NODE),
        known="1 shards:1",
        instance=NEW_CLUSTER,
        now=10,
        backups=(backup(RUNNING, "1", 3, is_own=True),),
        after="1 shards:1",
    ),
    "a cluster's one ID with an entry for each shard, of which one may come": case(
        job(SUCCEEDED, 3, 9),
        known=f"1 shards:1 partial:{epoch(9)}",
        instance=NEW_CLUSTER,
        now=9 + 119,
        backups=(backup(SUCCEEDED, "1", 3, 9, is_own=True, is_complete=False),),
        after=f"1 shards:1 partial:{epoch(9)}",
    ),
    "a cluster's one ID with an entry for one shard alone": case(
        job(SUCCEEDED, 3, 9),
        known=f"1 shards:1 partial:{epoch(9)}",
        instance=NEW_CLUSTER,
        now=9 + 120,
        backups=(backup(SUCCEEDED, "1", 3, 9, is_own=True),),
        after="1 shards:1 ended:succeeded",
    ),
    "a cluster of unknown age, soon": case(
        job(SUCCEEDED, 3, 9),
        instance=SOME_CLUSTER,
        now=60,
        backups=(backup(SUCCEEDED, "1", 3, 9, is_complete=False),),
        after=f"1 started:{epoch(3)} by:other partial:{epoch(60)}",
    ),
    "a cluster of unknown age, later": case(
        job(SUCCEEDED, 3, 9),
        known=f"1 started:{epoch(3)} by:other partial:{epoch(60)}",
        instance=SOME_CLUSTER,
        now=180,
        backups=(backup(SUCCEEDED, "1", 3, 9),),
        after=f"1 started:{epoch(3)} by:other ended:succeeded",
    ),
    "a cluster of unknown age, of which no list has shown more for ten minutes": case(
        job(SUCCEEDED, 3, 9), instance=SOME_CLUSTER, now=9 + 600, backups=(backup(SUCCEEDED, "1", 3, 9),)
    ),
    "a shard that ran until now, of one ID, is between its task and its entry": case(
        job(SUCCEEDED, 3, 30),  # long ago
        known="1 shards:1",
        instance=NEW_CLUSTER,
        now=360,
        backups=(backup(SUCCEEDED, "1", 3, 30, is_own=True, is_complete=False),),
        after=f"1 shards:1 partial:{epoch(360)}",
    ),
    "one that runs again after shards seemed to be missing": case(
        job(SUCCEEDED, 3, 30),
        job(RUNNING, 5, None, "1", OTHER_NODE),
        known=f"1 shards:1 partial:{epoch(100)}",
        instance=NEW_CLUSTER,
        now=300,
        backups=(backup(RUNNING, "1", 3, is_own=True),),
        after="1 shards:1",
    ),
    # Backups that began soon after one another.
    "an older backup of a cluster with one ID for each backup, and the own one": case(
        job(SUCCEEDED, -40, -20, "7", "r-a-db-0"),
        job(RUNNING, 2, None, "8", "r-a"),
        known="8 shards:1",
        instance=NEW_CLUSTER,
        backups=(backup(SUCCEEDED, "7", -40, -20, is_complete=False), backup(RUNNING, "8", 2, is_own=True)),
        after="8 shards:1",
        now=30,
    ),
    "a colleague's backup, of which a shard is not listed, and the own one": case(
        job(SUCCEEDED, -50, -15, "11", OTHER_NODE),
        job(RUNNING, 2, None, "20"),
        job(RUNNING, 2, None, "21", OTHER_NODE),
        known="20 21",
        instance=CLUSTER,
        now=8,
        backups=(
            backup(SUCCEEDED, "11", -50, -15, is_complete=False),
            backup(RUNNING, "20 21", 2, is_own=True),
        ),
        after="20 21",
    ),
    "an own backup that failed, and a colleague's soon after": case(
        job(FAILED, 2, 15, "1"),
        job(FAILED, 2, 15, "2", OTHER_NODE),
        job(FAILED, 22, 35, "3", "r-a-db-2"),
        known="1 2",
        instance=CLUSTER,
        backups=(backup(FAILED, "1 2", 2, 15, is_own=True), backup(FAILED, "3", 22, 35, is_complete=False)),
        after=f"1 2 ended:failed attempt:2 3 started:{epoch(22)} by:other partial:{epoch(300)}",
    ),
    "a finished backup that began before the adopted one is none of its shards": case(
        job(SUCCEEDED, -24, 10, "10"),
        job(SUCCEEDED, -24, 10, "11", OTHER_NODE),
        known=f"20 started:{epoch(33)} by:other",
        instance=CLUSTER,
        now=80,
        backups=(backup(SUCCEEDED, "10 11", -24, 10),),
        after=f"20 started:{epoch(33)} by:other missing:{epoch(80)}",
    ),
    # Cloud-native clusters, whose list has no job IDs.
    "a cloud-native cluster's backup in the gap, and a colleague's that began later": case(
        listed(SUCCEEDED, 80, 95, "3"),
        known=f"7 started:{epoch(3)}",
        instance=CLOUD_NATIVE,
        now=100,
        backups=(backup(SUCCEEDED, "", 80, 95, cluster_backup_id="cb-3"),),
        after=f"7 started:{epoch(3)} missing:{epoch(100)}",
    ),
    "a cloud-native cluster's backup after one that vanished": case(
        listed(FAILED, 700, 709, "2"),
        known=f"7 started:{epoch(1)} ended:failed attempt:2 8 started:{epoch(699)}",
        instance=CLOUD_NATIVE,
        now=720,
        backups=(
            backup(FAILED, "7", 1, is_own=True),
            backup(FAILED, "8", 700, 709, is_own=True, cluster_backup_id="cb-2"),
        ),
        after=f"7 started:{epoch(1)} ended:failed attempt:2 8 cluster:cb-2 started:{epoch(699)} ended:failed",
    ),
    "a cloud-native cluster's success": case(
        listed(SUCCEEDED, 3, 9),
        instance=CLOUD_NATIVE,
        backups=(backup(SUCCEEDED, "", 3, 9, cluster_backup_id="cb-1"),),
    ),
    "a cloud-native cluster's running one is adopted": case(
        listed(RUNNING, 3),
        instance=CLOUD_NATIVE,
        backups=(backup(RUNNING, "", 3, cluster_backup_id="cb-1"),),
        after="cluster:cb-1 by:other",
    ),
    "a cloud-native cluster's own one is known by when it was started": case(
        listed(RUNNING, 2),
        known=f"7 started:{epoch(2.25)}",
        instance=CLOUD_NATIVE,
        backups=(backup(RUNNING, "7", 2, is_own=True, cluster_backup_id="cb-1"),),
        after=f"7 cluster:cb-1 started:{epoch(2.25)}",
    ),
    "a cloud-native cluster's own one, by its job ID alone": case(
        listed(SUCCEEDED, 3, 9),
        known="7",
        instance=CLOUD_NATIVE,
        backups=(backup(SUCCEEDED, "7", 3, 9, is_own=True, cluster_backup_id="cb-1"),),
        after="7 cluster:cb-1 ended:succeeded",
    ),
    "a cloud-native cluster's own one is not listed": case(
        known="7", instance=CLOUD_NATIVE, after=f"7 missing:{epoch(300)}"
    ),
    "a colleague's that began 3 s before since, and the own one that failed": case(
        listed(SUCCEEDED, -3, 9),
        listed(FAILED, 12, 20, "2"),
        known=f"7 started:{epoch(12)}",
        instance=CLOUD_NATIVE,
        backups=(
            backup(SUCCEEDED, "", -3, 9, cluster_backup_id="cb-1"),
            backup(FAILED, "7", 12, 20, is_own=True, cluster_backup_id="cb-2"),
        ),
        after=f"7 cluster:cb-2 started:{epoch(12)} ended:failed",
    ),
    "a colleague's that began 3 s before since, and the own one of which the job ID alone is known": case(
        listed(SUCCEEDED, -3, 9),
        listed(RUNNING, 12, None, "2"),
        known="7",
        instance=CLOUD_NATIVE,
        backups=(
            backup(SUCCEEDED, "", -3, 9, cluster_backup_id="cb-1"),
            backup(RUNNING, "7", 12, is_own=True, cluster_backup_id="cb-2"),
        ),
        after="7 cluster:cb-2",
    ),
    "a colleague's that began 3 s before since, and the own one that is not listed": case(
        listed(SUCCEEDED, -3, 9),
        known="7",
        instance=CLOUD_NATIVE,
        backups=(backup(SUCCEEDED, "", -3, 9, cluster_backup_id="cb-1"),),
        after=f"7 missing:{epoch(300)}",
    ),
    "a colleague's that began after since and before the own one": case(
        listed(SUCCEEDED, 1, 9),
        listed(FAILED, 12, 20, "2"),
        known=f"7 started:{epoch(12)}",
        instance=CLOUD_NATIVE,
        backups=(
            backup(SUCCEEDED, "", 1, 9, cluster_backup_id="cb-1"),
            backup(FAILED, "7", 12, 20, is_own=True, cluster_backup_id="cb-2"),
        ),
        after=f"7 cluster:cb-2 started:{epoch(12)} ended:failed",
    ),
    "a cloud-native cluster's second attempt is not listed": case(
        listed(FAILED, 3, 9),
        known=f"7 cluster:cb-1 ended:failed attempt:2 8 started:{epoch(12)}",
        instance=CLOUD_NATIVE,
        backups=(backup(FAILED, "7", 3, 9, is_own=True, cluster_backup_id="cb-1"),),
        after=f"7 cluster:cb-1 ended:failed attempt:2 8 started:{epoch(12)} missing:{epoch(300)}",
    ),
    "a cloud-native cluster's second attempt is not listed, the first one was another delivery's": case(
        listed(FAILED, 3, 9),
        known=f"8 started:{epoch(12)}",
        instance=CLOUD_NATIVE,
        backups=(backup(FAILED, "", 3, 9, cluster_backup_id="cb-1"),),
        after=f"cluster:cb-1 by:other ended:failed attempt:2 8 started:{epoch(12)} missing:{epoch(300)}",
    ),
    "a cloud-native cluster's older failed one, within the age": case(
        listed(FAILED, -900, -800),
        known="7",
        instance=CLOUD_NATIVE,
        max_age=3600,
        backups=(backup(FAILED, "", -900, -800, cluster_backup_id="cb-1"),),
        after=f"7 missing:{epoch(300)}",
    ),
    "a cloud-native cluster's automatic one that was adopted has failed": case(
        listed(FAILED, 3, 9, is_manual=False),
        known="cluster:cb-1 by:other",
        instance=CLOUD_NATIVE,
        backups=(backup(FAILED, "", 3, 9, cluster_backup_id="cb-1", is_manual=False),),
    ),
    "a cloud-native cluster's adopted one is lost by the list": case(
        known="cluster:cb-1 by:other",
        instance=CLOUD_NATIVE,
        after=f"cluster:cb-1 by:other missing:{epoch(300)}",
    ),
    "a cloud-native cluster's adopted one has ended": case(
        listed(SUCCEEDED, 3, 9, is_manual=False),
        known="cluster:cb-1 by:other",
        instance=CLOUD_NATIVE,
        backups=(backup(SUCCEEDED, "", 3, 9, cluster_backup_id="cb-1", is_manual=False),),
        after="cluster:cb-1 by:other ended:succeeded",
    ),
    "a cloud-native cluster's attempt that failed was deleted from its list": case(
        listed(SUCCEEDED, 20, 29, "2"),
        known=f"7 cluster:cb-1 ended:failed attempt:2 8 started:{epoch(20)}",
        instance=CLOUD_NATIVE,
        backups=(
            backup(FAILED, "7", is_own=True, cluster_backup_id="cb-1"),
            backup(SUCCEEDED, "8", 20, 29, is_own=True, cluster_backup_id="cb-2"),
        ),
        after=f"7 cluster:cb-1 ended:failed attempt:2 8 cluster:cb-2 started:{epoch(20)} ended:succeeded",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_listed_and_known_becomes_backups(name: str) -> None:
    row = TABLE[name]
    known = KnownJobs.decode(row.known.split())
    backups, after = resolve(row.jobs, known, row.instance, SINCE, at(-row.max_age), at(row.now))
    assert (backups, after.encode()) == (row.backups, row.after.split())


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.after])
def test_what_is_known_from_then_on_shows_the_same_the_next_time(name: str) -> None:
    row = TABLE[name]
    known = KnownJobs.decode(row.after.split())
    _, after = resolve(row.jobs, known, row.instance, SINCE, at(-row.max_age), at(row.now))
    assert after.encode() == row.after.split()


def test_the_order_in_which_jobs_are_listed_does_not_matter() -> None:
    jobs = [job(FAILED, 1, 9), job(SUCCEEDED, 20, 29, "2"), job(SUCCEEDED, 20, 25, "3", OTHER_NODE)]
    found = [
        resolve([jobs[number] for number in order], KnownJobs(), CLUSTER, SINCE, SINCE, at(1000))[0]
        for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2))
    ]
    assert found == [(backup(FAILED, "1", 1, 9), backup(SUCCEEDED, "2 3", 20, 29))] * 3


def test_a_success_tells_its_size_and_a_running_one_its_progress() -> None:
    done = [job(SUCCEEDED, 3, 9, size=10), job(SUCCEEDED, 4, 20, "2", OTHER_NODE, size=5)]
    runs = [job(RUNNING, 3, progress=40), job(RUNNING, 3, None, "2", OTHER_NODE, progress=20)]
    known = KnownJobs.decode(["1", "2"])
    assert [resolve(jobs, known, CLUSTER, SINCE, SINCE, at(99))[0] for jobs in (done, runs)] == [
        (backup(SUCCEEDED, "1 2", 3, 20, is_own=True, size=15),),
        (backup(RUNNING, "1 2", 3, is_own=True, progress=20),),
    ]


@pytest.mark.parametrize(
    ("known_as", "start", "began"),
    [
        ("own", -5, True),  # R-KVStore's clock may be behind
        ("own", -6, False),
        ("own", None, True),
        ("other", 0, True),
        ("other", -1, False),
        ("other", None, False),
    ],
)
def test_a_backup_began_since(known_as: str, start: float | None, began: bool) -> None:
    assert replace(backup(RUNNING, "1", start), is_own=known_as == "own").began_since(SINCE) is began


@pytest.mark.parametrize(
    ("task", "entry", "runs"),
    [
        (job(RUNNING, 1), job(SUCCEEDED, 1, 9), False),  # it ended between the two looks
        (job(RUNNING, 1, None, "2"), job(SUCCEEDED, 1, 9), True),
        (job(RUNNING, 1, None, "1", "r-a-db-1"), job(SUCCEEDED, 1, 9), True),  # another shard under the same ID
        (job(RUNNING, 1, None, "1", "r-a"), job(SUCCEEDED, 1, 9), False),  # tasks that do not name nodes
        (job(RUNNING, 1, None, "1", ""), job(FAILED, 1, 9), False),
        (job(RUNNING, 1), job(FAILED, 1, 9, "1", "r-a"), False),
    ],
)
def test_a_tasks_end_is_its_entry_in_the_list_of_sets(task: Job, entry: Job, runs: bool) -> None:
    assert running_tasks([task], [entry], SINGLE, at(60)) == ([task] if runs else [])


@pytest.mark.parametrize(("now", "entries", "runs"), [(60, 1, True), (60, 2, False), (9 + 600, 1, False)])
def test_a_task_of_all_shards_runs_until_all_are_listed(now: float, entries: int, runs: bool) -> None:
    """It may stay listed after its end, and is then believed for ten minutes."""
    listed_sets = [job(SUCCEEDED, 1, 9, "1", f"r-a-db-{number}") for number in range(entries)]
    task = job(RUNNING, 1, None, "1", "r-a")
    assert running_tasks([task], listed_sets, NEW_CLUSTER, at(now)) == ([task] if runs else [])


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("1162", ("1162",)),
        (1162, ("1162",)),
        ("10000,10001", ("10000", "10001")),
        ('"1022,2480"', ("1022", "2480")),
        (" '7' , 8,,8 ", ("7", "8")),
        ("", ()),
        (None, ()),
        ([1], ()),
    ],
)
def test_job_ids_are_split_as_the_api_may_write_them(value: object, ids: tuple[str, ...]) -> None:
    assert split_job_ids(value) == ids


@given(st.lists(st.integers(0, 10**12), unique=True), st.sampled_from(["{}", '"{}"', "'{}'", " {} ", '" {} "']))
def test_no_job_id_is_lost_or_made_up(numbers: list[int], wrapping: str) -> None:
    ids = tuple(map(str, numbers))
    assert split_job_ids(wrapping.format(",".join(ids))) == ids
    assert split_job_ids(wrapping.format(" , ".join(ids))) == ids


@given(st.text())
def test_job_ids_of_any_text_hold_no_separator(text: str) -> None:
    assert not any(set(part) & set(" ,\"'") for part in split_job_ids(text))


@pytest.mark.parametrize(
    ("entry", "shards", "has_job_per_shard"),
    [
        ({"CreateTime": "2022-01-01T00:00:00Z", "ShardCount": 8}, 8, True),
        ({"CreateTime": "2022-01-01T00:00:00Z"}, 256, None),  # so that no number of jobs is taken for all of them
        ({"CreateTime": "2024-01-01T00:00:00Z"}, 1, False),
        ({"ShardCount": "4"}, 4, None),
    ],
)
def test_how_many_jobs_a_clusters_backup_has(
    entry: dict[str, Any], shards: int, has_job_per_shard: bool | None
) -> None:
    facts = parsing.instance({"ArchitectureType": "cluster", **entry})
    assert (facts.shards, facts.has_job_per_shard) == (shards, has_job_per_shard)

"""Name a backup whose files are read, and say what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from redis_backup import timestamps
from redis_backup.states import Problem

NAMES = ("full.json", "copy.json", "progress.json", "corrupt.json")  # not those of copies


class Verified(str, Enum):
    """What is proved of a backup's files."""

    FULL = "full"  # every byte was read, and the checksums are right
    QUICK = "quick"  # they begin and end as RDB files; if they were read to the end, they state no checksum
    UNKNOWN_FORMAT = "unknown-format"  # one of them is no RDB file that can be read


@dataclass(frozen=True)
class ReadableBackup:
    """A backup that has ended well, as R-KVStore says, and whose files can be read."""

    account: str
    region: str
    instance_id: str
    job_ids: tuple[str, ...]
    cluster_backup_id: str
    began: datetime
    ended: datetime | None

    @property
    def name(self) -> str:
        """Return its name in the store: `20261125T020005Z-1022`, its start and its smallest job ID.

        A cloud-native cluster's list has no job IDs, and only the request that started a backup knows them. So its
        ClusterBackupId takes their place: everyone has to find the same name.
        """
        ids = (self.cluster_backup_id,) if self.cluster_backup_id else self.job_ids
        return f"{self.began:%Y%m%dT%H%M%SZ}-{min(ids, key=lambda each: (len(each), each))}"

    @property
    def folder(self) -> str:
        """Return its folder in the store, with a slash at the end."""
        return f"{self.account}/{self.region}/{self.instance_id}/{self.name}/"

    @property
    def title(self) -> str:
        """Return its name in messages: `job 1022`."""
        if self.job_ids:
            return f"job {','.join(self.job_ids)}"
        return f"ClusterBackupId {self.cluster_backup_id} of {timestamps.render(self.began)}"


@dataclass(frozen=True)
class Verdict:
    """What is known of a backup's files.

    `verified`: what is proved; None if they were not read to the end, or are corrupt. `corrupt`: what was found;
    `problem`: why they could not be read (in time); `progress`: in percent of their bytes; `copies`: the address of the
    folder with their copies; `bytes_read`: for this verdict.
    """

    verified: Verified | None = None
    corrupt: str | None = None
    problem: Problem | None = None
    progress: int | None = None
    copies: str | None = None
    bytes_read: int | None = None


def weakest(verified: Sequence[Verified]) -> Verified:
    """Return what is proved of a backup, given what is proved of each file: `[FULL, QUICK]` → QUICK."""
    order = (Verified.UNKNOWN_FORMAT, Verified.QUICK, Verified.FULL)
    return min(verified, key=order.index)

"""Judges the files of backups by all their bytes, independently of the function: what may be said of each."""

from __future__ import annotations

import re

from simulator import rdb
from simulator.downloads.files import Content
from simulator.kvstore.state import Backup, InstanceState

CORRUPT = "corrupt"
RANKS = ("unknown-format", "quick", "full")  # what may be proved of a file, the least first
END_BYTES = 9
ID_OFFSET = 500_000  # between a cloud-native cluster's job ID and its ClusterBackupId


def judge_backup(state: InstanceState, backup: Backup, level: str) -> str:
    """Return what a request of this level has to find: one of `RANKS`, or CORRUPT."""
    found = [judge_file(state.content(backup, job, node), level) for job, node in state.nodes(backup)]
    return CORRUPT if CORRUPT in found else min(found, key=RANKS.index)


def judge_file(content: Content, level: str) -> str:
    """Return what a request of this level has to find of a file: one of `RANKS`, or CORRUPT."""
    size = content.size
    first, last = _bytes(content, 0, END_BYTES), _bytes(content, max(0, size - END_BYTES), size)
    if size < END_BYTES and b"REDIS0000".startswith(first[:5]):
        return CORRUPT
    if not re.fullmatch(rb"REDIS[0-9]{4}", first):
        return "unknown-format"
    if int(first[5:]) < rdb.MIN_CHECKSUM:
        return "quick" if last.endswith(rdb.EOF) else CORRUPT
    if size < 2 * END_BYTES or not last.startswith(rdb.EOF):
        return CORRUPT
    if last[1:] == bytes(8) or level == "quick":
        return "quick"
    crc = 0
    for chunk in content.read(0, size - 8):
        crc = rdb.model(rdb.REDIS_CRC).calc(chunk, crc)
    return "full" if last[1:] == crc.to_bytes(8, "little") else CORRUPT


def names_of(backup: Backup) -> set[str]:
    """Return the names of a backup in messages and in the store: its job IDs, and its ClusterBackupId."""
    return {*backup.job_ids, *(f"cb-{int(job_id) + ID_OFFSET}" for job_id in backup.job_ids)}


def _bytes(content: Content, start: int, stop: int) -> bytes:
    return b"".join(content.read(start, min(stop, content.size)))

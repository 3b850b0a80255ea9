"""Write and read receipts: JSON files in the store that say what was proved of a backup, written once and last."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from redis_backup import timestamps
from redis_backup.proof.backup import ReadableBackup, Verified
from redis_backup.states import Proof

_VERSION = 1


@dataclass(frozen=True)
class FileReceipt:
    """What a receipt says of one file. `crc64`: the RDB checksum, in hexadecimal; None if it has none.

    `rdb_version`: None if its format is unknown. `copy`: the name of its copy in the folder, and `copy_crc64` OSS's
    checksum of it, in decimal as OSS states it; None if it was not copied.
    """

    name: str
    node: str
    bytes: int
    rdb_version: int | None = None
    crc64: str | None = None
    copy: str | None = None
    copy_crc64: str | None = None


@dataclass(frozen=True)
class Receipt:
    """What a receipt says of a backup."""

    verified: Verified
    files: tuple[FileReceipt, ...]


def receipt_name(proof: Proof) -> str:
    """Return the name of the receipt of a level: FULL → `full.json`."""
    return "copy.json" if proof is Proof.COPY else "full.json"


def write_receipt(backup: ReadableBackup, receipt: Receipt) -> bytes:
    """Write a receipt that `read_receipt` reads."""
    fields = {
        "version": _VERSION,
        "account": backup.account,
        "region": backup.region,
        "instance_id": backup.instance_id,
        "job_ids": list(backup.job_ids),
        "cluster_backup_id": backup.cluster_backup_id or None,
        "begin": timestamps.render(backup.began),
        "end": timestamps.render(backup.ended) if backup.ended else None,
        "verified": receipt.verified.value,
        "files": [{name: value for name, value in asdict(file).items() if value is not None} for file in receipt.files],
    }
    return (json.dumps({name: value for name, value in fields.items() if value is not None}, indent=1) + "\n").encode()


def read_receipt(content: bytes, backup: ReadableBackup, proof: Proof) -> Receipt | None:
    """Read a receipt; return None if it is another backup's, or does not show what is asked for.

    `{"version": 1, "instance_id": "r-1", …, "verified": "full", "files": [{"name": "hins1.rdb", …}]}` →
    `Receipt(FULL, (FileReceipt("hins1.rdb", …),))`.
    """
    try:
        fields: dict[str, Any] = json.loads(content)
        files = tuple(_read_file(each) for each in fields["files"])
        identity = fields["account"], fields["region"], fields["instance_id"], fields["begin"]
        own_identity = backup.account, backup.region, backup.instance_id, timestamps.render(backup.began)
        if fields["version"] != _VERSION or identity != own_identity or not files:
            return None
        if not _is_of(fields, backup):
            return None
        if proof is Proof.COPY and not all(file.copy for file in files):
            return None
        return Receipt(Verified(fields["verified"]), files)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _is_of(fields: dict[str, Any], backup: ReadableBackup) -> bool:
    """Return whether a receipt names the backup's jobs. Who did not start a cloud-native one does not know them."""
    if backup.cluster_backup_id:
        return bool(fields.get("cluster_backup_id") == backup.cluster_backup_id)
    return set(fields["job_ids"]) == set(backup.job_ids)


def _read_file(fields: dict[str, Any]) -> FileReceipt:
    copy = fields.get("copy")
    if copy is not None and (not isinstance(copy, str) or "/" in copy):
        raise ValueError
    return FileReceipt(
        name=str(fields["name"]),
        node=str(fields["node"]),
        bytes=int(fields["bytes"]),
        rdb_version=fields.get("rdb_version"),
        crc64=fields.get("crc64"),
        copy=copy,
        copy_crc64=fields.get("copy_crc64"),
    )

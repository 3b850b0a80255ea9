"""Keep receipts, notes and copies of backups in the store, each backup in a folder of its own.

oss://BUCKET/PREFIX/ACCOUNT/REGION/INSTANCE_ID/20261125T020005Z-1022/
    full.json, copy.json     receipts: what was proved; written once, and last
    progress.json            a note: what has been read so far
    corrupt.json             the last note of a corrupt backup, if the first cannot be replaced
    hins456_data.rdb         a copy
"""

from __future__ import annotations

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.oss import ObjectStore
from redis_backup.proof.backup import ReadableBackup
from redis_backup.proof.checksums import OSS, crc64
from redis_backup.proof.notes import Note, read_note
from redis_backup.proof.receipts import Receipt, read_receipt, receipt_name, write_receipt
from redis_backup.states import ErrorKind, Problem, Proof

_NOTE, _VERDICT = "progress.json", "corrupt.json"


class ProofStore:
    """The store. Every method may raise ApiError."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects

    def url(self, backup: ReadableBackup) -> str:
        """Return the address of a backup's folder: `oss://BUCKET/…/`."""
        return self.objects.folder.url + backup.folder

    def receipt(self, backup: ReadableBackup, proof: Proof) -> Receipt | None:
        """Return a receipt that shows what is asked for, None if there is none. Copies have to be there, too."""
        for level in (Proof.COPY,) if proof is Proof.COPY else (Proof.FULL, Proof.COPY):
            content = self._get(backup.folder + receipt_name(level))
            receipt = read_receipt(content[0], backup, level) if content else None
            if receipt and (proof is not Proof.COPY or self._has_copies(backup, receipt)):
                return receipt
        return None

    def _has_copies(self, backup: ReadableBackup, receipt: Receipt) -> bool:
        for file in receipt.files:
            found = self.objects.head(f"{backup.folder}{file.copy}")
            if found is None or found.size != file.bytes:
                return False
            if found.crc64 is not None and str(found.crc64) != file.copy_crc64:
                return False
        return True

    def write_receipt(self, backup: ReadableBackup, proof: Proof, receipt: Receipt) -> None:
        """Write a receipt. One that is there already is read, and is as good if it shows what is asked for."""
        key, content = backup.folder + receipt_name(proof), write_receipt(backup, receipt)
        if self.objects.put(key, content) is None and self.receipt(backup, proof) is None:
            raise ApiError(
                Problem(
                    "ReceiptInTheWay",
                    f"{self.objects.folder.url}{key} is there already, and does not show {proof.name.lower()}",
                    ErrorKind.PERMANENT,
                    hint="delete it; the function writes a new one",
                )
            )

    def note(self, backup: ReadableBackup) -> tuple[Note, float]:
        """Return the note of a backup's reading, and how many seconds ago it was written; an empty one if none."""
        content = self._get(backup.folder + _NOTE)
        if content is None:
            return Note(), float("inf")
        note = read_note(content[0])
        if not note.corrupt and (last := self._get(backup.folder + _VERDICT)):
            note = read_note(last[0])
        return note, content[1]

    def write_note(self, backup: ReadableBackup, note: Note) -> None:
        """Write the note. Where it cannot be replaced (a retention policy), or not now, a reading begins anew.

        That a backup is corrupt is written beside a note that cannot be replaced: it must not be read again and again.
        """
        try:
            is_written = self.objects.put(backup.folder + _NOTE, note.write(), overwrite=True)
            if note.corrupt and is_written is None:
                self.objects.put(backup.folder + _VERDICT, note.write())
        except ApiError as error:
            if error.kind is ErrorKind.PERMANENT:
                raise

    def _get(self, key: str) -> tuple[bytes, float] | None:
        found = self.objects.get(key)
        if found and found.crc64 not in (None, crc64(OSS).calc(found.content)):
            message = f"{self.objects.folder.url}{key} did not come as it was written"
            raise ApiError(Problem("NoAnswer", message, ErrorKind.TRANSIENT))
        return (found.content, found.age) if found else None

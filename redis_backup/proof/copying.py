"""Copy a backup's files into the store while they are read, part by part, and compare OSS's checksums.

Each part is sent as it comes, so that none is held in memory; and the copy becomes an object when all parts are
sound. So every file, a small one too, is written by a multipart upload, whose ID is in the note. An upload that
another reading has begun is taken up, and what remains at the end is aborted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.downloads import BackupFile
from redis_backup.proof.backup import ReadableBackup
from redis_backup.proof.checksums import OSS, REDIS, combine, crc64
from redis_backup.proof.notes import FileNote, Part
from redis_backup.proof.receipts import FileReceipt
from redis_backup.proof.source import Source
from redis_backup.proof.store import ProofStore
from redis_backup.states import ErrorKind, Problem


class _Stream:
    """The bytes of one part, calculated with on their way. `len` is their number."""

    def __init__(self, source: Source, file: BackupFile, start: int, end: int) -> None:
        self._source, self._file, self._start, self._end = source, file, start, end
        self.redis_crc = self.oss_crc = 0

    def __len__(self) -> int:
        return self._end - self._start

    def __iter__(self) -> Iterator[bytes]:
        self.redis_crc = self.oss_crc = 0
        redis, oss = crc64(REDIS).calc, crc64(OSS).calc
        for chunk in self._source.read(self._file, self._start, self._end):
            self.redis_crc, self.oss_crc = redis(chunk, self.redis_crc), oss(chunk, self.oss_crc)
            yield chunk


class Copier:
    """Copies the files of one backup. Threads may share it. `retry` makes a call, and repeats it if that helps."""

    def __init__(
        self,
        backup: ReadableBackup,
        store: ProofStore,
        source: Source,
        retry: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._backup, self._store, self._objects, self._source = backup, store, store.objects, source
        self._retry, self._lock = retry, threading.Lock()

    def copy_part(self, file: FileNote, number: int, source: BackupFile) -> tuple[str, Part | None]:
        """Read a part, and write it into the store. Return the upload's ID, and None if that upload is gone."""
        stream, key = _Stream(self._source, source, *file.bounds(number)), self._key(file)
        upload_id = self._upload_id(file)
        stored = self._retry(lambda: self._objects.upload_part(key, upload_id, number + 1, stream))
        if stored is None:
            return upload_id, None
        if stored.crc64 not in (None, stream.oss_crc):
            message = f"a part of the copy of {file.name} did not arrive as it was sent"
            raise ApiError(Problem("CopyDiffers", message, ErrorKind.TRANSIENT, hint="it is sent again"))
        return upload_id, Part(stream.redis_crc, stream.oss_crc, stored.etag)

    def complete(self, file: FileNote, crc: int) -> bool:
        """Complete a file's copy, whose CRC-64 has to be `crc`. Return False if the upload is gone.

        Raise ApiError if there is another object of that name.
        """
        key = self._key(file)
        etags = [file.parts[number].etag for number in range(file.part_count)]
        found = self._retry(lambda: self._objects.complete_upload(key, file.upload_id, etags))
        if found is None or found.crc64 is None:  # an earlier call, or another reading, has completed it, or it is gone
            found = self._retry(lambda: self._objects.head(key))
        if found is None:
            return False
        if found.crc64 not in (None, crc) or found.size not in (0, file.size):
            url = self._objects.folder.url + key
            raise ApiError(
                Problem(
                    "CopyDiffers",
                    f"{url} is not what was read",
                    ErrorKind.PERMANENT,
                    hint="the function replaces nothing: delete that object; the backup is copied again then",
                )
            )
        return True

    def receipt(self, file: FileNote, receipt: FileReceipt) -> FileReceipt:
        """Add what is known of the file's copy to its receipt."""
        parts = [(file.parts[number].oss_crc64, file.length(number)) for number in range(file.part_count)]
        return replace(receipt, copy=file.name, copy_crc64=str(combine(OSS, parts)))

    def abort_all(self, files: Iterable[FileNote]) -> None:
        """Abort the uploads of these files, and all others of the folder: nothing is needed of them any more.

        What cannot be aborted now is left to the bucket's lifecycle rule.
        """
        found = {(self._key(file), file.upload_id) for file in files if file.upload_id and not file.is_copied}
        with suppress(ApiError):
            found |= set(self._retry(lambda: self._objects.uploads(self._backup.folder)))
        for key, upload_id in found:
            with suppress(ApiError):
                self._retry(partial(self._objects.abort_upload, key, upload_id))

    def _key(self, file: FileNote) -> str:
        return self._backup.folder + file.name

    def _upload_id(self, file: FileNote) -> str:
        """Return the ID of the file's upload; take up one that another reading began, or begin one."""
        with self._lock:
            if not file.upload_id:
                key, found = self._key(file), dict[str, str]()
                with suppress(ApiError):  # then a new one is begun
                    found = dict(self._retry(lambda: self._objects.uploads(key)))
                file.upload_id = found.get(key) or self._retry(lambda: self._objects.begin_upload(key))
            return file.upload_id

"""Read all files of one backup, in this invocation and, if it takes longer, in the next ones; copy them on the way.

    note ─► files and their ends ─► parts, several at once ─► checksums ─► copies complete ─► receipt
      ▲                                      │
      └──────── every few seconds ───────────┘

What has been read is noted in the store, so that the next invocation goes on there, after a time-out as after a crash.
A file is corrupt only if a second reading says the same: one that differs may have been changed on its way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.downloads import BackupFile
from redis_backup.alibaba.retries import call_with_retries
from redis_backup.backoff import Deadline
from redis_backup.proof import rdb
from redis_backup.proof.backup import NAMES, ReadableBackup, Verdict, Verified, weakest
from redis_backup.proof.checksums import OSS, REDIS, combine, crc64
from redis_backup.proof.copying import Copier
from redis_backup.proof.notes import FileNote, Note, Part
from redis_backup.proof.receipts import FileReceipt, Receipt
from redis_backup.proof.source import Source
from redis_backup.proof.store import ProofStore
from redis_backup.runtime import Clock
from redis_backup.states import OUT_OF_TIME, ErrorKind, Problem, Proof

T = TypeVar("T")
Step = Callable[[], Callable[[], None]]
READERS = 8  # parts that are read at once, at most
_NOTE_EVERY = 8.0  # seconds; with the time that writing it takes, notes are at most 10 s apart
_RESERVE = 3.0  # seconds before the deadline, for the last note
_POLL = 0.05  # seconds of real time; a wait for parts reads the clock so often, since a test may move it
_GRACE = 0.3  # seconds of real time, after the deadline, to wait for parts
_MAX_LAST_PART = 20.0  # seconds before the deadline in which a part is begun whatever the others took
_MOST_READINGS = 3  # of a file whose checksum is wrong, and another one each time


class Reading:
    """One reading of a backup. `proof`: FULL, or COPY to copy the files too; `readers`: parts that are read at once."""

    def __init__(
        self,
        backup: ReadableBackup,
        proof: Proof,
        source: Source,
        store: ProofStore,
        clock: Clock,
        deadline: Deadline,
        readers: int = READERS,
    ) -> None:
        self._backup, self._proof, self._source, self._store = backup, proof, source, store
        self._readers = readers
        self._clock, self._deadline = clock, Deadline(clock, deadline.at - _RESERVE)
        self._note, self._files = Note(), dict[str, BackupFile]()
        self._copier = Copier(backup, store, source, self._retry) if proof is Proof.COPY else None
        self._is_copied = proof is Proof.COPY
        self._bytes_before, self._has_note, self._noted_at = 0, False, 0.0

    def run(self) -> Verdict:
        """Read as much as there is time for. Return what is known then."""
        problem = None
        try:
            self._begin()
            if self._read():
                return self._finish()
        except ApiError as error:
            problem = error.problem
        self._source.is_stopped = True
        self._note.is_paused = True
        if problem and problem.code != OUT_OF_TIME:
            self._note.problem = problem
        try:
            self._write_note()
            if self._note.corrupt and self._copier:
                self._copier.abort_all(self._note.files)
        except ApiError as error:
            self._note.problem = self._note.problem or error.problem
        if self._note.corrupt:
            return Verdict(corrupt=self._note.corrupt, bytes_read=self._note.bytes_read)
        progress = self._note.progress(copied=self._is_copied)
        return Verdict(problem=self._note.problem, progress=progress, bytes_read=self._note.bytes_read)

    def _begin(self) -> None:
        """Take up the note, or begin one, and ask for the files."""
        self._note, _ = self._retry(lambda: self._store.note(self._backup))
        self._note.is_paused, self._has_note = False, True
        self._bytes_before = self._note.bytes_read
        if not self._note.corrupt:
            self._write_note()  # from now on, others see that it is being read
            listed = list(self._retry(self._source.files))
            self._files = dict(zip(unique_names(listed), listed, strict=True))
            self._note.files = [file for file in self._note.files if file.name in self._files]

    def _read(self) -> bool:
        """Read what is missing. Return whether all files are done."""
        pool = ThreadPoolExecutor(self._readers, thread_name_prefix="read")
        try:
            while not self._note.corrupt and (steps := self._steps()):
                if not self._take(pool, steps):
                    return False
        finally:
            self._source.is_stopped = True
            pool.shutdown(wait=False, cancel_futures=True)
        return not self._note.corrupt

    def _take(self, pool: ThreadPoolExecutor, steps: Iterable[Step]) -> bool:
        """Take steps, several at once, and note what comes of them. Return whether there was time for all of them.

        Raise ApiError if one of them failed for good; the others are stopped then.
        """
        waiting, running = deque(steps), dict[Future[Callable[[], None]], float]()
        error: ApiError | None = None
        slowest = 0.0  # seconds that a step took; the first steps are always begun, so that each reading gets further
        while waiting or running:
            has_time = self._deadline.remaining() > min(_MAX_LAST_PART, 1.5 * slowest)
            while waiting and has_time and not self._source.is_stopped and len(running) < self._readers:
                running[pool.submit(waiting.popleft())] = self._clock.monotonic()
            if not running:
                break
            is_over = self._deadline.remaining() <= 0
            self._source.is_stopped = self._source.is_stopped or is_over
            ended, _ = wait(running, timeout=_GRACE if is_over else _POLL, return_when=FIRST_COMPLETED)
            for future in ended:
                slowest = max(slowest, self._clock.monotonic() - running.pop(future))
                try:
                    future.result()()
                except ApiError as failure:
                    error, self._source.is_stopped = error or failure, True
            if is_over and not ended:
                break
            if self._clock.monotonic() - self._noted_at >= _NOTE_EVERY:
                self._write_note()
        if error:
            raise error
        return not (waiting or running)

    def _steps(self) -> list[Step]:
        """Return what can be done next, all at once: look at files, then read their parts, then complete them.

        A step runs on any thread, and returns what has to be noted of it, on the reading's own thread.
        """
        known = {file.name for file in self._note.files}
        if unknown := [name for name in self._files if name not in known]:
            return [partial(self._look, name) for name in unknown]
        todo = [file for file in self._note.files if not file.is_done(copied=self._is_copied)]
        missing = [(file, number) for file in todo for number in file.missing(copied=self._is_copied)]
        if missing:
            return [partial(self._read_part, file, number) for file, number in missing]
        return [partial(self._end_file, file) for file in todo]

    def _look(self, name: str) -> Callable[[], None]:
        """Look at the ends of a file."""
        file = self._files[name]
        seen = self._source.look(file, twice=True)
        note = FileNote(name, file.node, file.job_id, seen.size, seen.first, seen.last, seen.oss_crc64)
        note.is_read = note.ends.format is rdb.Format.UNKNOWN  # there is nothing to compare its bytes with
        if note.ends.format is rdb.Format.BROKEN:
            return lambda: self._is_corrupt(note, note.ends.found)
        return lambda: self._note.files.append(note)

    def _is_corrupt(self, file: FileNote, found: str) -> None:
        self._note.corrupt = corrupt_text(self._backup, file.node, file.name, found)

    def _read_part(self, file: FileNote, number: int) -> Callable[[], None]:
        start, end = file.bounds(number)
        source = self._files[file.name]
        if self._copier:
            upload_id, part = self._copier.copy_part(file, number, source)
        else:
            crc, calculate = 0, crc64(REDIS).calc
            for chunk in self._source.read(source, start, end):
                crc = calculate(chunk, crc)
            upload_id, part = file.upload_id, Part(crc)

        def note() -> None:
            if part is None:
                self._forget_upload(file, upload_id)
            elif file.upload_id == upload_id:
                file.parts[number], self._note.problem = part, None

        return note

    def _forget_upload(self, file: FileNote, upload_id: str) -> None:
        """Begin a copy anew: its upload was aborted, or its parts are not what was noted."""
        if file.upload_id == upload_id:
            file.upload_id = ""
            file.forget_parts()

    def _end_file(self, file: FileNote) -> Callable[[], None]:
        """Compare the checksum of a file that was read; complete its copy. Read it again if the checksum is wrong."""
        lengths = [file.length(number) for number in range(file.part_count)]
        parts = [file.parts[number] for number in range(file.part_count)]
        total = combine(REDIS, [(part.crc64, length) for part, length in zip(parts, lengths, strict=True)])
        if file.ends.has_checksum and not rdb.is_sound(total):
            return lambda: self._read_again(file, total)
        if self._copier:
            crc = combine(OSS, [(part.oss_crc64, length) for part, length in zip(parts, lengths, strict=True)])
            if not file.ends.has_checksum and file.stated_crc64 not in (None, crc):
                return lambda: self._copy_again(file, crc)
            if not self._copier.complete(file, crc):
                return partial(self._forget_upload, file, file.upload_id)

        def note() -> None:
            file.is_read, file.is_copied = True, file.is_copied or self._is_copied

        return note

    def _read_again(self, file: FileNote, total: int) -> None:
        is_same = total in file.wrong
        file.wrong.append(total)
        file.forget_parts()
        if is_same or len(file.wrong) >= _MOST_READINGS:
            stated = f"{file.ends.crc64:016x}"
            self._is_corrupt(file, f"its bytes do not have the CRC-64 that it states, {stated}")

    def _copy_again(self, file: FileNote, crc: int) -> None:
        """Read a file without a checksum of its own again: what came is not what OSS says of it."""
        file.wrong.append(crc)
        file.forget_parts()
        if len(file.wrong) >= _MOST_READINGS:
            file.wrong.clear()
            message = f"file {file.name} does not come as OSS states it"
            raise ApiError(
                Problem("DownloadFailed", message, ErrorKind.TRANSIENT, hint="look whether a proxy lies between")
            )

    def _finish(self) -> Verdict:
        """Write the receipt. Return what is proved."""
        verified = weakest([verified_of(file.ends) for file in self._note.files])
        receipt = Receipt(verified, tuple(self._receipt(file) for file in self._note.files))
        if self._copier:
            self._copier.abort_all(self._note.files)
        self._retry(lambda: self._store.write_receipt(self._backup, self._proof, receipt))
        copies = self._store.url(self._backup) if self._copier else None
        return Verdict(verified, copies=copies, bytes_read=self._bytes_before + self._source.bytes_read)

    def _receipt(self, file: FileNote) -> FileReceipt:
        ends = file.ends
        receipt = FileReceipt(
            file.name,
            file.node,
            file.size,
            ends.version or None,
            f"{ends.crc64:016x}" if ends.has_checksum else None,
        )
        return self._copier.receipt(file, receipt) if self._copier else receipt

    def _write_note(self) -> None:
        if self._has_note:  # else an older one could not be read, and is kept
            self._note.bytes_read = self._bytes_before + self._source.bytes_read
            self._store.write_note(self._backup, self._note)
            self._noted_at = self._clock.monotonic()

    def _retry(self, call: Callable[[], T]) -> T:
        return call_with_retries(call, self._clock, self._deadline)


def verified_of(ends: rdb.Ends, *, is_read: bool = True) -> Verified:
    """Return what is proved of a file that was read to its end, or of one whose ends were read."""
    if ends.format is rdb.Format.UNKNOWN:
        return Verified.UNKNOWN_FORMAT
    return Verified.FULL if ends.has_checksum and is_read else Verified.QUICK


def corrupt_text(backup: ReadableBackup, node: str, name: str, found: str) -> str:
    """Return what people read of a corrupt file: `job 1022, node r-1-db-0, file hins1.rdb: it is empty`."""
    return f"{backup.title}, {f'node {node}, ' if node else ''}file {name}: {found}"


def unique_names(files: list[BackupFile]) -> list[str]:
    """Return a name for each file's copy: its own, with a number before it if others have it, too."""
    own = [file.name for file in files]
    taken, names = {*NAMES, *own}, []
    for number, name in enumerate(own, 1):
        if own.count(name) > 1 or name in NAMES:
            while name in taken:
                name = f"{number}-{name}"
            taken.add(name)
        names.append(name)
    return names

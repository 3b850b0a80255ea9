"""Read the files of one backup: ask for their addresses, read ranges of them, and try again what did not work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.downloads import BackupFile, Downloads, Range, not_listed
from redis_backup.backoff import Deadline, jitter
from redis_backup.proof.rdb import END_SIZE, Ends, Format, judge_ends
from redis_backup.runtime import Clock
from redis_backup.states import ErrorKind, out_of_time

_ATTEMPTS = 5  # of a range without any progress


@dataclass(frozen=True)
class FileEnds:
    """A file's size, its first and its last bytes, and the CRC-64 that OSS states of it, if it does."""

    size: int
    first: bytes
    last: bytes
    oss_crc64: int | None = None

    @property
    def ends(self) -> Ends:
        """Return what they show."""
        return judge_ends(self.first, self.last, self.size)


class Source:
    """The files of one backup. Threads may share it.

    `list_files`: asks R-KVStore for the files with their addresses. `bytes_read`: all bytes that have come.
    """

    def __init__(
        self, list_files: Callable[[], list[BackupFile]], downloads: Downloads, clock: Clock, deadline: Deadline
    ) -> None:
        self._list_files, self._downloads, self._clock, self._deadline = list_files, downloads, clock, deadline
        self._lock, self._files, self._listed = threading.Lock(), list[BackupFile](), 0
        self.bytes_read, self.is_stopped = 0, False

    def files(self) -> Sequence[BackupFile]:
        """Return the files. Raise ApiError if they cannot be listed, or there are none."""
        with self._lock:
            if not self._listed:
                self._list()
            return self._files

    def _list(self) -> None:
        found = self._list_files()
        if found:
            self._files, self._listed = found, self._listed + 1
        else:
            raise not_listed("lists no file of the backup (any more)")

    def look(self, file: BackupFile, *, twice: bool = False) -> FileEnds:
        """Return a file's size and its first and last bytes, as two readings agree on them.

        Without `twice`, one is enough if it shows an RDB file.
        """
        found = self._look(file)
        is_good = found.ends.format in (Format.WITH_CHECKSUM, Format.WITHOUT_CHECKSUM)
        for _ in range(0 if is_good and not twice else _ATTEMPTS):
            before, found = found, self._look(file)
            if found == before:
                break
        return found

    def _look(self, file: BackupFile) -> FileEnds:
        answers: list[Range] = []
        first = b"".join(self.read(file, 0, END_SIZE, answers.append))
        size = answers[-1].size
        last = b"".join(self.read(file, size - END_SIZE, size)) if size > END_SIZE else first
        return FileEnds(size, first, last, answers[-1].crc64)

    def read(
        self, file: BackupFile, start: int, end: int, note: Callable[[Range], object] | None = None
    ) -> Iterator[bytes]:
        """Return the bytes from `start` to `end`, or to the file's end. After a failure go on where it stopped.

        An address that is refused is asked for anew. `note` is told of each answer. Raise ApiError if the range
        cannot be read, or there is no time left.
        """
        position, failures = start, 0
        while position < end:
            listed = self._listed
            try:
                answer = self._downloads.read(self._current(file), position, end)
                if note:
                    note(answer)
                end = min(end, answer.size)
                for chunk in answer.chunks:
                    if self.is_stopped:
                        raise ApiError(out_of_time())
                    position, failures = position + len(chunk), 0
                    with self._lock:
                        self.bytes_read += len(chunk)
                    yield chunk
            except ApiError as error:
                failures += 1
                is_over = error.problem.kind is ErrorKind.PERMANENT or self.is_stopped or failures >= _ATTEMPTS
                if is_over or not self._deadline.sleep(error.retry_after or jitter(self._clock, failures - 1)):
                    raise
                if error.status in (401, 403, 404):
                    self._renew(listed)

    def _current(self, file: BackupFile) -> BackupFile:
        """Return the file with its latest address. Raise ApiError if it is not listed any more."""
        for each in self.files():
            if (each.node, each.name, each.job_id) == (file.node, file.name, file.job_id):
                return each
        raise not_listed(f"does not list {file.name} any more")

    def _renew(self, listed: int) -> None:
        """Ask for the addresses anew, unless another thread has done so."""
        with self._lock:
            if self._listed == listed:
                self._list()

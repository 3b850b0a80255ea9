"""Read ranges of a backup's file by its address, as R-KVStore lists it: a pre-signed address of OSS.

Such an address lets everyone read the file until it expires. It is asked for when it is needed, and never kept or
shown. It signs the method, so only GET works; and no `x-oss-*` header may be added. A bad range is answered with 200
and the whole object, so anything but 206 is an error.
https://www.alibabacloud.com/help/en/oss/developer-reference/getobject
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from redis_backup.alibaba import adapters, parsing, sdk
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.backoff import Deadline
from redis_backup.settings import INTERNET, INTRANET
from redis_backup.states import ErrorKind, Problem, out_of_time

CHUNK = 1 << 20  # bytes that are read at once
_HINTS = {
    INTRANET: "the intranet address is reached from a VPC of the instance's region: give the function a vpcConfig with "
    "one, or set BACKUP_DOWNLOAD to internet",
    INTERNET: "check that the function may use the Internet (internetAccess), or set BACKUP_DOWNLOAD to intranet and "
    "give the function a vpcConfig of the instance's region",
}


@dataclass(frozen=True)
class BackupFile:
    """One file of a backup: its name, and the node and the job that it is of. `repr` does not show its address."""

    name: str
    node: str
    job_id: str
    address: str = field(repr=False)


def not_listed(what: str) -> ApiError:
    """Return the error for files that R-KVStore does not list. `what`: the part of a sentence that follows."""
    hint = "look in the console whether the backup is still there and complete; a new request makes a new backup"
    return ApiError(Problem("DownloadFailed", f"R-KVStore {what}", ErrorKind.TRANSIENT, hint=hint))


def backup_files(entries: Iterable[Mapping[str, Any]], way: str) -> list[BackupFile]:
    """Read the entries of a list of backups: each is one file, with an address for each way to it.

    `{"BackupJobID": 7, "NodeInstanceId": "r-1", "BackupIntranetDownloadURL": "http://…/hins1.rdb?…"}, "intranet"` →
    `BackupFile("hins1.rdb", "r-1", "7", …)`. Raise ApiError if an entry has no address.
    """
    files = []
    for entry in entries:
        address = entry.get("BackupIntranetDownloadURL" if way == INTRANET else "BackupDownloadURL")
        try:
            url = urlsplit(address if isinstance(address, str) else "")
        except ValueError:
            url = urlsplit("")
        job_id = parsing.identifier(entry.get("BackupJobID"))
        if url.scheme not in ("http", "https") or not url.hostname:
            message = f"R-KVStore lists no {way} address for a file" + (f" of job {job_id}" if job_id else "")
            raise ApiError(Problem("DownloadFailed", message, ErrorKind.TRANSIENT, hint=_HINTS[way]))
        if way == INTERNET and url.hostname.endswith(".aliyuncs.com"):  # the scheme is not signed, and OSS has both
            url = url._replace(scheme="https")
        name = re.sub(r"[^A-Za-z0-9._-]", "_", unquote(url.path).rpartition("/")[2])[-120:].lstrip(".") or "backup.rdb"
        node = parsing.identifier(entry.get("NodeInstanceId") or entry.get("InstanceName"))
        files.append(BackupFile(name, node, job_id, urlunsplit(url)))
    return sorted(files, key=lambda file: (file.node, file.name, file.job_id))


@dataclass(frozen=True)
class Range:
    """A part of a file, as it comes. `size`: of the whole file, in bytes; `crc64`: likewise, if OSS states it."""

    size: int
    crc64: int | None
    chunks: Iterator[bytes]


class Downloads:
    """Reads ranges of files. Threads may share it. `way`: `intranet` or `internet`, for hints."""

    def __init__(self, way: str, deadline: Deadline, connections: int) -> None:
        sdk.silence()
        self.way, self._deadline = way, deadline
        self._session = sdk.http_session(connections)

    def read(self, file: BackupFile, start: int, end: int) -> Range:
        """Ask for the bytes from `start` to `end` (which is not read).

        Fewer bytes come if the file ends before. Raise ApiError, also while the bytes are read.
        """
        remaining = self._deadline.remaining()
        if remaining < sdk.MIN_TIME:
            raise ApiError(out_of_time())
        timeout = (min(sdk.CONNECT_TIMEOUT, remaining), min(sdk.READ_TIMEOUT, remaining))
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        adapters.forget()
        try:
            answer = self._session.get(file.address, headers=headers, timeout=timeout, stream=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text has the address
            raise self._failed(file, _what(error), adapters.last_status()) from None
        size, length = _content_range(answer, start, end)
        if length is None:
            status = answer.status_code
            answer.close()
            raise self._failed(file, f"the answer was HTTP {status}{_expired(status)}", status)
        crc64 = parsing.number(answer.headers.get("x-oss-hash-crc64ecma"))
        return Range(size, crc64, self._chunks(file, answer, length))

    def _chunks(self, file: BackupFile, answer: Any, length: int) -> Iterator[bytes]:
        """Return the bytes of an answer. Raise ApiError if they end before their number, or cannot be read."""
        received = 0
        try:
            while received < length:
                try:
                    chunk = answer.raw.read(min(CHUNK, length - received))
                except Exception as error:  # noqa: BLE001 - whatever it is, its text has the address
                    raise self._failed(file, _what(error), 0) from None
                if not chunk:
                    raise self._failed(file, f"the answer was cut off after {received} of {length} bytes", 0)
                received += len(chunk)
                yield chunk
        finally:
            if received == length:
                answer.raw.release_conn()  # to the pool: the next range uses the same connection
            else:
                answer.close()

    def _failed(self, file: BackupFile, what: str, status: int) -> ApiError:
        message = f"file {file.name} could not be read over the {self.way}: {what}"
        return ApiError(Problem("DownloadFailed", message, ErrorKind.TRANSIENT, hint=_HINTS[self.way]), status=status)


def _content_range(answer: Any, start: int, end: int) -> tuple[int, int | None]:
    """Return a file's size, and how many bytes come; None if the answer is not the range that was asked for.

    A file that is shorter than the range is answered by OSS with 200 and all of it.
    """
    headers = answer.headers
    if answer.status_code == 200 and start == 0 and "x-oss-request-id" in headers:
        size = parsing.number(headers.get("Content-Length"))
        return (size, size) if size is not None and 0 <= size < end else (0, None)
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", headers.get("Content-Range", ""))
    if answer.status_code != 206 or not match:
        return 0, None
    first, last, size = (int(number) for number in match.groups())
    length = last - first + 1
    is_as_asked = first == start and last == min(end, size) - 1
    return size, length if is_as_asked and headers.get("Content-Length") in (None, str(length)) else None


def _expired(status: int) -> str:
    return {
        403: " (its address has expired, or does not allow this)",
        200: " without the range that was asked for",
    }.get(status, "")


def _what(error: Exception) -> str:
    """Say what happened, without the exception's text, which has the address."""
    if isinstance(error, adapters.RedirectedError):
        return "the answer was a redirect, which is never followed"
    name, text = type(error).__name__, str(error)
    if "Timeout" in name or "timed out" in text:
        return "no answer came in time"
    if "resolve" in text or "Name or service" in text:
        return "the host name has no address"
    if "refused" in text:
        return "the connection was refused"
    return "the connection broke"

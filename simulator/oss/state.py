"""The state of OSS: buckets with their objects and unfinished uploads."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.oss import errors
from simulator.oss.address import BUCKET_NAME
from simulator.oss.content import Content, Receiver, Segment

if TYPE_CHECKING:
    from simulator.clock import Clock


@dataclass(frozen=True)
class StoredObject:
    """One version of an object. `modified`: clock time. `headers`: those that it was stored with."""

    key: str
    content: Content
    etag: str
    crc64: int
    modified: float
    kind: str  # Normal | Multipart
    version_id: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return its length in bytes."""
        return self.content.size

    def read(self) -> bytes:
        """Return all its bytes."""
        return b"".join(self.content.read())


@dataclass(frozen=True)
class Part:
    """A part of an upload that was received."""

    number: int
    segment: Segment
    modified: float

    @property
    def etag(self) -> str:
        """Return its MD5, in capitals."""
        return self.segment.md5


@dataclass
class Upload:
    """A multipart upload that is neither completed nor aborted."""

    key: str
    id: str
    initiated: float
    headers: Mapping[str, str]
    parts: dict[int, Part] = field(default_factory=dict)


class Bucket:
    """A bucket. `objects` and `uploads` are what a test looks at."""

    def __init__(self, name: str, region: str, clock: Clock, *, versioned: bool = False, worm: bool = False) -> None:
        """Create it, empty. `versioned`: overwriting and deleting keep what there was. `worm`: they are refused."""
        self.name, self.region, self.versioned, self.worm = name, region, versioned, worm
        self.uploads: dict[str, Upload] = {}  # by upload ID, in the order of their beginnings
        self.receiver = Receiver()
        self.lock = threading.RLock()
        self._versions: dict[str, list[StoredObject | None]] = {}  # oldest first; None: a deletion
        self._clock = clock

    @property
    def objects(self) -> dict[str, StoredObject]:
        """Return the newest version of each object that is not deleted, by key in order."""
        with self.lock:
            return {key: each[-1] for key, each in sorted(self._versions.items()) if each[-1] is not None}

    def versions(self, key: str) -> list[StoredObject]:
        """Return all versions of an object, the oldest first."""
        return [each for each in self._versions.get(key, ()) if each is not None]

    def get(self, key: str) -> StoredObject:
        """Return the object's newest version. Raise ApiError (404) when there is none."""
        with self.lock:
            found = self._versions.get(key, [None])[-1]
        if found is None:
            raise errors.no_such_key(key)
        return found

    def put(self, key: str, data: bytes | Segment, headers: Mapping[str, str] | None = None) -> StoredObject:
        """Store an object in one piece and return it. Raise ApiError when that is refused."""
        segment = self.receiver.receive([data]) if isinstance(data, bytes) else data
        return self._store(key, Content([segment]), segment.md5, "Normal", headers or {})

    def check_put(self, key: str, *, forbid_overwrite: bool) -> None:
        """Raise ApiError when an object may not be stored under this key.

        In a versioned bucket nothing is overwritten, so `forbid_overwrite` has no effect:
        https://www.alibabacloud.com/help/en/oss/developer-reference/putobject
        """
        with self.lock:
            exists = self._versions.get(key, [None])[-1] is not None
        if exists and forbid_overwrite and not self.versioned:
            raise errors.file_already_exists()
        if exists and self.worm and not self.versioned:
            raise errors.file_immutable()

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if there is none. Raise ApiError when a retention policy forbids it."""
        with self.lock:
            if key not in self.objects:
                return
            if self.versioned:
                self._versions[key].append(None)
            elif self.worm:
                raise errors.file_immutable()
            else:
                del self._versions[key]

    def initiate(self, key: str, headers: Mapping[str, str]) -> Upload:
        """Begin a multipart upload and return it."""
        upload = Upload(key, uuid.uuid4().hex.upper(), self._clock.time(), headers)
        with self.lock:
            self.uploads[upload.id] = upload
        return upload

    def upload(self, key: str, upload_id: str) -> Upload:
        """Return the unfinished upload of this key. Raise ApiError (404) when there is none."""
        found = self.uploads.get(upload_id)
        if found is None or found.key != key:
            raise errors.no_such_upload(upload_id)
        return found

    def add_part(self, upload: Upload, number: int, segment: Segment) -> Part:
        """Add a part, in place of one with the same number, and return it. Raise ApiError when the upload has ended."""
        part = Part(number, segment, self._clock.time())
        with self.lock:
            self.upload(upload.key, upload.id).parts[number] = part
        return part

    def complete(self, upload: Upload, parts: list[Part]) -> StoredObject:
        """Make the object of an upload's parts, and return it."""
        digests = b"".join(bytes.fromhex(part.etag) for part in parts)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest().upper()}-{len(parts)}"
        content = Content([part.segment for part in parts])
        with self.lock:
            self.upload(upload.key, upload.id)
            stored = self._store(upload.key, content, etag, "Multipart", upload.headers)
            del self.uploads[upload.id]
        return stored

    def abort(self, upload: Upload) -> None:
        """Drop an upload and its parts. Raise ApiError (404) when it has ended."""
        with self.lock:
            del self.uploads[self.upload(upload.key, upload.id).id]

    def _store(self, key: str, content: Content, etag: str, kind: str, headers: Mapping[str, str]) -> StoredObject:
        version_id = uuid.uuid4().hex
        stored = StoredObject(key, content, etag, content.crc64, self._clock.time(), kind, version_id, headers)
        with self.lock:
            kept = self._versions.get(key, []) if self.versioned else []
            self._versions[key] = [*kept, stored]
        return stored


class ObjectStorage:
    """All buckets. A test makes them with `bucket`."""

    def __init__(self, clock: Clock, region: str, clock_offset: float = 0.0) -> None:
        """Create it without buckets. `region`: of those that name none; `clock_offset`: how far its clock is ahead."""
        self.clock_offset = clock_offset
        self._clock, self._region = clock, region
        self._buckets: dict[str, Bucket] = {}

    def bucket(self, name: str, region: str | None = None, *, versioned: bool = False, worm: bool = False) -> Bucket:
        """Return the bucket of that name, made now if there is none. Raise ValueError when it cannot have that name."""
        if name not in self._buckets:
            if not BUCKET_NAME.fullmatch(name):
                raise ValueError(f"no bucket can be named {name!r}")
            own_region = region or self._region
            self._buckets[name] = Bucket(name, own_region, self._clock, versioned=versioned, worm=worm)
        return self._buckets[name]

    def find(self, name: str) -> Bucket:
        """Return the bucket of that name. Raise ApiError (404) when there is none."""
        if name not in self._buckets:
            raise errors.no_such_bucket(name)
        return self._buckets[name]

    def close(self) -> None:
        """Remove all files."""
        for bucket in self._buckets.values():
            bucket.receiver.close()

"""Call Object Storage Service by its official SDK: the operations that receipts and copies need. Each is sent once.

The SDK is imported when the first call is made, since most invocations use no store. Its own retries are off, because
they would sleep past the function's deadline; and its checks of CRC-64 are off, because they are slow and need a
library more: the checksum that OSS states of what it has stored is returned, and compared by the caller.
https://www.alibabacloud.com/help/en/oss/developer-reference/list-of-operations-by-function
"""

from __future__ import annotations

import hashlib
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar

from redis_backup.alibaba import adapters, lazy_sdk, sdk, sdk_errors
from redis_backup.alibaba.api_errors import ApiError, problem_of
from redis_backup.backoff import Deadline
from redis_backup.context import Context
from redis_backup.endpoints import Folder
from redis_backup.settings import Settings
from redis_backup.states import ErrorKind, Problem, out_of_time

T = TypeVar("T")
_EXISTS = ("FileAlreadyExists", "ObjectAlreadyExists")
_IMMUTABLE = ("FileImmutable",)  # a retention policy protects the object
_GONE = ("NoSuchKey", "NoSuchUpload", "SymlinkTargetNotExist")
_COMPLETE_TIMEOUT = 60.0  # seconds; putting thousands of parts together takes longer than other calls
_ACTIONS = {  # https://www.alibabacloud.com/help/en/oss/developer-reference/ram-policy-overview
    "GetObject": "oss:GetObject",
    "HeadObject": "oss:GetObject",
    "AbortMultipartUpload": "oss:AbortMultipartUpload",
    "ListMultipartUploads": "oss:ListMultipartUploads",
    "ListObjectsV2": "oss:ListObjects",
}
_HINTS = {
    "NoSuchBucket": "no bucket has this name; create it, or correct BACKUP_STORE in the function's environment",
    "InvalidBucketName": "correct BACKUP_STORE in the function's environment",
    "KmsServiceNotEnabled": "the bucket is encrypted by KMS: enable the service, or use another encryption",
}


class Body(Protocol):
    """Bytes that are sent as they come; their number is known before."""

    def __iter__(self) -> Iterator[bytes]:
        """Return the bytes, in pieces."""

    def __len__(self) -> int:
        """Return how many bytes come."""


@dataclass(frozen=True)
class StoredObject:
    """An object's content, its CRC-64 as OSS states it, and how many seconds ago it was written, by OSS's clock."""

    content: bytes
    crc64: int | None
    age: float


@dataclass(frozen=True)
class StoredPart:
    """What OSS says of an object, or of a part of one: its ETag, its CRC-64 (None if not stated), its size in bytes."""

    etag: str
    crc64: int | None
    size: int = 0


class ObjectStore:
    """The folder of OSS that receipts and copies are in. Threads may share it. Every method may raise ApiError.

    `key`: an object's name in the folder.
    """

    def __init__(self, folder: Folder, context: Context, settings: Settings, deadline: Deadline) -> None:
        self.folder = folder
        self._context, self._settings, self._deadline = context, settings, deadline
        self.region = settings.store_region or context.region
        self._lock = threading.Lock()
        self._made: tuple[Any, Any] | None = None

    def get(self, key: str) -> StoredObject | None:
        """Return an object, None if there is none. It has to fit into memory."""

        def send(client: Any, oss: Any) -> StoredObject:
            answer = client.get_object(oss.GetObjectRequest(self.folder.bucket, self._name(key)))
            with answer.body as body:
                content = body.read()
            return StoredObject(content, _number(answer.hash_crc64), _age(answer.headers))

        return self._unless(_GONE, lambda: self._call("GetObject", send), None)

    def head(self, key: str) -> StoredPart | None:
        """Return what OSS says of an object, None if there is none."""

        def send(client: Any, oss: Any) -> StoredPart:
            answer = client.head_object(oss.HeadObjectRequest(self.folder.bucket, self._name(key)))
            return StoredPart(answer.etag or "", _number(answer.hash_crc64), answer.content_length or 0)

        return self._unless(_GONE, lambda: self._call("HeadObject", send), None)

    def put(self, key: str, content: bytes, *, overwrite: bool = False) -> StoredPart | None:
        """Write an object. Return None if it is there already, and is not (or must not be) replaced.

        OSS refuses bytes that were changed on their way, by their MD5.
        """
        digest = hashlib.md5(content, usedforsecurity=False).digest()

        def send(client: Any, oss: Any) -> StoredPart:
            request = oss.PutObjectRequest(
                self.folder.bucket,
                self._name(key),
                body=content,
                content_md5=b64encode(digest).decode(),
                forbid_overwrite=None if overwrite else True,
            )
            answer = client.put_object(request)
            return StoredPart(answer.etag or "", _number(answer.hash_crc64), len(content))

        return self._unless((*_EXISTS, *_IMMUTABLE), lambda: self._call("PutObject", send), None)

    def begin_upload(self, key: str) -> str:
        """Begin a multipart upload, and return its ID."""

        def send(client: Any, oss: Any) -> str:
            request = oss.InitiateMultipartUploadRequest(self.folder.bucket, self._name(key))
            return str(client.initiate_multipart_upload(request).upload_id)

        return self._call("InitiateMultipartUpload", send)

    def upload_part(self, key: str, upload_id: str, number: int, content: Body) -> StoredPart | None:
        """Upload a part, whose number counts from 1. Return None if there is no such upload (any more)."""

        def send(client: Any, oss: Any) -> StoredPart:
            request = oss.UploadPartRequest(
                self.folder.bucket, self._name(key), part_number=number, upload_id=upload_id, body=content
            )
            answer = client.upload_part(request)
            return StoredPart(answer.etag or "", _number(answer.hash_crc64), len(content))

        return self._unless(_GONE, lambda: self._call("UploadPart", send), None)

    def complete_upload(self, key: str, upload_id: str, etags: Sequence[str]) -> StoredPart | None:
        """Make the object of its parts. Return None if there is no such upload, or the object is there already."""

        def send(client: Any, oss: Any) -> StoredPart:
            parts = [oss.UploadPart(part_number=number, etag=etag) for number, etag in enumerate(etags, 1)]
            request = oss.CompleteMultipartUploadRequest(
                self.folder.bucket,
                self._name(key),
                upload_id=upload_id,
                forbid_overwrite=True,
                complete_multipart_upload=oss.CompleteMultipartUpload(parts=parts),
            )
            answer = client.complete_multipart_upload(request, readwrite_timeout=_COMPLETE_TIMEOUT)
            return StoredPart(answer.etag or "", _number(answer.hash_crc64))

        codes = (*_GONE, *_EXISTS, *_IMMUTABLE, "InvalidPart", "InvalidPartOrder")
        return self._unless(codes, lambda: self._call("CompleteMultipartUpload", send), None)

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Discard a multipart upload and its parts."""

        def send(client: Any, oss: Any) -> None:
            client.abort_multipart_upload(
                oss.AbortMultipartUploadRequest(self.folder.bucket, self._name(key), upload_id=upload_id)
            )

        self._unless(_GONE, lambda: self._call("AbortMultipartUpload", send), None)

    def uploads(self, folder: str) -> list[tuple[str, str]]:
        """List the multipart uploads of a folder's objects that are not complete: their keys and IDs."""

        def send(client: Any, oss: Any) -> list[tuple[str, str]]:
            request = oss.ListMultipartUploadsRequest(self.folder.bucket, prefix=self._name(folder), max_uploads=1000)
            answer = client.list_multipart_uploads(request)
            return [(str(each.key), str(each.upload_id)) for each in answer.uploads or ()]

        found = self._call("ListMultipartUploads", send)
        return [(key.removeprefix(self.folder.prefix), upload_id) for key, upload_id in found]

    def list(self) -> None:
        """List one object of the folder, to see whether that is allowed."""

        def send(client: Any, oss: Any) -> None:
            client.list_objects_v2(oss.ListObjectsV2Request(self.folder.bucket, prefix=self.folder.prefix, max_keys=1))

        self._call("ListObjectsV2", send)

    def _name(self, key: str) -> str:
        return self.folder.prefix + key

    def _unless(self, codes: tuple[str, ...], call: Callable[[], T], otherwise: T) -> T:
        """Return the call's result, or `otherwise` if OSS answers with one of these codes."""
        try:
            return call()
        except ApiError as error:
            if error.problem.code in codes:
                return otherwise
            raise

    def _call(self, operation: str, send: Callable[[Any, Any], T]) -> T:
        if self._deadline.remaining() < sdk.MIN_TIME:
            raise ApiError(out_of_time())
        adapters.forget()
        action = _ACTIONS.get(operation, "oss:PutObject")
        # As a policy names it: one for a single object would not help with the next backup.
        resource = (
            self.folder.bucket if action.startswith("oss:List") else f"{self.folder.bucket}/{self.folder.prefix}*"
        )
        try:
            client, oss = self._client()
            return send(client, oss)
        except ApiError:
            raise
        except Exception as error:  # noqa: BLE001 - the SDK lets errors of its libraries out, too
            resource = f"acs:oss:*:{self._context.account_id}:{resource}"
            raise _translate(error, operation, action, resource, self._context.credentials.secrets) from None

    def _client(self) -> tuple[Any, Any]:
        """Return the SDK's client and the SDK."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> tuple[Any, Any]:
        sdk.silence()
        oss = lazy_sdk.load("alibabacloud_oss_v2")
        transport = lazy_sdk.load("alibabacloud_oss_v2.transport")
        credentials = self._context.credentials
        keys = (credentials.access_key_id, credentials.access_key_secret, credentials.security_token or None)
        return (
            oss.Client(
                oss.Config(
                    region=self.region,
                    endpoint=self.endpoint,
                    credentials_provider=oss.credentials.StaticCredentialsProvider(*keys),
                    retry_max_attempts=1,
                    disable_upload_crc64_check=True,
                    disable_download_crc64_check=True,
                    http_client=transport.RequestsHttpClient(
                        session=sdk.http_session(self._settings.concurrency + 8),
                        connect_timeout=sdk.CONNECT_TIMEOUT,
                        readwrite_timeout=2 * sdk.READ_TIMEOUT,
                    ),
                )
            ),
            oss,
        )

    @property
    def endpoint(self) -> str:
        """Return the host or URL of OSS: the internal one if the store is in the function's own region.

        https://www.alibabacloud.com/help/en/oss/user-guide/regions-and-endpoints
        """
        internal = "-internal" if self.region == self._context.region else ""
        endpoint = self._settings.oss_endpoint or f"oss-{{region}}{internal}.aliyuncs.com"
        return endpoint.format(region=self.region, account=self._context.account_id)


def _translate(error: Exception, operation: str, action: str, resource: str, secrets: tuple[str, ...]) -> ApiError:
    """Return the ApiError for an exception of the SDK."""
    inner = error.unwrap() if hasattr(error, "unwrap") else error  # of the SDK's OperationError
    if isinstance(inner, ApiError):  # of the download whose bytes were sent
        return inner
    status = int(getattr(inner, "status_code", 0) or 0)
    code = str(getattr(inner, "code", "") or "")
    if not status or not code or code == "BadErrorResponse":
        if status == 404 and operation == "HeadObject":  # a HEAD's answer has no body
            code = "NoSuchKey"
        else:
            problem = sdk_errors.no_answer(inner, f"oss:{operation}", status or adapters.last_status())
            hint = (
                "the store is asked again; if this happens often, check the function's network and BACKUP_OSS_ENDPOINT"
            )
            return ApiError(replace(problem, hint=hint), status=status)
    message = str(getattr(inner, "message", "") or "")
    if "specified endpoint" in message:
        hint = "the bucket is in another region: set BACKUP_STORE_REGION to it in the function's environment"
        return ApiError(
            Problem(code, "the bucket is in another region than the store's", ErrorKind.PERMANENT, hint=hint)
        )
    problem = problem_of(
        code, status, message, getattr(inner, "request_id", None), action=action, resource=resource, secrets=secrets
    )
    if code in _HINTS:
        problem = replace(problem, hint=_HINTS[code])
    return ApiError(problem, status=status)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _age(headers: Mapping[str, str]) -> float:
    """Return how many seconds ago an object was written, by OSS's clock; a long time if the answer does not say."""
    try:
        now, written = (parsedate_to_datetime(headers[name]) for name in ("Date", "Last-Modified"))
        return max(0.0, (now - written).total_seconds())
    except (KeyError, ValueError, TypeError):
        return float("inf")

"""OSS's official SDK, pointed at a simulated cloud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import alibabacloud_oss_v2 as oss
from alibabacloud_oss_v2.exceptions import OperationError, ServiceError

from simulator import Cloud
from simulator.credentials import Credential


class StreamedBody:
    """A body of known length that is made while it is sent, as the SDK takes it."""

    def __init__(self, chunks: Iterable[bytes], size: int) -> None:
        self._chunks, self._size = chunks, size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


class OssClient:
    """The SDK, with parameters by name: `client.put_object(key="a", body=b"")`, in the bucket `backups`."""

    def __init__(self, cloud: Cloud, credential: Credential | None = None, **overrides: Any) -> None:
        credential = credential or cloud.credentials.user
        keys = (credential.access_key_id, credential.access_key_secret, credential.security_token)
        values: dict[str, Any] = {
            "region": cloud.function.region,
            "endpoint": cloud.endpoint,
            "retry_max_attempts": 1,
            "disable_upload_crc64_check": True,
            "disable_download_crc64_check": True,
            "credentials_provider": oss.credentials.StaticCredentialsProvider(*keys),
        }
        self.sdk = oss.Client(oss.config.Config(**{**values, **overrides}))

    def __getattr__(self, operation: str) -> Any:
        name = "".join(part.capitalize() for part in operation.split("_"))

        def call(**parameters: Any) -> Any:
            request = getattr(oss, f"{name}Request")(**{"bucket": "backups", **parameters})
            return getattr(self.sdk, operation)(request)

        return call

    def error(self, operation: str, **parameters: Any) -> ServiceError | None:
        """The error that a call is refused with; None when it is not."""
        try:
            getattr(self, operation)(**parameters)
        except OperationError as error:
            refusal = error.unwrap()
            assert isinstance(refusal, ServiceError), refusal
            return refusal
        return None

    def code(self, operation: str, **parameters: Any) -> tuple[int, str] | None:
        """The status and code that a call is refused with; None when it is not."""
        error = self.error(operation, **parameters)
        return (error.status_code, error.code) if error else None

    def read(self, key: str, **parameters: Any) -> bytes:
        """An object's bytes."""
        with self.get_object(key=key, **parameters).body as body:
            return b"".join(body.iter_bytes())

    def upload(self, key: str, parts: Iterable[bytes], **parameters: Any) -> Any:
        """Upload an object in parts; the answer to its completion."""
        upload_id = self.initiate_multipart_upload(key=key, **parameters).upload_id
        tags = [self.part(key, upload_id, number, data) for number, data in enumerate(parts, 1)]
        return self.complete(key, upload_id, tags, **parameters)

    def part(self, key: str, upload_id: str, number: int, data: bytes) -> str:
        """Upload a part; its ETag."""
        body = StreamedBody([data[:1000], data[1000:]], len(data))
        tag: str = self.upload_part(key=key, upload_id=upload_id, part_number=number, body=body).etag
        return tag

    def complete(self, key: str, upload_id: str, tags: Iterable[str], **parameters: Any) -> Any:
        """Complete an upload of these parts, from number 1."""
        return self.complete_multipart_upload(
            key=key, upload_id=upload_id, complete_multipart_upload=parts_of(tags), **parameters
        )


def parts_of(tags: Iterable[str], numbers: Iterable[int] | None = None) -> oss.CompleteMultipartUpload:
    """What a CompleteMultipartUpload lists."""
    tags = list(tags)
    numbered = zip(numbers or range(1, len(tags) + 1), tags, strict=True)
    return oss.CompleteMultipartUpload(parts=[oss.UploadPart(part_number=n, etag=tag) for n, tag in numbered])

"""What Function Compute calls. The way of an event is in `redis_backup.handle`."""

from __future__ import annotations

from typing import Any

from redis_backup.alibaba import lazy_sdk
from redis_backup.handle import handle
from redis_backup.runtime import Runtime


def initialize(context: Any) -> None:  # noqa: ARG001 - FC's signature
    """Load the SDK before the first event comes. Settings are read, and wrong ones reported, at each invocation."""
    lazy_sdk.load("alibabacloud_r_kvstore20150101.client")


def handler(event: bytes, context: Any, runtime: Runtime | None = None) -> Any:
    """Ensure a backup of every instance that the event names; see README.md for events and answers."""
    return handle(event, context, runtime or Runtime.from_process())

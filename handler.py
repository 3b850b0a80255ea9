"""The entry points that Function Compute calls. `redis_backup.handle` shows what happens to an event."""

from __future__ import annotations

from typing import Any

from redis_backup.alibaba import lazy_sdk
from redis_backup.handle import handle
from redis_backup.runtime import Runtime


def initialize(context: Any) -> None:  # noqa: ARG001 - FC's signature
    """Load the SDK before the first event comes. Settings are read and checked at each invocation, not here."""
    lazy_sdk.load("alibabacloud_r_kvstore20150101.client")


def handler(event: bytes, context: Any, runtime: Runtime | None = None) -> Any:
    """Ensure that every instance that the event names has a backup; docs/reference.md has all events and answers."""
    return handle(event, context, runtime or Runtime.from_process())

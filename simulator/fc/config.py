"""The function's deployment settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FunctionConfig:
    """A function's settings. All durations are in seconds of the clock.

    `generation`: 2 (functions are in services) or 3 (no services). `timeout` may be a string, as in some runtimes.
    `qualifier`: the alias or version by which every event invokes it.
    """

    name: str = "redis-backup"
    generation: int = 3
    service: str = "backup-service"  # generation 2 only
    qualifier: str = "LATEST"
    region: str = "cn-hangzhou"
    account: str = "1234567890123456"
    handler: str = "handler.handler"
    memory: int = 512  # MB
    timeout: float | str = 300
    environment: Mapping[str, str] = field(default_factory=dict)
    context_credentials: bool = True  # False: without credentials and service, as in python3.12
    async_task: bool = True  # asyncInvokeConfig.asyncTask: a task ID is refused when it was used before
    duplicate_status: int = 409  # HTTP status of that refusal; one page of the documentation says 400
    max_async_retry_attempts: int = 3
    async_retry_delays: tuple[float, ...] = (
        10.0,
        60.0,
        300.0,
    )  # of each retry in turn; the last one is for all later retries
    max_async_event_age: float = 86_400.0

    @property
    def resource(self) -> str:
        """Return the function's name in RAM policies; by alias or version, it names that too."""
        qualifier = "" if self.qualifier == "LATEST" else self.qualifier
        if self.generation == 2:
            name = f"services/{self.service}{'.' if qualifier else ''}{qualifier}/functions/{self.name}"
        else:
            name = f"functions/{self.name}{'/' if qualifier else ''}{qualifier}"
        return f"acs:fc:{self.region}:{self.account}:{name}"

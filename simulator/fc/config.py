"""How the function is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FunctionConfig:
    """A function's settings. All durations are in seconds of the clock.

    `generation` 3 has functions alone, 2 has them in services. `timeout` may be text, as some runtimes give it.
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
    context_credentials: bool = True  # False: as in python3.12, the context has neither credentials nor service
    async_task: bool = True  # asyncInvokeConfig.asyncTask: task IDs are refused when they repeat
    duplicate_status: int = 409  # how a task ID that was taken before is refused; one page of the documents says 400
    max_async_retry_attempts: int = 3
    async_retry_delays: tuple[float, ...] = (10.0, 60.0, 300.0)  # the last for all that follow
    max_async_event_age: float = 86_400.0

    @property
    def resource(self) -> str:
        """The function's name in RAM policies."""
        inside = f"services/{self.service}/" if self.generation == 2 else ""
        return f"acs:fc:{self.region}:{self.account}:{inside}functions/{self.name}"

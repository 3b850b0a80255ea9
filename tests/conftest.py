"""What all tests share: the simulated cloud, and how long Hypothesis looks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from simulator import Cloud, Fleet, Instance, SimulatedClock

settings.register_profile("dev", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), max_examples=150, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs send even calls of 127.0.0.1 through one."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make_cloud() -> Iterator[Callable[..., Cloud]]:
    """Make clouds: `make_cloud(Instance("r-1"), …, behaviour=…)`. One worker and a clock that nobody waits for."""
    with ExitStack() as stack:

        def make(*instances: Instance, settings: dict[str, str] | None = None, **options: Any) -> Cloud:
            options.setdefault("clock", SimulatedClock(grace=0))
            options["settings"] = {"BACKUP_CONCURRENCY": "1", **(settings or {})}
            return stack.enter_context(Cloud(Fleet(instances or [Instance("r-1")]), **options))

        yield make

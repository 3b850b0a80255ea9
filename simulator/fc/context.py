"""Make what the runtime gives to a function: its context and its environment variables."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.credentials import Credential
    from simulator.fc.config import FunctionConfig


class Context(SimpleNamespace):
    """The handler's second argument. As in the real runtime, its `repr` and its JSON have the credentials in them."""

    def to_json(self) -> str:
        """Return the context as JSON."""
        return json.dumps(self, default=vars)


def request_id(now: float, rng: random.Random) -> str:
    """Return a new invocation's ID: `1-<time in hex epoch seconds>-<24 hex digits>`."""
    return f"1-{int(now):08x}-{rng.getrandbits(96):024x}"


def context(config: FunctionConfig, request_id: str, credential: Credential, retry_count: int) -> Context:
    """Return one invocation's context, as the runtime of the function's generation makes it."""
    generation_2 = config.generation == 2
    values = {
        "request_id": request_id,
        "function": SimpleNamespace(
            name=config.name, handler=config.handler, memory=config.memory, timeout=config.timeout
        ),
        "region": config.region,
        "account_id": config.account,
        "retry_count": retry_count,
        "tracing": SimpleNamespace(span_context=None, jaeger_endpoint=None, span_baggages={}),
    }
    if config.context_credentials:
        values["credentials"] = SimpleNamespace(
            access_key_id=credential.access_key_id,
            access_key_secret=credential.access_key_secret,
            security_token=credential.security_token,
        )
        values["service"] = SimpleNamespace(
            name=config.service if generation_2 else "",
            qualifier=config.qualifier,
            version_id="",
            log_project="simulated-project",
            log_store="simulated-logstore",
        )
    return Context(**values)


def environment(config: FunctionConfig, instance_id: str, credential: Credential) -> dict[str, str]:
    """Return the environment variables of the platform and of the function's configuration."""
    variables = {
        **config.environment,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": credential.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": credential.access_key_secret,
        "ALIBABA_CLOUD_SECURITY_TOKEN": credential.security_token or "",
        "FC_REGION": config.region,
        "FC_ACCOUNT_ID": config.account,
        "FC_FUNCTION_NAME": config.name,
        "FC_FUNCTION_HANDLER": config.handler,
        "FC_FUNCTION_MEMORY_SIZE": str(config.memory),
        "FC_FUNCTION_VERSION": config.qualifier,
        "FC_FUNC_CODE_PATH": "/code",
        "FC_INSTANCE_ID": instance_id,
    }
    if config.generation == 2:
        variables |= {"FC_SERVICE_NAME": config.service, "FC_QUALIFIER": config.qualifier}
    return variables

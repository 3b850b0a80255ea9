from datetime import datetime, timezone
from types import SimpleNamespace

import pytest

from redis_backup.context import Context, request_time
from redis_backup.credentials import Credentials
from redis_backup.errors import InvalidSetting
from simulator import Cloud, FunctionConfig, SimulatedClock

NOW = datetime(2026, 11, 24, 2, 0, 5, tzinfo=timezone.utc)
KEYS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "env-id",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "env-secret",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "env-token",
}


def test_the_contexts_credentials_come_before_those_of_the_environment() -> None:
    keys = SimpleNamespace(access_key_id="id", access_key_secret="secret", security_token="token")
    context = SimpleNamespace(
        request_id="1-6b04efa0-00",
        credentials=keys,
        function=SimpleNamespace(name="f", timeout="120", memory="512"),
        service=SimpleNamespace(name="s", qualifier="v1"),
        region="cn-hangzhou",
        account_id=123,
    )
    read = Context.from_runtime(context, KEYS, SimulatedClock(1000.0))
    assert read == Context(
        "1-6b04efa0-00", "cn-hangzhou", "123", "f", "s", "v1", Credentials("id", "secret", "token"), 1000.0, 120.0, 512
    )
    assert "secret" not in repr(read)
    assert (read.stop_work_at, read.stop_sending_at) == (1105.0, 1117.0)


def test_what_a_bare_context_lacks_comes_from_the_environment() -> None:
    environ = {
        **KEYS,
        "FC_REGION": "cn-beijing",
        "FC_ACCOUNT_ID": "1",
        "FC_FUNCTION_NAME": "f",
        "FC_QUALIFIER": "LATEST",
    }
    read = Context.from_runtime(None, environ, SimulatedClock(0.0))
    assert read == Context(
        "unknown", "cn-beijing", "1", "f", "", "", Credentials("env-id", "env-secret", "env-token"), 0.0, 60.0
    )


@pytest.mark.parametrize(
    ("service", "environ", "qualifier"),
    [
        ({"qualifier": "prod"}, {"FC_FUNCTION_VERSION": "3"}, "prod"),
        ({"qualifier": "LATEST"}, {"FC_VER_ID": "0"}, ""),
        ({"qualifier": "", "version_id": "3"}, {}, "3"),
        (None, {"FC_QUALIFIER": "prod"}, "prod"),
        (None, {"FC_FUNCTION_VERSION": "3"}, "3"),
        (None, {"FC_FUNCTION_VERSION": "LATEST"}, ""),
        (None, {"FC_VER_ID": "3"}, "3"),
        (None, {"FC_VER_ID": "0"}, ""),
        (None, {}, ""),
    ],
)
def test_the_alias_is_known_from_the_context_or_the_version_from_the_environment(
    service: dict[str, str] | None, environ: dict[str, str], qualifier: str
) -> None:
    context = SimpleNamespace(service=SimpleNamespace(**service)) if service else None
    assert Context.from_runtime(context, {**KEYS, **environ}, SimulatedClock()).qualifier == qualifier


def test_no_credentials_at_all_is_said() -> None:
    with pytest.raises(InvalidSetting, match="no credentials: give it a RAM role"):
        Context.from_runtime(SimpleNamespace(credentials=None), {}, SimulatedClock()).require_credentials()


@pytest.mark.parametrize(
    ("request_id", "moment"),
    [
        ("1-6b04efa0-127fbe39cd7681596e33ebad", datetime(2026, 11, 24, 2, 0, 0, tzinfo=timezone.utc)),
        ("1-64f7449a-127fbe39cd7681596e33ebad", None),  # three years ago
        ("1-7b04efa0-127fbe39cd7681596e33ebad", None),  # in the future
        ("2FF6158E-3394-4A90-B634-79C49184", None),
        ("", None),
    ],
)
def test_a_request_ids_time_is_taken_where_it_can_be_true(request_id: str, moment: datetime | None) -> None:
    assert request_time(request_id, NOW) == moment


@pytest.mark.parametrize("generation", [2, 3])
@pytest.mark.parametrize("context_credentials", [True, False])
def test_the_function_runs_on_both_generations_and_without_credentials_in_the_context(
    make_cloud, generation: int, context_credentials: bool
) -> None:
    function = FunctionConfig(generation=generation, context_credentials=context_credentials)
    cloud: Cloud = make_cloud(function=function)
    assert cloud.invoke({"instance_ids": "r-1"}).result["counts"] == {"running": 1}

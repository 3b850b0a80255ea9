from dataclasses import fields

import pytest

from redis_backup.endpoints import Folder
from redis_backup.errors import InvalidSetting
from redis_backup.settings import Settings
from simulator import Cloud, Instance


def test_nothing_set_is_the_defaults() -> None:
    assert Settings.from_environ({}) == Settings()


def test_every_variable_is_read_and_an_empty_one_is_unset() -> None:
    environ = {
        "BACKUP_CONCURRENCY": "4",
        "BACKUP_RETENTION_DAYS": "-1",
        "BACKUP_MAX_ATTEMPTS": "3",
        "BACKUP_FOLLOW_SECONDS": "0",
        "BACKUP_FOLLOW_HOURS": "0.5",
        "BACKUP_ALLOW": "cn-hangzhou/r-bp1*, */r-2",
        "BACKUP_MAX_INSTANCES": "",
        "BACKUP_SHARD_SIZE": " 50 ",
        "BACKUP_ENDPOINT": "r-kvstore-vpc.{region}.aliyuncs.com",
        "BACKUP_FC_ENDPOINT": "http://127.0.0.1:8421/",
        "BACKUP_VERIFY": "full",
        "BACKUP_COPY": "True",
        "BACKUP_STORE": "oss://backups/redis/daily/",
        "BACKUP_STORE_REGION": "cn-beijing",
        "BACKUP_OSS_ENDPOINT": "oss-{region}.aliyuncs.com",
        "BACKUP_DOWNLOAD": "internet",
    }
    assert set(environ) == {f"BACKUP_{each.name.upper()}" for each in fields(Settings)} - {"BACKUP_UNKNOWN"}
    assert Settings.from_environ(environ) == Settings(
        concurrency=4,
        retention_days=-1,
        max_attempts=3,
        follow_seconds=0,
        follow_hours=0.5,
        allow=("cn-hangzhou/r-bp1*", "*/r-2"),
        shard_size=50,
        endpoint="r-kvstore-vpc.{region}.aliyuncs.com",
        fc_endpoint="http://127.0.0.1:8421",
        verify="full",
        copy=True,
        store=Folder("backups", "redis/daily/"),
        store_region="cn-beijing",
        oss_endpoint="oss-{region}.aliyuncs.com",
        download="internet",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BACKUP_CONCURRENCY", "0"),
        ("BACKUP_CONCURRENCY", "many"),
        ("BACKUP_RETENTION_DAYS", "6"),
        ("BACKUP_MAX_ATTEMPTS", "0"),
        ("BACKUP_FOLLOW_SECONDS", "3601"),
        ("BACKUP_FOLLOW_HOURS", "nan"),
        ("BACKUP_FOLLOW_HOURS", "169"),
        ("BACKUP_ALLOW", ""),
        ("BACKUP_ALLOW", " , "),
        ("BACKUP_MAX_INSTANCES", "-1"),
        ("BACKUP_SHARD_SIZE", "1001"),
        ("BACKUP_ENDPOINT", "ftp://host"),
        ("BACKUP_ENDPOINT", "https://host?query"),
        ("BACKUP_ENDPOINT", "https://user:password@host"),
        ("BACKUP_ENDPOINT", "host:port"),
        ("BACKUP_FC_ENDPOINT", "{zone}.fc.aliyuncs.com"),
        ("BACKUP_FC_ENDPOINT", "{}.fc.aliyuncs.com"),
        ("BACKUP_VERIFY", "fast"),
        ("BACKUP_COPY", "yes"),
        ("BACKUP_STORE", "backups/redis"),
        ("BACKUP_STORE", "oss://Backups"),
        ("BACKUP_STORE", "oss://backups/../redis"),
        ("BACKUP_STORE", "oss://backups//redis"),
        ("BACKUP_STORE", "oss://backups/redis?x"),
        ("BACKUP_STORE_REGION", "hangzhou"),
        ("BACKUP_OSS_ENDPOINT", "ftp://host"),
        ("BACKUP_DOWNLOAD", "vpc"),
    ],
)
def test_a_bad_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^{name} is .* but must be .*nothing was started"):
        Settings.from_environ({name: value})


@pytest.mark.parametrize("name", ["BACKUP_ENDPOINT", "BACKUP_FC_ENDPOINT"])
@pytest.mark.parametrize(
    "value",
    [
        "https://user:SECRETKEY@host",
        "https://SECRETKEY@host",
        "user:SECRETKEY@host:8443",
        "ftp://user:SECRETKEY@host",
        "https://host@SECRETKEY:port",
        f"https://{'long-' * 20}:SECRETKEY@host",
    ],
)
def test_a_password_in_an_endpoint_is_refused_and_not_shown(make_cloud, name: str, value: str) -> None:
    cloud: Cloud = make_cloud(settings={name: value})
    invocation = cloud.invoke({"instance_ids": "r-1"})
    assert invocation.error
    assert invocation.error["errorMessage"].startswith(f"{name} is *** but must be a host or URL")
    assert "SECRETKEY" not in invocation.everything()


def test_a_number_too_long_to_be_read_is_refused_like_any_other() -> None:
    with pytest.raises(InvalidSetting, match=r"BACKUP_MAX_ATTEMPTS is '9{60}' but must be 1 to 10"):
        Settings.from_environ({"BACKUP_MAX_ATTEMPTS": "9" * 5000})


def test_shards_start_their_backups_though_nothing_is_followed_for_long(make_cloud) -> None:
    """`BACKUP_FOLLOW_HOURS=0` gives up at the first follow-up; a shard is the event's beginning."""
    cloud: Cloud = make_cloud(
        *(Instance(f"r-{number}", duration=600) for number in range(4)),
        settings={"BACKUP_FOLLOW_HOURS": "0", "BACKUP_SHARD_SIZE": "2"},
    )
    report = cloud.invoke({"instance_ids": [f"r-{number}" for number in range(4)]}).result
    assert [shard["sent"] for shard in report["shards"]] == ["new", "new"]
    cloud.platform.drain()
    assert [len(cloud.kvstore.instance(f"r-{number}").backups) for number in range(4)] == [1, 1, 1, 1]
    last = {each["instance_id"]: each for each in cloud.logs.records if "instance_id" in each and "event" in each}
    assert {each.get("error_code") for each in last.values()} == {"FollowUpExpired"}


def test_all_bad_values_are_named_at_once_at_the_first_invocation(make_cloud) -> None:
    cloud: Cloud = make_cloud(settings={"BACKUP_CONCURRENCY": "x", "BACKUP_MAX_ATTEMPTS": "y"})
    error = cloud.invoke({"instance_ids": "r-1"}).error
    assert error is not None
    assert (error["errorType"], error["errorMessage"]) == (
        "InvalidSetting",
        (
            "BACKUP_CONCURRENCY is 'x' but must be 1 to 256; BACKUP_MAX_ATTEMPTS is 'y' but must be 1 to 10. "
            "Correct the function's environment; nothing was started"
        ),
    )
    assert cloud.calls == []


def test_a_misspelt_variable_is_warned_of(make_cloud) -> None:
    cloud: Cloud = make_cloud(settings={"BACKUP_FOLOW_SECONDS": "0"})
    first = cloud.invoke({"instance_ids": "r-1"}).records[0]
    assert (first["event"], first["error_message"]) == (
        "warning",
        "BACKUP_FOLOW_SECONDS is not a setting of this function and was ignored; check its spelling",
    )


@pytest.mark.parametrize(
    ("allow", "state"),
    [("*", "running"), ("cn-hangzhou/r-*", "running"), ("cn-beijing/*", "failed"), ("*/r-2,*/r-1", "running")],
)
def test_what_backup_allow_does_not_name_is_refused_without_a_call(make_cloud, allow: str, state: str) -> None:
    cloud: Cloud = make_cloud(settings={"BACKUP_ALLOW": allow})
    instance = cloud.invoke({"instance_ids": "r-1"}).result["instances"][0]
    assert instance["state"] == state
    if state == "failed":
        assert instance["error"]["kind"] == "refused"
        assert cloud.calls == []

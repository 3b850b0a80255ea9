"""The check's lines on the store, and on the way to the files of backups."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Cloud, Instance, ram
from simulator.downloads.files import File
from simulator.fc.state import Invocation
from simulator.kvstore.behaviour import Behaviour
from tests.proof.cases import STORE, ensure

ALL = ["kvstore:*", "fc:*", "oss:*"]


def lines(invocation: Invocation) -> dict[str, tuple[bool | None, str]]:
    """What the check says of the store and of downloads."""
    checks = invocation.result["checks"]
    assert all(each["hint"] for each in checks if not each["ok"])
    return {
        each["name"]: (each["ok"], each["detail"]) for each in checks if each["name"].startswith(("store", "download"))
    }


def check(cloud: Cloud, **fields: Any) -> dict[str, tuple[bool | None, str]]:
    return lines(cloud.invoke({"check": True, **fields}))


def test_there_is_no_line_without_a_store_and_without_proof(make_cloud) -> None:
    assert check(make_cloud()) == {}


def test_a_store_that_can_be_used(make_cloud) -> None:
    cloud = make_cloud(settings=STORE)
    assert check(cloud)["store"][0] is True
    assert list(cloud.store.objects) == ["redis/check.json"]
    assert cloud.store.uploads == {}
    assert check(cloud)["store"][0] is True  # it is written again


@pytest.mark.parametrize("kind", ["versioned", "worm"])
def test_stores_that_keep_what_they_have(make_cloud, kind: str) -> None:
    cloud = make_cloud(settings={"BACKUP_STORE": "oss://kept"})
    cloud.oss._buckets.pop("kept")
    cloud.oss.bucket("kept", versioned=kind == "versioned", worm=kind == "worm")
    assert [check(cloud)["store"][0] for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    "action",
    ["oss:PutObject", "oss:GetObject", "oss:ListObjects", "oss:ListMultipartUploads", "oss:AbortMultipartUpload"],
)
def test_each_permission_that_is_missing_is_named(make_cloud, action: str) -> None:
    policy = ram.allow(ALL, ["*"])
    policy["Statement"].append({"Effect": "Deny", "Action": [action], "Resource": ["*"]})
    found = check(make_cloud(settings=STORE, policy=policy))
    failed = {name: text for name, (ok, text) in found.items() if ok is False}
    assert action in " ".join(failed.values())
    assert "store" not in failed
    assert set(failed) <= {
        f"store {action}",
        *(["store oss:AbortMultipartUpload"] if action == "oss:PutObject" else []),
    }


def test_a_bucket_that_is_not_there_and_a_store_that_does_not_answer(make_cloud) -> None:
    cloud = make_cloud(settings=STORE)
    cloud.oss._buckets.pop("backups")
    assert {ok for ok, _ in check(cloud).values()} == {False}
    away = make_cloud(settings={**STORE, "BACKUP_OSS_ENDPOINT": "http://127.0.0.1:9"})
    [(name, (ok, text))] = check(away).items()
    assert (name, ok) == ("store", False)
    assert "http://127.0.0.1:9" in text


@pytest.mark.parametrize("settings", [{"BACKUP_VERIFY": "full"}, {"BACKUP_COPY": "true"}])
def test_a_default_that_needs_a_store(make_cloud, settings: dict[str, str]) -> None:
    cloud = make_cloud(settings=settings)
    ok, text = check(cloud)["store"]
    assert (ok, "BACKUP_STORE" in text) == (False, True)
    assert check(cloud, verify="none", copy=False)["store"][0] is False  # it is the default of events
    assert check(make_cloud(), verify="full")["store"][0] is False


@pytest.mark.parametrize("way", ["intranet", "internet"])
@pytest.mark.parametrize("kind", ["standard", "classic-cluster", "cloud-native"])
def test_a_byte_is_read_by_the_way_that_is_used(make_cloud, way: str, kind: str) -> None:
    cloud = make_cloud(
        Instance("r-1", kind=kind, shards=1 if kind == "standard" else 2), settings={"BACKUP_DOWNLOAD": way}
    )
    ensure(cloud)
    before = len(cloud.calls)
    ok, text = check(cloud, instance_ids="r-1", verify="quick")["download"]
    assert (ok, f"over the {way}" in text) == (True, True)
    assert [call.bytes_sent for call in cloud.calls[before:] if call.operation == "Download"] == [1]


@pytest.mark.parametrize("way", ["intranet", "internet"])
@pytest.mark.parametrize("how", ["refused", "timeout"])
def test_a_way_that_is_closed(make_cloud, way: str, how: str) -> None:
    cloud = make_cloud(Instance("r-1"), settings={"BACKUP_DOWNLOAD": way}, behaviour=Behaviour(unreachable={way: how}))
    ensure(cloud)
    invocation = cloud.invoke({"check": True, "instance_ids": "r-1", "verify": "quick"})
    assert lines(invocation)["download"][0] is False
    hint = next(each["hint"] for each in invocation.result["checks"] if each["name"] == "download")
    assert "BACKUP_DOWNLOAD" in hint


def test_what_cannot_be_tried_is_a_warning(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings={"BACKUP_VERIFY": "quick"})
    assert check(cloud)["download"][0] is None  # no instance is named
    assert check(cloud, instance_ids="r-1")["download"][0] is None  # it has no backup
    files = make_cloud(Instance("r-1", files=(File(listed=False),)), settings={"BACKUP_VERIFY": "quick"})
    ensure(files, verify="none")
    assert check(files, instance_ids="r-1")["download"][0] is False

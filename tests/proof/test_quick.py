"""`verify: quick`: each file's first and last bytes are read within the look."""

from __future__ import annotations

from typing import Any

import pytest

from redis_backup.settings import Settings
from simulator import Instance
from simulator.downloads.files import File
from simulator.faults import Fault, Faults
from simulator.kvstore.behaviour import Behaviour
from tests.proof.cases import downloads, ensure, event, first, last, states


def test_two_ranges_of_each_file_are_read_and_nothing_else_happens(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", kind="classic-cluster", shards=2))
    records = ensure(cloud, verify="quick")
    assert states(records) == ["started", "succeeded"]
    assert (last(records, "backup_succeeded")["verified"], last(records, "backup_succeeded")["bytes_read"]) == (
        "quick",
        36,
    )
    ranges = [(call.instance, call.range) for call in cloud.calls if call.operation == "Download"]
    assert [each for each, _ in ranges] == ["r-1"] * 4
    assert [text for _, text in ranges][0::2] == ["bytes=0-8"] * 2
    assert len(cloud.platform.invocations) == 2  # the event, and the look at its end
    assert not any(call.operation in ("GetObject", "PutObject") for call in cloud.calls)


@pytest.mark.parametrize(
    ("kind", "files"), [("standard", 1), ("classic-cluster", 3), ("cluster", 1), ("cloud-native", 3)]
)
def test_every_architecture_s_files_are_found(make_cloud, kind: str, files: int) -> None:
    cloud = make_cloud(Instance("r-1", kind=kind, shards=1 if kind == "standard" else 3))
    assert last(ensure(cloud, verify="quick"), "backup_succeeded")["bytes_read"] == 18 * files


def test_a_file_that_is_cut_short_is_a_failed_attempt(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", files=(File(cut=5), File())))
    records = ensure(cloud, verify="quick")
    assert states(records) == ["started", "warning", "pending", "started", "succeeded"]
    warning = first(records, "warning")
    assert warning["error_code"] == "BackupCorrupt"
    assert warning["error_message"].startswith(
        "earlier backups of this request failed: job 10000, node r-1-db-0, file hins"
    )
    assert (last(records, "backup_succeeded")["job_ids"], last(records, "backup_succeeded")["attempts"]) == ("10001", 2)


def test_when_all_attempts_are_corrupt_the_instance_has_failed(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", files=(File(cut=5), File(content=b"REDIS"))))
    records = ensure(cloud, verify="quick")
    failed = last(records, "backup_failed")
    assert (failed["error_code"], failed["attempts"], failed["job_ids"]) == ("BackupCorrupt", 2, "10000,10001")
    for text in ("job 10000, node r-1-db-0", "do not begin with ff", "job 10001", "it is cut short: it has 5 bytes"):
        assert text in failed["error_message"]
    assert "BackupFailed" in [each.error["errorType"] for each in cloud.platform.invocations if each.error]


@pytest.mark.parametrize(
    ("file", "verified"),
    [
        (File(), "quick"),
        (File(checksum=False), "quick"),
        (File(version=4), "quick"),
        (File(empty=True), "quick"),
        (File(flip=500), "quick"),  # only reading it shows that
        (File(encrypted=True), "unknown-format"),
    ],
)
def test_what_is_said_of_each_kind_of_file(make_cloud, file: File, verified: str) -> None:
    cloud = make_cloud(Instance("r-1", files=(file,)))
    records = ensure(cloud, verify="quick")
    assert last(records, "backup_succeeded")["verified"] == verified
    warnings = [each["error_code"] for each in records if each["event"] == "warning"]
    assert warnings == (["UnknownFormat"] if verified == "unknown-format" else [])


@pytest.mark.parametrize("kind", ["reset", "5xx", "cut", "whole", "denied", "hang", "redirect-302", "page502"])
def test_a_range_that_does_not_come_is_asked_for_again(make_cloud, kind: str) -> None:
    faults = Faults()
    faults.plan("Download", [Fault(kind)])
    cloud = make_cloud(Instance("r-1"), faults=faults)
    records = ensure(cloud, verify="quick")
    assert states(records) == ["started", "succeeded"]
    assert downloads(cloud) == 3
    listings = [call for call in cloud.calls if call.operation == "DescribeBackups"]
    assert len(listings) == (4 if kind == "denied" else 3)  # an address that is refused is asked for anew


def test_a_byte_that_changed_on_its_way_is_not_held_against_the_file(make_cloud) -> None:
    faults = Faults()
    faults.plan("Download", [None, Fault("flip")])
    cloud = make_cloud(Instance("r-1"), faults=faults)
    assert states(ensure(cloud, verify="quick")) == ["started", "succeeded"]


@pytest.mark.parametrize("how", ["refused", "timeout"])
def test_unreachable_is_not_corrupt(make_cloud, how: str) -> None:
    """It stays `verifying`, says what to do, and is given up at the end of the chain: the backup itself is complete."""
    cloud = make_cloud(
        Instance("r-1"), behaviour=Behaviour(unreachable={"intranet": how}), settings={"BACKUP_FOLLOW_HOURS": "0.1"}
    )
    records = ensure(cloud, verify="quick")
    assert states(records) == ["started", "verifying", "failed"]
    verifying, failed = last(records, "backup_verifying"), last(records, "backup_failed")
    assert (verifying["level"], verifying["error_code"]) == ("WARNING", "DownloadFailed")
    assert "vpcConfig" in verifying["hint"]
    assert "BACKUP_DOWNLOAD" in verifying["hint"]
    assert failed["error_code"] == "FollowUpExpired"
    assert "the backup itself is complete" in failed["error_message"]
    assert len(cloud.kvstore.instance("r-1").backups) == 1


def test_what_is_reached_again_is_verified(make_cloud) -> None:
    behaviour = Behaviour(unreachable={"intranet": "refused"})
    cloud = make_cloud(Instance("r-1"), behaviour=behaviour)
    cloud.invoke_async(event(verify="quick"))
    for _ in range(3):
        cloud.platform.run_due()
    behaviour.unreachable.clear()
    cloud.platform.drain(10)
    assert states(cloud.logs.records) == ["started", "verifying", "succeeded"]


def test_the_setting_chooses_the_way(make_cloud) -> None:
    cloud = make_cloud(
        Instance("r-1"),
        behaviour=Behaviour(unreachable={"intranet": "refused"}),
        settings={"BACKUP_DOWNLOAD": "internet"},
    )
    assert states(ensure(cloud, verify="quick")) == ["started", "succeeded"]


def test_another_region_s_intranet_is_not_reached_so_no_backup_is_started(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2", region="cn-beijing"))
    records = ensure(cloud, "r-1 cn-beijing/r-2", verify="quick")
    assert states(records, "r-1") == ["started", "succeeded"]
    failed = last(records, "backup_failed")
    assert (failed["instance_id"], failed["error_code"], failed["error_kind"]) == (
        "r-2",
        "DownloadNotReachable",
        "refused",
    )
    assert "BACKUP_DOWNLOAD" in failed["hint"]
    assert cloud.kvstore.instance("r-2").backups == []
    for fields in ({"settings": {"BACKUP_DOWNLOAD": "internet"}, "verify": "quick"}, {"verify": "none"}):
        other = make_cloud(Instance("r-2", region="cn-beijing"), settings=fields.pop("settings", {}))
        assert states(ensure(other, "cn-beijing/r-2", **fields), "r-2") == ["started", "succeeded"]


def test_no_address_no_proof(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", files=(File(listed=False),)), settings={"BACKUP_FOLLOW_HOURS": "0.05"})
    records = ensure(cloud, verify="quick")
    assert states(records) == ["started", "verifying", "failed"]
    assert "lists no intranet address" in last(records, "backup_verifying")["error_message"]


@pytest.mark.parametrize(
    ("environ", "fields", "verified"),
    [
        ({}, {}, None),
        ({"BACKUP_VERIFY": "quick"}, {}, "quick"),
        ({"BACKUP_VERIFY": "quick"}, {"verify": "none"}, None),
        ({}, {"VERIFY": "quick"}, "quick"),
    ],
)
def test_the_setting_is_the_default_of_the_field(
    make_cloud, environ: dict[str, str], fields: dict[str, Any], verified: str | None
) -> None:
    cloud = make_cloud(Instance("r-1"), settings=environ)
    assert last(ensure(cloud, **fields), "backup_succeeded").get("verified") == verified


@pytest.mark.parametrize("value", ["fast", True, 1, ["full"], "FULL "])
def test_other_levels_are_refused(make_cloud, value: Any) -> None:
    cloud = make_cloud(Instance("r-1"))
    invocation = cloud.invoke({"instance_ids": "r-1", "verify": value, "copy": "yes"})
    assert invocation.error["errorType"] == "InvalidRequest"
    assert "verify must be none, quick or full" in invocation.error["errorMessage"]
    assert "copy must be true or false" in invocation.error["errorMessage"]
    assert cloud.calls == []


def test_settings_defaults() -> None:
    settings = Settings()
    assert (settings.verify, settings.copy, settings.store, settings.download) == ("none", False, None, "intranet")

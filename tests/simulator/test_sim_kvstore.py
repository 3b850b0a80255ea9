"""R-KVStore, driven by its own SDK."""

import re

import pytest
from simulator_clients import KVStoreClient
from Tea.exceptions import TeaException

from simulator import Behaviour, Cloud, Fleet, Instance

WINDOW = {"start_time": "2026-11-24T01:00Z", "end_time": "2026-11-24T23:00Z"}


def cloud_of(*instances: Instance, **options) -> Cloud:
    return Cloud(Fleet(instances), **options)


def backup_sets(client: KVStoreClient, **parameters) -> list[dict]:
    return client.describe_backups(**{"instance_id": "r-1", **WINDOW, **parameters})["Backups"]["Backup"]


@pytest.mark.parametrize(
    ("instance", "answer"),
    [
        (Instance("r-1"), "10000"),
        (Instance("r-1", job_id_style="int"), 10000),
        (Instance("r-1", kind="classic-cluster", shards=2), "10000,10001"),
        (Instance("r-1", kind="classic-cluster", shards=2, job_id_style="quoted"), '"10000,10001"'),
        (Instance("r-1", kind="cluster", shards=4), "10000"),
        (Instance("r-1", kind="cloud-native", shards=4), "10000"),
    ],
)
def test_create_backup_answers_job_ids_as_the_kind_of_instance_does(instance, answer):
    with cloud_of(instance) as cloud:
        assert KVStoreClient(cloud).create_backup(instance_id="r-1")["BackupJobID"] == answer
        assert cloud.kvstore.instance("r-1").backups[0].job_ids == tuple(str(answer).strip('"').split(","))


def test_one_backup_at_a_time():
    with cloud_of(Instance("r-1", kind="classic-cluster", shards=2, duration=60, shard_lag=30)) as cloud:
        client = KVStoreClient(cloud)
        codes = []
        for _ in range(4):
            codes.append(client.code("create_backup", instance_id="r-1"))
            cloud.clock.advance(30.1)
        assert codes == [None, "BackupJobExists", "BackupJobExists", None]


def test_an_older_backup_from_outside_is_in_the_way_until_it_ends():
    with cloud_of(Instance("r-1")) as cloud:
        now = cloud.clock.time()
        cloud.kvstore.instance("r-1").add_backup(now - 100, now + 100)
        client = KVStoreClient(cloud)
        assert client.code("create_backup", instance_id="r-1") == "BackupJobExists"
        cloud.clock.advance(100)
        assert client.code("create_backup", instance_id="r-1") is None
        assert [each["BackupMode"] for each in backup_sets(client)] == ["Automated"]


@pytest.mark.parametrize("code", ["IncorrectDBInstanceState", "OperationDenied.DBInstanceStatus"])
def test_a_wrong_status_refuses_a_backup_until_it_is_over(code):
    instance = Instance("r-1", status="Creating", normal_after=100)
    with cloud_of(instance, behaviour=Behaviour(wrong_state_code=code)) as cloud:
        client = KVStoreClient(cloud)
        assert client.code("create_backup", instance_id="r-1") == code
        cloud.clock.advance(100)
        assert client.code("create_backup", instance_id="r-1") is None
        cloud.kvstore.instance("r-1").status = "Normal"


@pytest.mark.parametrize(
    ("days", "code"),
    [
        (7, None),
        (730, None),
        (-1, None),
        (6, "InvalidBackupRetentionPeriod.Malformed"),
        (731, "InvalidBackupRetentionPeriod.Malformed"),
        (0, "InvalidBackupRetentionPeriod.Malformed"),
    ],
)
def test_retention_is_checked_and_kept(days, code):
    with cloud_of(Instance("r-1")) as cloud:
        assert KVStoreClient(cloud).code("create_backup", instance_id="r-1", backup_retention_period=days) == code
        assert [each.retention_days for each in cloud.kvstore.instance("r-1").backups] == ([] if code else [days])


def test_the_31st_manual_backup_of_a_day_is_refused():
    with cloud_of(Instance("r-1", duration=1)) as cloud:
        client = KVStoreClient(cloud)
        codes = []
        for _ in range(31):
            codes.append(client.code("create_backup", instance_id="r-1"))
            cloud.clock.advance(2)
        assert codes == [None] * 30 + ["BackupTimesExceeded"]
        cloud.clock.advance(86_400)
        assert client.code("create_backup", instance_id="r-1") is None


def test_between_task_and_set_a_job_is_nowhere():
    behaviour = Behaviour(listing_lag=30, task_lag=5)
    with cloud_of(Instance("r-1", duration=60), behaviour=behaviour) as cloud:
        client = KVStoreClient(cloud)
        client.create_backup(instance_id="r-1")
        seen = []
        for wait in (0, 5, 54, 1, 29, 1):  # at 0, 5, 59, 60, 89 and 90 seconds
            cloud.clock.advance(wait)
            tasks = client.describe_backup_tasks(instance_id="r-1")["BackupJobs"]
            seen.append((len(tasks), len(backup_sets(client))))
        assert seen == [(0, 0), (1, 0), (1, 0), (0, 0), (0, 0), (0, 1)]


def test_a_task_tells_its_progress():
    with cloud_of(Instance("r-1", duration=100)) as cloud:
        client = KVStoreClient(cloud)
        client.create_backup(instance_id="r-1")
        cloud.clock.advance(50)
        assert client.describe_backup_tasks(instance_id="r-1", backup_job_id="10000")["BackupJobs"] == [
            {
                "BackupJobID": 10000,
                "BackupProgressStatus": "Uploading",
                "JobMode": "Manual",
                "NodeId": "r-1-db-0",
                "Process": "50",
                "Progress": "50",
                "StartTime": "2026-11-24T02:00:00Z",
                "TaskAction": "BackupIns",
            }
        ]
        assert client.describe_backup_tasks(instance_id="r-1", backup_job_id="10001")["BackupJobs"] == []
        assert client.describe_backup_tasks(instance_id="r-1", job_mode="Automated")["BackupJobs"] == []
        assert client.code("describe_backup_tasks", instance_id="r-1", backup_job_id="a,b") == (
            "InvalidBackupJobId.Malformed"
        )


@pytest.mark.parametrize(
    ("outcome", "statuses"),
    [("success", ["Success", "Success"]), ("failed", ["Failed", "Failed"]), ("shard-failed", ["Success", "Failed"])],
)
def test_each_shard_has_a_set_of_its_own(outcome, statuses):
    instance = Instance("r-1", kind="classic-cluster", shards=2, shard_lag=10, outcomes=(outcome, "success"))
    with cloud_of(instance) as cloud:
        client = KVStoreClient(cloud)
        client.create_backup(instance_id="r-1")
        cloud.clock.advance(60)
        assert len(backup_sets(client)) == 1
        cloud.clock.advance(10)
        sets = backup_sets(client)
        assert [each["BackupStatus"] for each in sets] == statuses
        assert [each["NodeInstanceId"] for each in sets] == ["r-1-db-0", "r-1-db-1"]
        assert ["Signature=" in each.get("BackupDownloadURL", "") for each in sets] == [
            s == "Success" for s in statuses
        ]
        assert [each["BackupJobID"] for each in backup_sets(client, backup_job_id="10001")] == [10001]


def test_times_are_whole_seconds_and_windows_whole_minutes():
    with cloud_of(Instance("r-1", duration=1)) as cloud:
        client = KVStoreClient(cloud)
        cloud.clock.advance(30.9)
        client.create_backup(instance_id="r-1")
        cloud.clock.advance(10)
        assert backup_sets(client)[0]["BackupStartTime"] == "2026-11-24T02:00:30Z"
        windows = [("02:00", "02:01"), ("01:00", "02:00"), ("02:01", "03:00")]
        found = [
            len(backup_sets(client, start_time=f"2026-11-24T{begin}Z", end_time=f"2026-11-24T{end}Z"))
            for begin, end in windows
        ]
        assert found == [1, 0, 0]


def test_sets_come_in_pages_latest_first():
    with cloud_of(Instance("r-1")) as cloud:
        state, now = cloud.kvstore.instance("r-1"), cloud.clock.time()
        for number in range(35):
            state.add_backup(now - 3000 + number * 60, now - 2990 + number * 60)
        client = KVStoreClient(cloud)
        pages = [backup_sets(client, page_number=number, page_size=30) for number in (1, 2, 3)]
        assert [len(page) for page in pages] == [30, 5, 0]
        assert pages[0][0]["BackupJobID"] == 10034
        assert client.describe_backups(instance_id="r-1", **WINDOW)["TotalCount"] == 35


def test_a_cloud_native_cluster_is_listed_elsewhere_and_without_job_ids():
    instance = Instance("r-1", kind="cloud-native", duration=60, outcomes=("success", "failed"))
    with cloud_of(instance) as cloud:
        client = KVStoreClient(cloud)
        lists = []
        for _ in range(2):
            client.create_backup(instance_id="r-1")
            for wait in (0, 60):
                cloud.clock.advance(wait)
                answer = client.describe_cluster_backup_list(region_id="cn-hangzhou", instance_id="r-1", **WINDOW)
                lists.append([each["ClusterBackupStatus"] for each in answer["ClusterBackups"]])
        assert lists == [["RUNNING"], ["OK"], ["RUNNING", "OK"], ["Failed", "OK"]]
        starts = [each["ClusterBackupStartTime"] for each in answer["ClusterBackups"]]
        assert starts == ["2026-11-24T02:01:00", "2026-11-24T02:00:00Z"]
        assert client.code("describe_backups", instance_id="r-1", **WINDOW) == "InstanceType.NotSupport"
        assert client.describe_backup_tasks(instance_id="r-1")["BackupJobs"] == []


def test_a_cloud_native_backup_has_a_file_for_each_shard():
    instance = Instance("r-1", kind="cloud-native", shards=2, duration=60, outcomes=("success", "failed"))
    with cloud_of(instance) as cloud:
        client = KVStoreClient(cloud)

        def listed(**parameters):
            asked = {"region_id": "cn-hangzhou", "instance_id": "r-1", **WINDOW, **parameters}
            return client.describe_cluster_backup_list(**asked)["ClusterBackups"]

        client.create_backup(instance_id="r-1")
        assert listed()[0]["Backups"] == []
        cloud.clock.advance(60)
        (backup,) = listed()
        first, second = backup["Backups"]
        name = first["BackupName"]
        assert re.fullmatch(r"hins\d+_data_20261124100000\.rdb", name)
        assert first == {
            "BackupId": 510_000_000,
            "BackupName": name,
            "InstanceName": name,
            "BackupStatus": "OK",
            "BackupStartTime": "2026-11-24T02:00:00Z",
            "BackupEndTime": "2026-11-24T02:01:00",
            "BackupSize": int(backup["ClusterBackupSize"]) - second["BackupSize"],
            "IsAvail": 1,
            "Engine": "redis",
            "ExtraInfo": {"CustinsDbVersion": "5.0"},
            "BackupDownloadURL": first["BackupDownloadURL"],
            "BackupIntranetDownloadURL": first["BackupIntranetDownloadURL"],
        }
        assert (second["BackupId"], second["BackupName"] != name) == (510_000_001, True)
        urls = [each[key] for each in (first, second) for key in ("BackupDownloadURL", "BackupIntranetDownloadURL")]
        assert (len(set(urls)), all("Signature=" in url for url in urls)) == (4, True)
        assert backup["ExpectExpireTime"] == "2026-12-01T02:01Z"
        for text, shards in (("True", 0), ("true", 0), ("False", 2)):
            assert len(listed(no_shard_backup=text)[0]["Backups"]) == shards
        assert client.code("describe_cluster_backup_list", instance_id="r-1", no_shard_backup="1", **WINDOW) == (
            "InvalidNoShardBackup.Malformed"
        )
        client.create_backup(instance_id="r-1")
        cloud.clock.advance(60)
        files = listed()[0]["Backups"]
        assert [(each["BackupStatus"], each["IsAvail"], "BackupDownloadURL" in each) for each in files] == [
            ("ERROR", 0, False)
        ] * 2


def test_a_backup_has_a_number_as_its_id():
    with cloud_of(Instance("r-1")) as cloud:
        client = KVStoreClient(cloud)
        client.create_backup(instance_id="r-1")
        cloud.clock.advance(60)
        assert backup_sets(client)[0]["BackupId"] == 510_000_000


@pytest.mark.parametrize("kind", ["standard", "cloud-native"])
@pytest.mark.parametrize(
    ("begin", "end", "code"),
    [
        ("02:00", "02:01", None),
        ("02:00", "02:00", "InvalidEndTime.Malformed"),
        ("02:01", "02:00", "InvalidEndTime.Malformed"),
    ],
)
def test_a_window_ends_after_its_start(kind, begin, end, code):
    operation = "describe_backups" if kind == "standard" else "describe_cluster_backup_list"
    window = {"start_time": f"2026-11-24T{begin}Z", "end_time": f"2026-11-24T{end}Z"}
    with cloud_of(Instance("r-1", kind=kind)) as cloud:
        assert KVStoreClient(cloud).code(operation, instance_id="r-1", **window) == code


FLEET = (
    Instance("r-1", tags={"env": "p", "team": "a"}),
    Instance("r-2", tags={"env": "p"}, kind="cloud-native"),
    Instance("r-3", type="Tair", tags={"env": "p"}),
    Instance("r-4", region="cn-hongkong"),
    Instance("r-5", status="Creating"),
    Instance("r-6", denied=True),
)


@pytest.mark.parametrize(
    ("parameters", "ids"),
    [
        ({}, ["r-1", "r-2", "r-5"]),
        ({"instance_type": "Tair"}, ["r-3"]),
        ({"instance_ids": "r-1,r-3,r-4,r-6,r-nope"}, ["r-1"]),
        ({"instance_status": "Creating"}, ["r-5"]),
        ({"region_id": "cn-hongkong"}, ["r-4"]),
        ({"page_size": 2}, ["r-1", "r-2"]),
        ({"page_size": 2, "page_number": 2}, ["r-5"]),
        ({"tag": [("env", "p")]}, ["r-1", "r-2"]),
        ({"tag": [("env", "p"), ("team", "a")]}, ["r-1"]),
        ({"tag": [("env", "q")]}, []),
    ],
)
def test_describe_instances_selects(parameters, ids):
    from alibabacloud_r_kvstore20150101.models import DescribeInstancesRequestTag as Tag

    with cloud_of(*FLEET) as cloud:
        tags = [Tag(key=key, value=value) for key, value in parameters.get("tag", [])]
        asked = {"region_id": "cn-hangzhou", **parameters} | ({"tag": tags} if tags else {})
        found = KVStoreClient(cloud).describe_instances(**asked)["Instances"]["KVStoreInstance"]
        assert [each["InstanceId"] for each in found] == ids


def test_describe_instances_tells_the_architecture():
    with cloud_of(*FLEET) as cloud:
        found = KVStoreClient(cloud).describe_instances(region_id="cn-hangzhou")["Instances"]["KVStoreInstance"]
        kinds = [(each["ArchitectureType"], each["ComputingType"], each["InstanceStatus"]) for each in found]
        assert kinds == [
            ("standard", "Local", "Normal"),
            ("cluster", "Ecs", "Normal"),
            ("standard", "Local", "Creating"),
        ]


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("create_backup", {"instance_id": "r-nope"}, "InvalidInstanceId.NotFound"),
        ("create_backup", {}, "MissingInstanceId"),
        ("describe_backups", {"instance_id": "r-1"}, "MissingStartTime"),
        (
            "describe_backups",
            {"instance_id": "r-1", **WINDOW, "start_time": "2026-11-24T01:00:00Z"},
            "InvalidStartTime.Malformed",
        ),
        ("describe_backups", {"instance_id": "r-1", **WINDOW, "page_size": 31}, "InvalidPageSize.Malformed"),
        ("describe_backups", {"instance_id": "r-1", **WINDOW, "page_number": 0}, "InvalidPageNumber.Malformed"),
        ("describe_cluster_backup_list", {"instance_id": "r-1", **WINDOW}, "InstanceType.NotSupport"),
        ("describe_instances", {}, "MissingRegionId"),
        ("describe_instances", {"region_id": "cn-hangzhou", "page_size": 51}, "InvalidPageSize.Malformed"),
        (
            "describe_instances",
            {"region_id": "cn-hangzhou", "instance_ids": ",".join(f"r-{n}" for n in range(31))},
            "InvalidInstanceIds.Malformed",
        ),
        ("describe_regions", {}, "InvalidAction.NotFound"),
    ],
)
def test_wrong_calls_are_refused_by_code(operation, parameters, code):
    with cloud_of(Instance("r-1")) as cloud:
        assert KVStoreClient(cloud).code(operation, **parameters) == code


def test_describe_instance_attribute_needs_the_id_alone():
    with cloud_of(Instance("r-1", name="orders")) as cloud:
        answer = KVStoreClient(cloud).describe_instance_attribute(instance_id="r-1")
        assert answer["Instances"]["DBInstanceAttribute"][0]["InstanceName"] == "orders"


def test_an_instance_is_unknown_at_another_regions_endpoint():
    with cloud_of(Instance("r-1", region="cn-hongkong")) as cloud:
        here = KVStoreClient(cloud, endpoint=f"{cloud.host}/cn-hongkong")
        elsewhere = KVStoreClient(cloud, endpoint=f"{cloud.host}/cn-hangzhou")
        codes = [client.code("create_backup", instance_id="r-1") for client in (elsewhere, here, KVStoreClient(cloud))]
        assert codes == ["InvalidInstanceId.NotFound", None, "BackupJobExists"]
        assert [call.region for call in cloud.calls] == ["cn-hangzhou", "cn-hongkong", None]


def test_a_denied_instance_is_told_apart_from_an_unknown_one():
    with cloud_of(Instance("r-1", denied=True)) as cloud:
        client = KVStoreClient(cloud, cloud.credentials.issue())
        with pytest.raises(TeaException) as denial:
            client.create_backup(instance_id="r-1")
        body = denial.value.data
        assert (body["Code"], body["statusCode"]) == ("Forbidden.RAM", 403)
        assert body["AccessDeniedDetail"]["AuthAction"] == "kvstore:CreateBackup"
        assert body["AccessDeniedDetail"]["EncodedDiagnosticMessage"].startswith("SECRETDIAGNOSTIC")
        assert client.code("create_backup", instance_id="r-2") == "InvalidInstanceId.NotFound"
        assert cloud.kvstore.instance("r-1").backups == []


def test_fleets_are_read_made_up_and_checked(tmp_path):
    kinds = {each.kind for each in Fleet.load()}
    assert kinds == {"standard", "classic-cluster", "cloud-native"}
    assert Fleet.generate(50, 1) == Fleet.generate(50, 1) != Fleet.generate(50, 2)
    assert len({each.id for each in Fleet.generate(500)}) == 500
    file = tmp_path / "fleet.yaml"
    for text in ("instances: [{id: r-1, shard: 2}]", "instances: [{id: r-1, kind: huge}]", "fleet: 3"):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"r-1|instances"):
            Fleet.load(file)

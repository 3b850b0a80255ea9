"""Clocks that differ, answers that are no answer, lists that do not tell all, credentials that end."""

import http.client
import json
from email.utils import parsedate_to_datetime

import pytest
from simulator_clients import KVStoreClient, invoke_3
from Tea.exceptions import TeaException

from simulator import Behaviour, Cloud, ExactClock, Fault, Faults, Fleet, FunctionConfig, Instance, SimulatedClock
from simulator.clock import DEFAULT_START
from simulator.faults import ALL_KINDS, ODD_ANSWERS, READ_KINDS, READS_FAIL_BY

ONE = Fleet([Instance("r-1", duration=30)])
WINDOW = {"start_time": "2026-11-24T01:00Z", "end_time": "2026-11-24T23:00Z"}


def _date(cloud, path="/"):
    connection = http.client.HTTPConnection(cloud.host)
    connection.request("POST", path)
    return parsedate_to_datetime(connection.getresponse().headers["Date"]).timestamp()


def test_each_answer_has_a_date_by_its_services_clock():
    clock = SimulatedClock(DEFAULT_START + 0.9)
    with Cloud(ONE, clock=clock, api_clock_offset=-2.0, fc_clock_offset=600.5) as cloud:
        assert _date(cloud) == DEFAULT_START - 2
        assert _date(cloud, "/2023-03-30/functions/redis-backup/invocations") == DEFAULT_START + 601
        cloud.faults.plan("DescribeBackupTasks", [Fault("page502")])
        assert KVStoreClient(cloud).code("describe_backup_tasks", instance_id="r-1") is None


def test_an_offset_clock_shows_in_all_that_is_listed_and_in_the_window():
    with Cloud(ONE, clock=SimulatedClock(DEFAULT_START), api_clock_offset=-3.0) as cloud:
        client = KVStoreClient(cloud)
        client.create_backup(instance_id="r-1")
        task = client.describe_backup_tasks(instance_id="r-1")["BackupJobs"][0]
        cloud.clock.advance(30)
        (entry,) = client.describe_backups(instance_id="r-1", **WINDOW)["Backups"]["Backup"]
        assert task["StartTime"] == entry["BackupStartTime"] == "2026-11-24T01:59:57Z"
        assert entry["BackupEndTime"] == "2026-11-24T02:00:27Z"
        late = {**WINDOW, "start_time": "2026-11-24T02:00Z"}
        assert client.describe_backups(instance_id="r-1", **late)["TotalCount"] == 0


def test_a_cloud_native_list_is_by_the_services_clock_too():
    fleet = Fleet([Instance("r-1", kind="cloud-native", duration=30)])
    with Cloud(fleet, clock=SimulatedClock(DEFAULT_START), api_clock_offset=2.0) as cloud:
        client = KVStoreClient(cloud)
        client.create_backup(instance_id="r-1")
        (entry,) = client.describe_cluster_backup_list(instance_id="r-1", region_id="cn-hangzhou", **WINDOW)[
            "ClusterBackups"
        ]
        assert entry["ClusterBackupStartTime"] == "2026-11-24T02:00:02Z"


def _raw(cloud, operation, **parameters):
    """An answer's status and body as they went over the wire."""
    from alibabacloud_tea_openapi.client import Client
    from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
    from darabonba.runtime import RuntimeOptions
    from simulator_clients import config

    params = Params(operation, "2015-01-01", "HTTP", "/", "POST", "AK", "RPC", "formData", "string")
    answer = Client(config(cloud)).call_api(params, OpenApiRequest(query=parameters), RuntimeOptions())
    return answer["statusCode"], answer["body"]


@pytest.mark.parametrize("kind", ODD_ANSWERS)
@pytest.mark.parametrize("after", [False, True])
def test_an_odd_answer_has_status_200(kind, after):
    with Cloud(ONE) as cloud:
        cloud.faults.plan("CreateBackup", [Fault(kind, after)])
        status, body = _raw(cloud, "CreateBackup", InstanceId="r-1")
        assert (status, body.encode()) == (200, ODD_ANSWERS[kind])
        assert len(cloud.kvstore.instance("r-1").backups) == after


@pytest.mark.parametrize(("kind", "left"), [("empty-page", 0), ("cut-page", 2)])
def test_a_short_page_keeps_its_count(kind, left):
    with Cloud(Fleet(Instance(f"r-{n}") for n in range(5))) as cloud:
        for number in range(4):
            cloud.kvstore.instance("r-0").add_backup(DEFAULT_START - 1000 + number, DEFAULT_START - 900)
        client = KVStoreClient(cloud)
        for operation in ("DescribeInstances", "DescribeBackups"):
            cloud.faults.plan(operation, [Fault(kind)])
        listed = client.describe_instances(region_id="cn-hangzhou")
        assert (len(listed["Instances"]["KVStoreInstance"]), listed["TotalCount"]) == (left, 5)
        sets = client.describe_backups(instance_id="r-0", **WINDOW)
        assert (len(sets["Backups"]["Backup"]), sets["TotalCount"]) == (left, 4)


@pytest.mark.parametrize(("kind", "status"), [("redirect-302", 302), ("redirect-307", 307)])
def test_a_redirect_leads_to_another_host_that_sees_what_arrives(kind, status):
    with Cloud(ONE) as cloud:
        cloud.faults.plan("CreateBackup", [Fault(kind)])
        cloud.faults.plan("DescribeBackupTasks", [Fault(kind)])
        KVStoreClient(cloud).code("create_backup", instance_id="r-1")
        assert cloud.kvstore.instance("r-1").backups == []
        arrived = len(cloud.redirected)
        connection = http.client.HTTPConnection("localhost", cloud._other_host.port)
        connection.request("GET", "/?Signature=x")
        assert connection.getresponse().status == 200
        assert [each.query for each in cloud.redirected[arrived:]] == [{"Signature": "x"}]
        assert [call.status for call in cloud.calls] == [status]


def test_chance_draws_every_kind_only_where_it_can_be_told():
    faults = Faults(1.0, kinds=ALL_KINDS, effect_rate=0.5)

    def kinds(operation):
        return {faults.next_fault(operation, f"r-{n}").kind for n in range(1500)}

    assert kinds("DescribeBackups") == set(ALL_KINDS) - set(READ_KINDS)
    assert kinds("DescribeBackupTasks") == set(ALL_KINDS) - set(READ_KINDS) - {"empty-page", "cut-page"}
    assert kinds("Download") == set(READS_FAIL_BY) > set(READ_KINDS)
    assert not kinds("InvokeFunction") & set(ODD_ANSWERS)
    late = [fault for n in range(500) if (fault := faults.next_fault("CreateBackup", f"x-{n}")).effect_after]
    assert late
    assert all(fault.after and 0.02 <= fault.effect_after <= 2 for fault in late)


@pytest.mark.parametrize("kind", ["reset", "hang", "page502"])
def test_createbackup_can_take_effect_after_its_answer_was_lost(kind):
    with Cloud(ONE) as cloud:
        began = cloud.clock.time()
        cloud.faults.plan("CreateBackup", [Fault(kind, after=True, effect_after=11.5)])
        client = KVStoreClient(cloud)
        with pytest.raises(TeaException):
            client.create_backup(instance_id="r-1")
        assert client.describe_backup_tasks(instance_id="r-1")["BackupJobs"] == []
        cloud.clock.advance(12)
        assert len(client.describe_backup_tasks(instance_id="r-1")["BackupJobs"]) == 1
        (backup,) = cloud.kvstore.instance("r-1").backups
        assert (backup.start - began, backup.by_api) == (11.5, True)


def test_a_late_effect_is_refused_where_a_backup_runs_by_then():
    with Cloud(ONE) as cloud:
        cloud.faults.plan("CreateBackup", [Fault("reset", after=True, effect_after=2)])
        client = KVStoreClient(cloud)
        with pytest.raises(TeaException):
            client.create_backup(instance_id="r-1")
        assert client.code("create_backup", instance_id="r-1") is None
        cloud.clock.advance(100)
        assert len(cloud.kvstore.instance("r-1").backups) == 1


def test_a_colleague_can_begin_a_backup_later():
    with Cloud(ONE) as cloud:
        state, now = cloud.kvstore.instance("r-1"), cloud.clock.time()
        state.create_later(now + 10, duration=20, outcome="failed", listing_lag=7)
        assert state.backups == []
        cloud.clock.advance(10)
        assert KVStoreClient(cloud).code("create_backup", instance_id="r-1") == "BackupJobExists"
        listed = []
        for seconds in (20, 6, 1):
            cloud.clock.advance(seconds)
            listed.append(KVStoreClient(cloud).describe_backups(instance_id="r-1", **WINDOW)["TotalCount"])
        assert listed == [0, 0, 1]
        assert (state.backups[0].by_api, state.backups[0].succeeded) == (False, False)


def test_a_task_can_stay_listed():
    fleet = Fleet([Instance("r-1", duration=30, task_linger=50), Instance("r-2", duration=30, task_linger=1e9)])
    with Cloud(fleet) as cloud:
        client = KVStoreClient(cloud)
        for name in ("r-1", "r-2"):
            client.create_backup(instance_id=name)
        seen = []
        for seconds in (70, 20):
            cloud.clock.advance(seconds)
            for name in ("r-1", "r-2"):
                tasks = client.describe_backup_tasks(instance_id=name)["BackupJobs"]
                seen.append([(task["BackupProgressStatus"], task["Progress"]) for task in tasks])
        assert seen == [[("Checking", "100")], [("Checking", "100")], [], [("Checking", "100")]]
        assert client.code("create_backup", instance_id="r-2") is None


def test_backups_can_differ_in_duration_and_lag():
    fleet = Fleet([Instance("r-1", durations=(20, 40), listing_lags=(60, 0), outcomes=("failed", "success"))])
    with Cloud(fleet) as cloud:
        state = cloud.kvstore.instance("r-1")
        for _ in range(3):
            KVStoreClient(cloud).create_backup(instance_id="r-1")
            cloud.clock.advance(50)
        assert [round(each.end - each.start) for each in state.backups] == [20, 40, 40]
        assert [each.listing_lag for each in state.backups] == [60, 0, 0]


@pytest.mark.parametrize("kind", ["standard", "cloud-native"])
def test_a_set_can_be_deleted_and_a_job_can_vanish(kind):
    fleet = Fleet([Instance("r-1", kind=kind, duration=30, outcomes=("success", "vanished"))])
    with Cloud(fleet, behaviour=Behaviour(cloud_native_tasks=True)) as cloud:
        client, state = KVStoreClient(cloud), cloud.kvstore.instance("r-1")

        def listed():
            if kind == "standard":
                return len(client.describe_backups(instance_id="r-1", **WINDOW)["Backups"]["Backup"])
            found = client.describe_cluster_backup_list(instance_id="r-1", region_id="cn-hangzhou", **WINDOW)
            return len(found["ClusterBackups"])

        client.create_backup(instance_id="r-1")
        cloud.clock.advance(30)
        assert listed() == 1
        state.delete_sets(state.backups[0])
        assert listed() == 0
        client.create_backup(instance_id="r-1")
        assert len(client.describe_backup_tasks(instance_id="r-1")["BackupJobs"]) == 1
        cloud.clock.advance(3600)
        assert (listed(), client.describe_backup_tasks(instance_id="r-1")["BackupJobs"]) == (0, [])


def test_one_type_of_instances_can_be_refused_and_a_total_too_large():
    behaviour = Behaviour(refused_types=("Tair",), extra_total={"DescribeInstances": 3, "DescribeBackups": 1})
    with Cloud(ONE, behaviour=behaviour) as cloud:
        client = KVStoreClient(cloud)
        assert client.code("describe_instances", region_id="cn-hangzhou", instance_type="Tair").startswith("Invalid")
        assert client.describe_instances(region_id="cn-hangzhou")["TotalCount"] == 4
        assert client.describe_backups(instance_id="r-1", **WINDOW)["TotalCount"] == 1


def test_all_of_an_apis_operations_can_share_a_quota():
    with Cloud(ONE, limits={"kvstore:*": 3}, handler=lambda *_: None) as cloud:
        client = KVStoreClient(cloud)
        operations = [("describe_backup_tasks", {}), ("create_backup", {}), ("describe_backups", WINDOW)]
        codes = [client.code(name, instance_id="r-1", **more) for name, more in operations * 2]
        assert codes == [None, None, None, *["Throttling.User"] * 3]
        assert invoke_3(cloud)["statusCode"] == 200
        cloud.clock.advance(0.4)
        assert client.code("describe_backup_tasks", instance_id="r-1") is None


def test_an_instance_is_denied_until_the_policy_is_mended():
    with Cloud(Fleet([Instance("r-1", denied=True, denied_until=100)])) as cloud:
        client = KVStoreClient(cloud, cloud.credentials.issue())
        codes = [client.code("create_backup", instance_id="r-1")]
        cloud.clock.advance(100)
        codes.append(client.code("create_backup", instance_id="r-1"))
        assert codes == ["Forbidden.RAM", None]


def test_an_invocations_credentials_can_end_while_it_runs():
    codes = []

    def handler(_event, context, runtime):
        client = KVStoreClient(cloud, **vars(context.credentials))
        for _ in range(3):
            try:
                client.describe_backup_tasks(instance_id="r-1")
                codes.append(None)
            except TeaException as error:
                codes.append((error.status_code, error.code))
            runtime.clock.sleep(10)

    with Cloud(ONE, handler=handler, clock=ExactClock()) as cloud:
        cloud.platform.plan_lifetimes([15, None])
        for _ in range(2):
            cloud.invoke_async()
            cloud.platform.drain()
    assert codes == [None, None, (403, "InvalidSecurityToken.Expired"), None, None, None]
    faults = Faults(expire_rate=0.3)
    lifetimes = [faults.lifetime(n) for n in range(1000)]
    assert 200 < sum(each is not None for each in lifetimes) < 400


def test_an_outage_kills_whatever_runs_in_it():
    def handler(event, _context, runtime):
        for _ in range(6):
            runtime.clock.sleep(10)
            runtime.stdout.write(f"{event.decode()}\n")

    function = FunctionConfig(max_async_retry_attempts=1, async_retry_delays=(30,))
    with Cloud(ONE, handler=handler, clock=ExactClock(0.0), function=function) as cloud:
        cloud.platform.outages.append((25, 100))
        for delay in (0, 30, 101):
            cloud.invoke_async(str(delay), delay=delay)
        cloud.platform.drain()
        ran = sorted((each.started, each.event, each.killed, len(each.stdout)) for each in cloud.platform.invocations)
        assert ran == [
            (0, b"0", True, 2),
            (30, b"30", True, 0),
            (60, b"0", True, 0),
            (60, b"30", True, 0),
            (101, b"101", False, 6),
        ]


@pytest.mark.parametrize("status", [400, 409])
def test_a_taken_task_id_is_refused_with_either_status(status):
    with Cloud(Fleet([]), handler=lambda *_: None, function=FunctionConfig(duplicate_status=status)) as cloud:
        headers = {"x-fc-invocation-type": "Async", "x-fc-async-task-id": "a"}
        invoke_3(cloud, b"x", headers)
        with pytest.raises(TeaException) as refusal:
            invoke_3(cloud, b"x", headers)
        assert refusal.value.status_code == status
        assert "AlreadyExists" in refusal.value.code


def test_a_caller_who_waits_is_neither_retried_nor_delivered_again():
    def handler(_event, _context, _runtime):
        raise ValueError

    with Cloud(Fleet([]), handler=handler, faults=Faults(repeat_rate=1.0)) as cloud:
        cloud.invoke_async(json.dumps({}), once=True)
        assert [each.asynchronous for each in cloud.platform.drain()] == [False]


def test_deliveries_can_be_late():
    with Cloud(Fleet([]), handler=lambda *_: None, faults=Faults(late_rate=0.3), clock=ExactClock(0.0)) as cloud:
        for _ in range(40):
            cloud.invoke_async(delay=10)
        late = [each.started - 10 for each in cloud.platform.drain()]
        assert sum(each <= 1.5 for each in late) > 20
        assert 5 < sum(15 <= each <= 150 for each in late) < 20


def test_what_is_punctual_is_neither_early_nor_late():
    faults = Faults(early_rate=1.0, late_rate=1.0)
    with Cloud(Fleet([]), handler=lambda *_: None, faults=faults, clock=ExactClock(0.0)) as cloud:
        cloud.invoke_async("early", delay=10)
        cloud.invoke_async("punctual", delay=10, punctual=True)
        assert [each.started for each in cloud.platform.drain()] == [0, 10]

"""The log store: fields, file, and search."""

import json

import pytest

from simulator import Cloud, Fleet, logstore

LINES = (
    '{"event":"backup_started","instance_id":"r-1","job_ids":"10000,10001","time":"2026-11-24T02:00:00.000Z"}',
    '{"event":"backup_failed","instance_id":"r-2","region":"cn-x","error_code":"NoPermission","hint":"grant it"}',
    '{"event":"backup_succeeded","instance_id":"r-1","job_ids":"10000,10001","duration_seconds":60}',
    '{"event":"report","trigger":"timer","succeeded":1,"failed":1}',
    "2026-11-24T02:00:00.000Z 1-a [ERROR] something else",
    "[1, 2]",
    "{broken",
)


@pytest.fixture
def cloud(tmp_path):
    def handler(_event, _context, runtime):
        for line in LINES:
            runtime.stdout.write(line + "\n")

    with Cloud(Fleet([]), handler=handler, log_file=tmp_path / "logs.jsonl") as cloud:
        cloud.invoke()
    return cloud


def test_each_line_is_a_log_with_the_platforms_fields(cloud, tmp_path):
    lines = (tmp_path / "logs.jsonl").read_text().splitlines()
    assert len(lines) == len(LINES) + 2  # and the platform's own two
    assert json.loads(lines[1]) == {
        "__time__": 1795485600,
        "__topic__": "FCLogs:redis-backup",
        "functionName": "redis-backup",
        "qualifier": "LATEST",
        "versionId": "",
        "instanceID": "c-6b04efa0-000000000001",
        "message": LINES[0],
    }
    assert logstore.read(tmp_path / "logs.jsonl") == list(cloud.logs)
    assert [log.message for log in cloud.logs][1:-1] == list(LINES)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"instance": "r-1"}, [0, 2]),
        ({"job": "10001"}, [0, 2]),
        ({"job": "1000"}, []),
        ({"event": "backup_failed"}, [1]),
        ({"event": "backup_succeeded", "instance": "r-1"}, [2]),
    ],
)
def test_logs_are_searched_by_instance_job_and_event(cloud, wanted, found):
    assert [LINES.index(log.message) for log in logstore.matching(cloud.logs, **wanted)] == found


def test_a_file_that_is_no_log_store_is_refused_by_line(tmp_path):
    file = tmp_path / "other.jsonl"
    file.write_text('{"__time__": 1}\n')
    with pytest.raises(ValueError, match=r"other\.jsonl:1"):
        logstore.read(file)

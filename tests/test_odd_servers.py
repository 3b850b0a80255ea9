"""Answers that no API gives, from a bare socket: in real time, so each test takes as long as the function may."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

import handler
from redis_backup.runtime import Runtime, SystemClock
from simulator import Cloud, FunctionConfig, Instance

NIGHTLY = {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "t", "payload": "r-1"}


@contextmanager
def server(answer: bytes, drip: bool = False) -> Iterator[str]:
    """A server that gives every request this answer; `drip`: and then a byte now and then, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(answer)
                while drip and not stopped.wait(0.1):
                    connection.sendall(b"x")
            except OSError:
                pass

    def accept() -> None:
        while not stopped.is_set():
            try:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopped.set()
        listener.close()


@pytest.mark.parametrize("generation", [2, 3])
@pytest.mark.parametrize("body", [b"", b"already there"])
def test_a_409_is_a_success_whatever_its_body(make_cloud, generation: int, body: bytes) -> None:
    answer = b"HTTP/1.1 409 Conflict\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with server(answer) as url:
        cloud: Cloud = make_cloud(function=FunctionConfig(generation=generation), settings={"BACKUP_FC_ENDPOINT": url})
        assert cloud.invoke(NIGHTLY).error is None


class Lines(list[str]):
    def write(self, text: str) -> None:
        self.append(text)

    def flush(self) -> None:
        pass


def invoke(cloud: Cloud, event: bytes, timeout: float, **settings: str) -> tuple[Any, float, list[str]]:
    """Invoke by the machine's own clock; the answer or the error, seconds, and the records."""
    credential = cloud.credentials.issue()
    keys = SimpleNamespace(
        access_key_id=credential.access_key_id,
        access_key_secret=credential.access_key_secret,
        security_token=credential.security_token,
    )
    context = SimpleNamespace(
        request_id="1-x",
        credentials=keys,
        region="cn-hangzhou",
        account_id="1234567890123456",
        function=SimpleNamespace(name="redis-backup", timeout=timeout),
    )
    began, lines = time.monotonic(), Lines()
    try:
        answer = handler.handler(event, context, Runtime({**cloud.endpoints(), **settings}, SystemClock(), lines))
    except Exception as error:  # noqa: BLE001 - what it raised is the answer
        answer = error
    return answer, time.monotonic() - began, lines


DRIP = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(
    ("setting", "event", "answer"),
    [
        ("BACKUP_ENDPOINT", b"r-1", "dict"),
        ("BACKUP_ENDPOINT", b'{"tags": {"a": "b"}}', "BackupPending"),
        ("BACKUP_FC_ENDPOINT", b"r-1", "dict"),
    ],
)
def test_an_answer_that_drips_in_does_not_outlast_the_time_out(setting: str, event: bytes, answer: str) -> None:
    with Cloud() as cloud, server(DRIP, drip=True) as url:
        result, seconds, lines = invoke(cloud, event, 5, **{setting: url})
    assert (type(result).__name__, seconds < 5) == (answer, True)
    assert '"event":"report"' in lines[-1]


def test_a_server_that_hangs_does_not_outlast_the_time_out() -> None:
    fleet = [Instance(f"r-{number}") for number in range(300)]
    ids = ",".join(instance.id for instance in fleet).encode()
    with Cloud() as cloud, server(b"", drip=True) as url:
        shards = invoke(cloud, ids, 5, BACKUP_FC_ENDPOINT=url)
        looks = invoke(cloud, ids, 5, BACKUP_ENDPOINT=url, BACKUP_SHARD_SIZE="1000")
    for result, seconds, lines in (shards, looks):
        assert seconds < 5
        assert result["counts"] == {"pending": 300}
        assert len([line for line in lines if '"backup_pending"' in line]) == 300

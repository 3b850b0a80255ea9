"""One invocation: context, environment, answers, errors, output, time-outs and kills."""

import json
import logging
import sys
import threading

import pytest
from simulator_clients import KVStoreClient
from Tea.exceptions import TeaException

from simulator import Cloud, Fleet, FunctionConfig, Instance

ONE = Fleet([Instance("r-1")])


def invoke(handler, event=b"", *, function=None, **options):
    with Cloud(ONE, handler=handler, function=function) as cloud:
        return cloud.invoke(event, **options)


def test_the_handler_gets_what_the_runtime_gives():
    seen = {}

    def handler(event, context, runtime):
        seen.update(event=event, context=context, environ=dict(runtime.environ))

    with Cloud(ONE, handler=handler, settings={"BACKUP_CONCURRENCY": "4"}) as cloud:
        invocation = cloud.invoke({"a": 1})
        context, environ = seen["context"], seen["environ"]
        assert seen["event"] == b'{"a": 1}'
        assert context.request_id.startswith("1-6b04efa0-")
        assert context.request_id == invocation.request_id
        assert vars(context.function) == {
            "name": "redis-backup",
            "handler": "handler.handler",
            "memory": 512,
            "timeout": 300,
        }
        assert (context.region, context.account_id, context.retry_count) == ("cn-hangzhou", "1234567890123456", 0)
        assert (context.service.name, context.service.qualifier) == ("", "LATEST")
        assert context.credentials.security_token in context.to_json()
        assert environ["ALIBABA_CLOUD_ACCESS_KEY_ID"] == context.credentials.access_key_id
        assert environ["BACKUP_ENDPOINT"] == cloud.endpoint
        assert environ["BACKUP_CONCURRENCY"] == "4"
        assert "FC_SERVICE_NAME" not in environ


def test_generation_2_has_a_service():
    seen = {}
    config = FunctionConfig(generation=2, timeout="60")
    invoke(lambda _, context, runtime: seen.update(context=context, **runtime.environ), function=config)
    assert (seen["context"].service.name, seen["FC_SERVICE_NAME"]) == ("backup-service", "backup-service")
    assert seen["context"].function.timeout == "60"


def test_python_3_12_gives_credentials_in_the_environment_alone():
    def handler(_event, context, runtime):
        return [hasattr(context, "credentials"), hasattr(context, "service"), len(runtime.environ["FC_REGION"])]

    assert invoke(handler, function=FunctionConfig(context_credentials=False)).result == [False, False, 11]


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ("text", b"text"),
        (b"bytes", b"bytes"),
        ({"b": 1, "a": [2]}, b'{\n    "a": [\n        2\n    ],\n    "b": 1\n}'),
        (None, b"null"),
    ],
)
def test_answers_go_out_as_the_runtime_sends_them(value, body):
    assert invoke(lambda *_: value).body == body


def test_an_exception_becomes_the_platforms_error_answer():
    def handler(*_):
        raise ValueError("boom") from KeyError("cause")

    invocation = invoke(handler)
    assert (invocation.error["errorType"], invocation.error["errorMessage"]) == ("ValueError", "boom")
    assert "in handler" in invocation.error["stackTrace"][-1]
    assert json.loads(invocation.body) == invocation.error
    assert "KeyError: 'cause'" in invocation.everything()


def test_whatever_leaves_the_function_is_kept():
    def handler(_event, _context, runtime):
        runtime.stdout.write('{"event":"one"}\nplain\nun')
        runtime.stdout.write("finished")
        sys.stderr.write("on stderr\n")
        logging.getLogger("library").error("logged")

    with Cloud(ONE, handler=handler) as cloud:
        invocation = cloud.invoke()
        assert invocation.stdout == ['{"event":"one"}', "plain", "unfinished"]
        assert invocation.records == [{"event": "one"}]
        assert invocation.stderr == "on stderr\n"
        assert invocation.logged[0].endswith(f"{invocation.request_id} [ERROR] logged")
        assert all(text in invocation.everything() for text in ("plain", "on stderr", "logged"))
        assert [log.message for log in cloud.logs][1:3] == ['{"event":"one"}', "plain"]


def test_each_invocation_has_credentials_of_its_own_that_end_with_it():
    kept = []

    def handler(_event, context, _runtime):
        kept.append(KVStoreClient(cloud, **vars(context.credentials)))
        kept[-1].describe_backup_tasks(instance_id="r-1")

    with Cloud(ONE, handler=handler) as cloud:
        first, second = cloud.invoke(), cloud.invoke()
        assert (first.error, second.error) == (None, None)
        assert first.access_key_id != second.access_key_id
        with pytest.raises(TeaException):
            kept[0].describe_backup_tasks(instance_id="r-1")


def test_an_invocation_that_lasts_longer_than_its_time_out_is_ended():
    def handler(_event, _context, runtime):
        for _ in range(100):
            runtime.clock.sleep(1)
            runtime.stdout.write("tick\n")

    invocation = invoke(handler, function=FunctionConfig(timeout=10))
    assert invocation.timed_out
    assert invocation.failed
    assert invocation.error["errorType"] == "FunctionTimedOut"
    assert len(invocation.stdout) == 10


def test_an_invocation_that_returns_too_late_has_timed_out():
    def handler(_event, _context, _runtime):
        cloud.clock.advance(11)

    with Cloud(ONE, handler=handler, function=FunctionConfig(timeout=10)) as cloud:
        assert cloud.invoke().timed_out


def steps(_event, context, runtime):
    """Six I/O events: a line, a call (which counts twice), a sleep (twice), a line."""
    runtime.stdout.write("begin\n")
    endpoint = runtime.environ["BACKUP_ENDPOINT"].partition("://")[2]
    client = KVStoreClient(None, endpoint=endpoint, **vars(context.credentials))
    try:
        client.create_backup(instance_id="r-1")
    except TeaException:
        runtime.stdout.write("never\n")
    runtime.clock.sleep(5)
    runtime.stdout.write("end\n")


@pytest.mark.parametrize(
    ("kill_after", "backups", "slept", "stdout"),
    [
        (1, 0, 0, []),
        (2, 0, 0, ["begin"]),  # before the call is done
        (3, 1, 0, ["begin"]),  # after it
        (4, 1, 0, ["begin"]),
        (5, 1, 5, ["begin"]),
        (6, 1, 5, ["begin"]),
        (7, 1, 5, ["begin", "end"]),  # it ended before
    ],
)
def test_an_invocation_can_be_killed_at_each_io_event(kill_after, backups, slept, stdout):
    with Cloud(ONE, handler=steps) as cloud:
        before = cloud.clock.time()
        invocation = cloud.invoke(kill_after=kill_after)
        assert invocation.killed is (kill_after < 7)
        assert invocation.stdout == stdout
        assert cloud.clock.time() - before == slept
        assert len(cloud.kvstore.instance("r-1").backups) == backups


def test_a_kill_reaches_every_thread():
    ended = []

    def handler(_event, _context, runtime):
        def work():
            try:
                while True:
                    runtime.clock.sleep(1)
            finally:
                ended.append(threading.get_ident())

        threads = [threading.Thread(target=work) for _ in range(4)]
        hook, threading.excepthook = threading.excepthook, lambda _: None
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            threading.excepthook = hook
        return "survived"

    invocation = invoke(handler, kill_after=50)
    assert invocation.killed
    assert invocation.failed
    assert len(ended) == 4

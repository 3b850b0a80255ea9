"""Invocation over HTTP on the paths of both generations, and the queue behind it."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
from fc2.fc_exceptions import FcError
from simulator_clients import invoke_2, invoke_3
from Tea.exceptions import TeaException

from simulator import Cloud, Faults, Fleet, FunctionConfig, ScaledClock, ram

NO_FLEET = Fleet([])


@pytest.fixture(autouse=True)
def _quiet(caplog):
    """aliyun-fc2 logs every refusal on the root logger."""
    caplog.set_level(logging.CRITICAL)


@pytest.fixture(params=[2, 3], ids=["generation-2", "generation-3"])
def generation(request):
    """How a generation's function is configured, invoked, and refused."""
    if request.param == 2:
        return SimpleNamespace(
            config=FunctionConfig(generation=2),
            task_header="x-fc-stateful-async-invocation-id",
            invoke=lambda cloud, payload=b"", headers=None, **who: _plain_2(cloud, payload, headers, who),
            resource="acs:fc:cn-hangzhou:1234567890123456:services/backup-service/functions/redis-backup",
        )
    return SimpleNamespace(
        config=FunctionConfig(generation=3),
        task_header="x-fc-async-task-id",
        invoke=lambda cloud, payload=b"", headers=None, **who: _plain_3(cloud, payload, headers, who),
        resource="acs:fc:cn-hangzhou:1234567890123456:functions/redis-backup",
    )


def _plain_2(cloud, payload, headers, who):
    """Body, error type and refusal of a 2.0 invocation."""
    try:
        answer = invoke_2(cloud, payload, headers, **who)
    except FcError as error:
        return SimpleNamespace(body=None, status=error.status_code, code=error.err_code)
    return SimpleNamespace(body=answer.data, status=200, code=None)


def _plain_3(cloud, payload, headers, who):
    try:
        answer = invoke_3(cloud, payload, headers, **who)
    except TeaException as error:
        return SimpleNamespace(body=None, status=error.status_code, code=error.code)
    return SimpleNamespace(body=answer["body"].encode(), status=answer["statusCode"], code=None)


def echo(event, context, _runtime):
    if event.startswith(b"fail"):
        raise ValueError("asked to fail")
    return event + b"/%d" % context.retry_count


def async_headers(generation, task_id=None, delay=None):
    headers = {"x-fc-invocation-type": "Async"}
    if task_id is not None:
        headers[generation.task_header] = task_id
    if delay is not None:
        headers["x-fc-async-delay"] = str(delay)
    return headers


def test_a_synchronous_invocation_answers_what_the_handler_returns(generation):
    with Cloud(NO_FLEET, handler=echo, function=generation.config) as cloud:
        assert generation.invoke(cloud, b"hello").body == b"hello/0"


def test_an_unhandled_exception_is_told_by_a_header():
    with Cloud(NO_FLEET, handler=echo) as cloud:
        answer = invoke_3(cloud, b"fail")
        assert (answer["statusCode"], answer["headers"]["x-fc-error-type"]) == (200, "UnhandledInvocationError")
        assert '"errorMessage": "asked to fail"' in answer["body"]


def test_an_asynchronous_invocation_runs_after_its_delay(generation):
    with Cloud(NO_FLEET, handler=echo, function=generation.config) as cloud:
        began = cloud.clock.time()
        generation.invoke(cloud, b"hello", async_headers(generation, delay=60))
        assert cloud.platform.invocations == []
        invocation = cloud.platform.run_due()
        assert (invocation.body, invocation.started - began, invocation.asynchronous) == (b"hello/0", 60, True)
        assert cloud.platform.run_due() is None


def test_a_task_id_is_taken_once(generation):
    with Cloud(NO_FLEET, handler=echo, function=generation.config) as cloud:
        headers = async_headers(generation, task_id="follow_1")
        answers = [generation.invoke(cloud, b"x", headers)]
        cloud.platform.drain()
        answers.append(generation.invoke(cloud, b"x", headers))
        assert [answer.code for answer in answers] == [None, "StatefulAsyncInvocationAlreadyExists"]
        assert answers[1].status == 409
        assert [each.task_id for each in cloud.platform.invocations] == ["follow_1"]


def test_without_async_task_a_task_id_means_nothing():
    with Cloud(NO_FLEET, handler=echo, function=FunctionConfig(async_task=False)) as cloud:
        for _ in range(2):
            invoke_3(cloud, b"x", {"x-fc-invocation-type": "Async", "x-fc-async-task-id": "a"})
        assert len(cloud.platform.drain()) == 2


@pytest.mark.parametrize("task_id", ["1a", "a b", "a" * 129, "a.b"])
def test_a_task_id_has_a_form(generation, task_id):
    with Cloud(NO_FLEET, handler=echo, function=generation.config) as cloud:
        assert generation.invoke(cloud, b"x", async_headers(generation, task_id=task_id)).code == "InvalidArgument"


@pytest.mark.parametrize(("delay", "code"), [(3600, None), (3601, "InvalidArgument"), ("soon", "InvalidArgument")])
def test_a_delay_has_a_limit(generation, delay, code):
    with Cloud(NO_FLEET, handler=echo, function=generation.config) as cloud:
        assert generation.invoke(cloud, b"x", async_headers(generation, delay=delay)).code == code


def test_an_asynchronous_payload_has_a_limit(generation):
    with Cloud(NO_FLEET, handler=echo, function=generation.config) as cloud:
        answers = [generation.invoke(cloud, b"x" * (128 * 1024 + more), async_headers(generation)) for more in (0, 1)]
        assert answers[0].code is None
        assert (answers[1].status, answers[1].code) == (400, "EntityTooLarge")


def test_a_function_is_found_under_its_own_generations_name_alone():
    with Cloud(NO_FLEET, handler=echo, function=FunctionConfig(generation=3)) as cloud:
        role = cloud.credentials.issue()
        assert _plain_2(cloud, b"", None, {"credential": role}).code == "ServiceNotFound"
        assert _plain_3(cloud, b"", None, {"name": "other"}).code == "FunctionNotFound"
    with Cloud(NO_FLEET, handler=echo, function=FunctionConfig(generation=2)) as cloud:
        assert _plain_3(cloud, b"", None, {}).code == "FunctionNotFound"
        assert _plain_2(cloud, b"", None, {"name": "other"}).code == "FunctionNotFound"
        assert _plain_2(cloud, b"", None, {"service": "other"}).code == "ServiceNotFound"
        assert _plain_2(cloud, b"x", None, {"service": "backup-service.LATEST"}).body == b"x/0"


def test_a_role_needs_permission_to_invoke_itself(generation):
    for policy, code in (
        (ram.allow(["fc:InvokeFunction"], [generation.resource]), None),
        (ram.allow(["fc:InvokeFunction"], ["*/functions/other"]), "AccessDenied"),
    ):
        with Cloud(NO_FLEET, handler=echo, function=generation.config, policy=policy) as cloud:
            answer = generation.invoke(cloud, b"x", credential=cloud.credentials.issue())
            assert answer.code == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"access_key_secret": "wrong"}, "SignatureNotMatch"),
        ({"access_key_id": "LTAInobody"}, "InvalidAccessKeyID"),
    ],
)
def test_a_wrong_credential_is_refused_with_function_computes_own_code(generation, change, code):
    with Cloud(NO_FLEET, handler=echo, function=generation.config) as cloud:
        answer = generation.invoke(cloud, b"x", credential=replace(cloud.credentials.user, **change))
        assert (answer.status, answer.code) == (403, code)
        assert [(call.status, call.code) for call in cloud.calls] == [(403, code)]


def test_a_failed_invocation_is_retried_and_then_a_dead_letter():
    config = FunctionConfig(max_async_retry_attempts=2, async_retry_delays=(10, 60))
    with Cloud(NO_FLEET, handler=echo, function=config) as cloud:
        began = cloud.clock.time()
        request_id = cloud.invoke_async("fail")
        done = [(each.attempt, each.started - began, each.request_id) for each in cloud.platform.drain()]
        assert done == [(0, 0, request_id), (1, 10, request_id), (2, 70, request_id)]
        assert [each.request_id for each in cloud.platform.queue.dead_letters] == [request_id]


def test_an_event_that_is_too_old_is_not_retried():
    with Cloud(NO_FLEET, handler=echo, function=FunctionConfig(max_async_event_age=15)) as cloud:
        cloud.invoke_async("fail")
        assert [each.attempt for each in cloud.platform.drain()] == [0, 1]
        assert len(cloud.platform.queue.dead_letters) == 1


def test_a_killed_invocation_is_retried():
    def handler(_event, context, runtime):
        runtime.stdout.write(f"{context.retry_count}\n")

    with Cloud(NO_FLEET, handler=handler) as cloud:
        cloud.platform.plan_kills([1, None])
        cloud.invoke_async()
        assert [(each.killed, each.stdout) for each in cloud.platform.drain()] == [(True, []), (False, ["1"])]


def test_events_can_come_again_early_and_be_killed_by_chance():
    def handler(_event, _context, runtime):
        runtime.stdout.write("line\n")

    faults = Faults(seed=3, kill_rate=0.3, repeat_rate=0.3, early_rate=0.3, max_kill_after=1)
    with Cloud(NO_FLEET, handler=handler, faults=faults) as cloud:
        began = cloud.clock.time()
        for number in range(50):
            cloud.invoke_async(str(number), delay=100)
        done = cloud.platform.drain()
        assert len({each.event for each in done if not each.failed}) == 50
        assert sum(each.killed for each in done) > 5
        assert sum(each.started - began < 100 for each in done) > 5
        assert sum(not each.failed for each in done) > 55


def test_draining_gives_up_on_a_function_that_never_ends():
    def handler(*_):
        cloud.invoke_async(delay=60)

    with Cloud(NO_FLEET, handler=handler) as cloud:
        cloud.invoke_async()
        with pytest.raises(RuntimeError, match="after 20"):
            cloud.platform.drain(limit=20)


def test_on_a_clock_that_runs_the_queue_is_delivered_by_itself():
    with Cloud(NO_FLEET, handler=echo, clock=ScaledClock(speed=1000)) as cloud, cloud.platform.running():
        for number in range(20):
            cloud.invoke_async(str(number), delay=number)
        cloud.platform.wait_idle()
        assert len(cloud.platform.invocations) == 20

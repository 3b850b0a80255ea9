"""Check the function on the account that it runs in: all that a first night could fail on. No backup is started.

    event ─► settings, time-out, memory ─► each region: R-KVStore, each permission (`permissions`)
          ─► credentials, clock ─► the instances that the event names: a dry run (`dry_run`)
          ─► the store, and one byte of a backup's file (`storage`)
          ─► the function invokes itself, twice with one task ID ─► a line to look for in the log store

The invocation that it sends to itself comes some seconds later, and records whether its delay was honoured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from redis_backup import timestamps
from redis_backup.alibaba.api_clock import ApiClock
from redis_backup.alibaba.function_compute import FunctionName
from redis_backup.alibaba.retries import run_in_parallel
from redis_backup.alibaba.rkvstore import RKVStore
from redis_backup.backoff import Deadline
from redis_backup.check import patterns
from redis_backup.check.dry_run import check_instances
from redis_backup.check.permissions import RegionCheck
from redis_backup.check.storage import StorageCheck
from redis_backup.context import Context, request_time
from redis_backup.errors import InvalidRequest
from redis_backup.followups.payload import delayed_check, read_follow_up
from redis_backup.followups.sending import Sender, SendStatus
from redis_backup.reconcile.watch import MIN_TIMEOUT
from redis_backup.reporting import answers
from redis_backup.reporting.codec import write_check
from redis_backup.reporting.records import Recorder
from redis_backup.request.events import Event
from redis_backup.request.reader import Defaults, read_request
from redis_backup.request.request import Request
from redis_backup.runtime import Runtime, utc_now
from redis_backup.settings import Settings
from redis_backup.states import CheckResult

# https://www.alibabacloud.com/help/en/functioncompute/user-guide/context
_CREDENTIALS_LAST = "36 hours"
_MIN_MEMORY = 256  # MB; docs/benchmarks.md has what the function needs
_TIME_FOR_PERMISSIONS = 45.0  # seconds
_TIME_FOR_INVOKING = 30.0
_DELAY = timedelta(seconds=10)
_EARLY = timedelta(seconds=2)  # the clocks of Function Compute's machines may differ by that much
_MAX_CLOCK_DIFFERENCE = 2.0  # seconds
_FAR_AHEAD = 30.0  # seconds; the function does not follow a clock that differs by more


class Checker:
    """The check of one invocation. `setting_errors`: what is wrong with the function's settings."""

    def __init__(self, context: Context, settings: Settings, setting_errors: Sequence[str], runtime: Runtime) -> None:
        self._context, self._clock = context, runtime.clock
        self._settings, self._setting_errors = settings, setting_errors
        self._recorder = Recorder(runtime, context.request_id)
        self._began = utc_now(runtime.clock)

    def answer(self, event: Event) -> Any:
        """Check everything, and return the answer for the event's trigger. Raise InvalidRequest, or BackupFailed."""
        since = request_time(self._context.request_id, self._began)
        defaults = replace(Defaults.from_settings(self._settings, self._context.region, since), has_store=True)
        try:
            request = read_request(event, defaults, self._began, read_follow_up)
        except InvalidRequest as error:
            self._recorder.nothing_started(event.kind, [event], error_code="InvalidRequest", error_message=str(error))
            return answers.refusal(event.kind, error)
        results = []
        for result in self._delay(request.follow_up.due) if request.follow_up else self._results(request):
            self._recorder.check(request, result)
            results.append(result)
        trigger = {"kind": request.kind.value, "id": request.trigger_id}
        is_ok = not any(result.ok is False for result in results)
        fields = {"trigger": request.kind.value, "trigger_id": request.trigger_id, "reason": request.reason}
        self._recorder.report("INFO" if is_ok else "ERROR", {**fields, "ok": is_ok})
        answer = {
            "request_id": self._context.request_id,
            "trigger": trigger,
            "since": timestamps.render(request.since),
            "ok": is_ok,
            "checks": [write_check(result) for result in results],
        }
        return answers.check_answer(request.kind, answer)

    def _results(self, request: Request) -> Iterator[CheckResult]:
        settings = self._settings
        yield self._setting_values()
        yield self._timeout()
        yield self._memory()
        if self._context.credentials.are_complete:
            yield from self._api(request)
            yield from StorageCheck(self._context, settings, self._clock).results(request)
            yield from self._self_invocation(request)
        else:
            hint = "give the function a RAM role (`role` in s.yaml, deploy/role-policy.json); nothing else can be tried"
            yield CheckResult("credentials", False, "the function has no credentials", hint)
        yield CheckResult(
            "log store",
            None,
            "the function cannot read it, so look yourself for the records of this check",
            f'in the log store, search for message.request_id: "{self._context.request_id}"; if nothing is there, '
            "check logConfig, the index, and log:PostLogStoreLogs of the function's role",
        )

    def _setting_values(self) -> CheckResult:
        settings = self._settings
        useless = patterns.useless(settings.allow, self._context.region)
        if self._setting_errors:
            detail = "; ".join(self._setting_errors)
            hint = (
                "correct the function's environment; until then it refuses every event (this check uses the defaults)"
            )
            return CheckResult("settings", False, detail, hint)
        if useless:
            what = "no instance at all" if len(useless) == len(settings.allow) else "no instance"
            detail = f"BACKUP_ALLOW: {', '.join(useless)} admits {what}"
            return CheckResult("settings", False, detail, "write REGION/INSTANCE_ID, such as cn-hangzhou/r-*")
        if settings.unknown:
            detail = f"{', '.join(settings.unknown)}: not a setting of this function, and ignored"
            return CheckResult("settings", None, detail, "check the spelling; docs/reference.md has all settings")
        if not settings.follow_seconds:
            detail = "BACKUP_FOLLOW_SECONDS is 0: the function does not look again at backups that it has started"
            return CheckResult("settings", None, detail, "set it to 60 if that is not on purpose")
        if settings.follow_hours * 3600 <= settings.follow_seconds:
            detail = f"BACKUP_FOLLOW_HOURS is {settings.follow_hours:g}: the first follow-up gives up what is not done"
            return CheckResult("settings", None, detail, "set it to 6, or to the time that a backup takes at most")
        what = f"BACKUP_ALLOW is {', '.join(settings.allow)}; follow-ups every {settings.follow_seconds} s"
        return CheckResult("settings", True, f"{what}, for {settings.follow_hours:g} h")

    def _timeout(self) -> CheckResult:
        timeout = self._context.timeout
        if timeout >= MIN_TIMEOUT:
            return CheckResult("timeout", True, f"{timeout:g} s")
        detail = f"{timeout:g} s: too short to watch an instance, so that a repeated event can start a second backup"
        return CheckResult(
            "timeout", None, detail, f"set the function's timeout to {MIN_TIMEOUT:g} s or more; 600 s is best"
        )

    def _memory(self) -> CheckResult:
        memory = self._context.memory
        if memory >= _MIN_MEMORY:
            return CheckResult("memory", True, f"{memory} MB")
        detail = f"{memory} MB" if memory else "the runtime does not say how much there is"
        return CheckResult("memory", None, detail, f"set memorySize to {_MIN_MEMORY} or more; 512 is tested")

    def _api(self, request: Request) -> Iterator[CheckResult]:
        """Check each region that the settings or the request name, then what its answers tell, and the instances."""
        context, settings, clock = self._context, self._settings, self._clock
        api_clock = ApiClock(clock, math.inf)
        deadline = Deadline(clock, min(context.stop_work_at, context.started + _TIME_FOR_PERMISSIONS))
        named = [instance.region for instance in request.instances] + ([request.region] if request.tags else [])
        checks: list[RegionCheck] = []
        for region in dict.fromkeys([*patterns.regions(settings.allow, context.region), *named]):
            client = RKVStore(region, context, settings, clock, deadline, api_clock)
            probes = patterns.probes(settings.allow, region)
            checks.append(RegionCheck(region, client, probes, clock, deadline, settings.concurrency))
        for results in run_in_parallel([check.run for check in checks], len(checks), Deadline(clock, deadline.at + 15)):
            yield from results or [CheckResult("r-kvstore", False, "a region did not answer in time", "check again")]
        if not checks:
            hint = "name an instance of each region in the check"
            yield CheckResult(
                "r-kvstore", None, "not tried, since neither BACKUP_ALLOW nor the event names a region", hint
            )
        yield self._credentials(checks)
        yield _clock_result(api_clock)
        if all(check.is_reached and not check.credentials_problem for check in checks):
            yield from check_instances(request, context, settings, clock)
        elif request.instances or request.tags:
            hint = "correct what is wrong above, then check again"
            yield CheckResult("instances", None, "not tried, since not all of R-KVStore could be tried", hint)

    def _credentials(self, checks: Sequence[RegionCheck]) -> CheckResult:
        account = f"account {self._context.account_id or 'unknown'}"
        for refused in filter(None, (check.credentials_problem for check in checks)):
            detail = f"{refused.message} ({refused.code}); nothing else could be tried with them"
            return CheckResult("credentials", False, detail, refused.hint)
        if not self._context.credentials.security_token:
            detail = f"a permanent access key, {account}"
            hint = "remove the key from the function's environment, and give the function a RAM role"
            return CheckResult("credentials", None, detail, hint)
        if not any(check.is_reached for check in checks):
            return CheckResult(
                "credentials", None, "could not be tried, since R-KVStore was not reached", "check again"
            )
        detail = (
            f"of the function's role, {account}; they end after {_CREDENTIALS_LAST}, and each invocation has its own"
        )
        return CheckResult("credentials", True, detail)

    def _self_invocation(self, request: Request) -> Iterator[CheckResult]:
        """Invoke the function itself twice with the same task ID: it has to be allowed, and the second be refused."""
        until_now = self._clock.monotonic() - self._context.started
        limit = min(self._context.timeout, until_now + _TIME_FOR_INVOKING)
        sender = Sender(replace(self._context, timeout=limit), self._settings, self._clock)
        invocation = delayed_check(request, self._began, utc_now(self._clock) + _DELAY)
        [first] = sender.send([invocation])
        what = f"fc:InvokeFunction on {FunctionName.from_context(self._context).resource}"
        if first.problem:
            detail = f"{what}: {first.problem.message} ({first.problem.code})"
            # Without follow-ups, only requests that are split need it.
            is_ok = False if self._settings.follow_seconds else None
            yield CheckResult("fc:InvokeFunction", is_ok, detail, first.problem.hint or "check BACKUP_FC_ENDPOINT")
            return
        detail = f"allowed; a record `check` with the name `delay` comes in {_DELAY.seconds} s"
        yield CheckResult("fc:InvokeFunction", True, detail)
        [second] = sender.send([invocation])
        if second.status is SendStatus.REPEAT:
            yield CheckResult("task ID", True, "a second invocation with the same task ID is refused")
            return
        detail = (
            "a second invocation with the same task ID was accepted: there can be more follow-ups, not more backups"
        )
        if second.problem:
            detail = f"could not be tried: {second.problem.message} ({second.problem.code})"
        hint = "set asyncTask to true in the function's asyncInvokeConfig; some regions do not offer asynchronous tasks"
        yield CheckResult("task ID", None, detail, hint)

    def _delay(self, due: datetime) -> Iterator[CheckResult]:
        """Check, in the invocation that was sent to itself, whether it came when it was due."""
        early = due - self._began
        if early <= _EARLY:
            yield CheckResult("delay", True, "the delay of an asynchronous invocation is honoured")
            return
        detail = f"an asynchronous invocation came {early.total_seconds():.0f} s before it was due"
        hint = "follow-ups work, but wait inside the function, which costs their duration; no setting changes that"
        yield CheckResult("delay", None, detail, hint)


def _clock_result(api_clock: ApiClock) -> CheckResult:
    if not api_clock.is_known:
        return CheckResult("clock", None, "no answer of R-KVStore had a time to compare with", "check again")
    seconds = api_clock.difference()
    if abs(seconds) <= _MAX_CLOCK_DIFFERENCE:
        at_most = max(_MAX_CLOCK_DIFFERENCE, math.ceil(api_clock.most()))  # answers that took long tell little
        return CheckResult("clock", True, f"R-KVStore's differs by at most {at_most:g} s")
    detail = f"R-KVStore's clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the function's"
    hint = "a backup can seem older than the event that asked for it; report this to Alibaba Cloud with the region"
    return CheckResult("clock", False if abs(seconds) > _FAR_AHEAD else None, detail, hint)

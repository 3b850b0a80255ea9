"""One invocation from end to end: event → request → backups → records, follow-ups and report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from redis_backup import follow, function_compute, report, sdk, timestamps
from redis_backup.api_errors import ApiError
from redis_backup.ensure import Case
from redis_backup.errors import InvalidRequest
from redis_backup.event import Event, TriggerKind, read_events
from redis_backup.invocation import Invocation
from redis_backup.pace import Deadline
from redis_backup.records import Recorder, error_fields
from redis_backup.request import Request, merge, read_requests
from redis_backup.run import Run, is_expired, side_by_side
from redis_backup.runtime import Runtime
from redis_backup.settings import Settings
from redis_backup.states import Outcome, State


class Function:
    """One invocation. Raise InvalidSetting where the function's own settings or credentials are wrong."""

    def __init__(self, context: Any, runtime: Runtime) -> None:
        self._clock = runtime.clock
        self._invocation = Invocation.of(context, runtime.environ, runtime.clock)
        self._settings = Settings.of(runtime.environ)
        self._recorder = Recorder(runtime, self._invocation.request_id)
        self._run = Run(self._invocation, self._settings, runtime.clock, self._recorder)
        self._started = self._now()

    def handle(self, raw: bytes | str) -> Any:
        """Ensure what the event asks for; the answer for its trigger.

        Raise InvalidRequest, BackupFailed or BackupPending for the triggers that take no other answer, always after
        every record is out.
        """
        kind, events = TriggerKind.MANUAL, []
        try:
            events = read_events(raw, self._invocation.request_id)
            kind = report.kind_of(events)
            if events[0].method not in ("", "POST"):
                fault = f"{events[0].method} is no way to ask for a backup: POST a JSON object"
                return self._refuse(kind, events, InvalidRequest([fault]), 405)
            requests = self._read(events)
        except InvalidRequest as error:
            return self._refuse(kind, events, error, 400)
        except ApiError as error:
            return self._unselected(kind, events, error)
        cases = self._run.cases(requests)
        if len(cases) > self._settings.shard_size and not any(request.follow for request in requests):
            shards, unfollowed = self._split(requests, cases)
            return self._answer(kind, requests, cases, unfollowed, shards)
        self._await_due(requests)
        self._run.ensure(cases)
        self._expire(requests, cases)
        return self._answer(kind, requests, cases, self._follow_up(requests, cases))

    def _read(self, events: Sequence[Event]) -> list[Request]:
        now = self._now()
        requests = read_requests(events, self._invocation, self._settings, now)
        for name in self._settings.unknown:
            self._recorder.warning(f"{name} is no setting of this function, and was ignored: is it misspelt?")
        for event, request in zip(events, requests, strict=True):
            if event.warning:
                self._recorder.warning(event.warning, request=request)
        selected = self._run.select(requests)
        empty = [request for request in selected if not request.targets]
        if empty:
            raise InvalidRequest(
                [f"tags {json.dumps(request.tags)} select no instance in {request.region}" for request in empty]
            )
        return merge(selected, self._settings.max_instances)

    def _await_due(self, requests: Sequence[Request]) -> None:
        """That a delay is honoured could not be confirmed: a follow-up that comes early waits out the rest."""
        for request in requests:
            if request.follow:
                early = min((request.follow.due - self._now()).total_seconds(), self._settings.follow_seconds)
                left = Deadline(self._clock, self._invocation.stop_work_at).remaining()
                if early > 0 and left > 0:
                    self._clock.sleep(min(early, left * 0.85))

    def _expire(self, requests: Sequence[Request], cases: Sequence[Case]) -> None:
        for request in requests:
            if is_expired(request, self._settings, self._now()):
                for case, outcome in follow.expire(_of(request, cases), self._settings):
                    self._run.conclude(case, outcome)

    def _follow_up(self, requests: Sequence[Request], cases: Sequence[Case]) -> str | None:
        """Hand over what is not final. The reason why something will not be followed up, None where all will be."""
        seconds = self._settings.follow_seconds
        followed = [request for request in requests if seconds and not request.dry_run]
        parts = [
            part
            for request in followed
            for part in follow.follow_ups(request, _of(request, cases), self._settings, self._started, self._now())
        ]
        unsent = self._unsent(self._send(parts, seconds))
        left = [case.request for case in cases if case.outcome.state is State.PENDING and case.request not in followed]
        if left and not unsent:
            return "a dry run is not followed" if left[0].dry_run else "BACKUP_FOLLOW_SECONDS is 0"
        return unsent

    def _split(self, requests: Sequence[Request], cases: Sequence[Case]) -> tuple[list[dict[str, Any]], str | None]:
        """A large request becomes asynchronous invocations: Function Compute is the distributed engine."""
        parts = [
            part
            for request in requests
            for part in follow.shards(request, _of(request, cases), self._settings, self._now())
        ]
        sent = self._send(parts, 0)
        for part in sent:
            for case in part.cases if part.problem else ():
                self._run.conclude(case, Outcome(State.PENDING, error=part.problem))
        shards = [
            {"task_id": part.task_id, "instances": len(part.cases), "sent": part.problem is None} for part in sent
        ]
        return shards, self._unsent(sent)

    def _send(self, parts: Sequence[follow.Part], delay: int) -> list[follow.Part]:
        """Send all parts; one that could not be sent has a problem afterwards."""
        steps = [partial(follow.send, part, delay, self._invocation, self._settings, self._clock) for part in parts]
        deadline = Deadline(self._clock, self._invocation.stop_sending_at)
        sent = side_by_side(steps, self._settings.concurrency, deadline)
        return [
            each or replace(part, problem=sdk.out_of_time().problem) for part, each in zip(parts, sent, strict=True)
        ]

    def _unsent(self, parts: Sequence[follow.Part]) -> str | None:
        """Why some of these could not be sent; None where all were."""
        problem = next((part.problem for part in parts if part.problem), None)
        if problem is None:
            return None
        resource = function_compute.FunctionName.of(self._invocation).resource
        what = f"fc:InvokeFunction on {resource}"
        self._recorder.warning(f"the function could not invoke itself ({what})", problem=problem)
        return f"{what}: {problem.message} ({problem.code}); {problem.hint or 'send the request again'}"

    def _answer(
        self,
        kind: TriggerKind,
        requests: Sequence[Request],
        cases: Sequence[Case],
        unfollowed: str | None,
        shards: Sequence[dict[str, Any]] = (),
    ) -> Any:
        made = report.make_report(self._invocation.request_id, kind, requests, cases, shards)
        level = "ERROR" if not made["ok"] else "WARNING" if unfollowed else "INFO"
        self._recorder.report(level, {**report.log_fields(made), "hint": unfollowed})
        return report.answer(kind, made, unfollowed)

    def _refuse(self, kind: TriggerKind, events: Sequence[Event], error: InvalidRequest, status: int) -> Any:
        self._nothing_started(kind, events, {"error_code": "InvalidRequest", "error_message": str(error)})
        return report.refusal(kind, error, status)

    def _unselected(self, kind: TriggerKind, events: Sequence[Event], error: ApiError) -> Any:
        """The tags could not be looked up, so it is not even known which instances are meant."""
        fields = error_fields(error.problem)
        self._nothing_started(kind, events, {**fields, "hint": fields["hint"] or "send the event again"})
        return report.unselected(kind, error.problem)

    def _nothing_started(self, kind: TriggerKind, events: Sequence[Event], fields: dict[str, Any]) -> None:
        trigger_id = ",".join(dict.fromkeys(event.id for event in events))
        self._recorder.report("ERROR", {"trigger": kind.value, "trigger_id": trigger_id, "ok": False, **fields})

    def _now(self) -> datetime:
        return timestamps.from_epoch(self._clock.time())


def _of(request: Request, cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.request is request]

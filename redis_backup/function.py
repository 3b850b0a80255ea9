"""One invocation from end to end: event → request → backups → records, follow-ups and report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from redis_backup import follow, report, timestamps
from redis_backup.api_errors import ApiError
from redis_backup.ensure import Case
from redis_backup.errors import InvalidRequest
from redis_backup.event import Event, TriggerKind, read_events
from redis_backup.invocation import Invocation
from redis_backup.pace import Deadline
from redis_backup.records import Recorder, error_fields
from redis_backup.request import Request, merge, read_requests
from redis_backup.run import Run, is_expired
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
        kind = TriggerKind.MANUAL
        try:
            events = read_events(raw, self._invocation.request_id)
            kind = report.kind_of(events)
            if events[0].method not in ("", "POST", "PUT"):
                fault = f"{events[0].method} is no way to ask for a backup: POST a JSON object"
                return self._refuse(kind, InvalidRequest([fault]), 405)
            requests = self._read(events)
        except InvalidRequest as error:
            return self._refuse(kind, error, 400)
        except ApiError as error:
            return self._unselected(kind, error)
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
        for event, request in zip(events, requests, strict=True):
            if event.warning:
                self._recorder.warning(event.warning, request=request)
        selected = [self._run.select(request) for request in requests]
        empty = [request for request in selected if not request.targets]
        if empty:
            raise InvalidRequest(
                [f"tags {dict(request.tags)} select no instance in {request.region}" for request in empty]
            )
        return merge(selected, self._settings.max_instances)

    def _await_due(self, requests: Sequence[Request]) -> None:
        """That a delay is honoured could not be confirmed: a follow-up that comes early waits out the rest."""
        for request in requests:
            if request.follow:
                early = min((request.follow.due - self._now()).total_seconds(), self._settings.follow_seconds)
                left = Deadline(self._clock, self._invocation.stop_work_at).remaining()
                if early > 0 and left > 0:
                    self._clock.sleep(min(early, left / 2))

    def _expire(self, requests: Sequence[Request], cases: Sequence[Case]) -> None:
        for request in requests:
            if is_expired(request, self._settings, self._now()):
                for case, outcome in follow.expire(_of(request, cases), self._settings):
                    self._run.conclude(case, outcome)

    def _follow_up(self, requests: Sequence[Request], cases: Sequence[Case]) -> str | None:
        """Hand over what is not final. The reason why something will not be followed up, None where all will be."""
        open_cases = [case for case in cases if not case.outcome.state.is_final]
        seconds = self._settings.follow_seconds
        if not seconds or any(case.request.dry_run for case in open_cases):
            why = "a dry run is not followed" if seconds else "BACKUP_FOLLOW_SECONDS is 0"
            return why if any(case.outcome.state is State.PENDING for case in open_cases) else None
        parts = [
            part
            for request in requests
            for part in follow.follow_ups(request, _of(request, cases), self._settings, self._started, self._now())
        ]
        return self._unsent([self._send(part, seconds) for part in parts])

    def _split(self, requests: Sequence[Request], cases: Sequence[Case]) -> tuple[list[dict[str, Any]], str | None]:
        """A large request becomes asynchronous invocations: Function Compute is the distributed engine."""
        parts = [
            part
            for request in requests
            for part in follow.shards(request, _of(request, cases), self._settings, self._now())
        ]
        sent = [self._send(part, 0) for part in parts]
        for part in sent:
            for case in part.cases if part.problem else ():
                self._run.conclude(case, Outcome(State.PENDING, error=part.problem))
        shards = [
            {"task_id": part.task_id, "instances": len(part.cases), "sent": part.problem is None} for part in sent
        ]
        return shards, self._unsent(sent)

    def _send(self, part: follow.Part, delay: int) -> follow.Part:
        return follow.send(part, delay, self._invocation, self._settings, self._clock)

    def _unsent(self, parts: Sequence[follow.Part]) -> str | None:
        """Why some of these could not be sent; None where all were."""
        problem = next((part.problem for part in parts if part.problem), None)
        if problem is None:
            return None
        self._recorder.warning("the function could not invoke itself", problem=problem)
        return f"{problem.message} ({problem.code}); {problem.hint or 'send the request again'}"

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

    def _refuse(self, kind: TriggerKind, error: InvalidRequest, status: int) -> Any:
        fields = {"trigger": kind.value, "error_code": "InvalidRequest", "error_message": str(error), "ok": False}
        self._recorder.report("ERROR", fields)
        return report.refusal(kind, error, status)

    def _unselected(self, kind: TriggerKind, error: ApiError) -> Any:
        """The tags could not be looked up, so it is not even known which instances are meant."""
        self._recorder.report("ERROR", {"trigger": kind.value, "ok": False, **error_fields(error.problem)})
        return report.unselected(kind, error.problem)

    def _now(self) -> datetime:
        return timestamps.from_epoch(self._clock.time())


def _of(request: Request, cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.request is request]

"""One invocation from end to end: event → request → observe, decide, act → records, follow-ups and report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from redis_backup import timestamps
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.context import Context
from redis_backup.errors import InvalidRequest
from redis_backup.followups.handover import Handover
from redis_backup.followups.payload import read_follow
from redis_backup.reconcile.reconciler import Reconciler
from redis_backup.reconcile.watch import LEAST_TIMEOUT, ROOM
from redis_backup.reconcile.work import Unfollowed, Work
from redis_backup.reporting import answers
from redis_backup.reporting.closing import Closing
from redis_backup.reporting.records import Recorder
from redis_backup.request.events import Event, TriggerKind, read_events
from redis_backup.request.request import Request, merge, read_request, too_many
from redis_backup.runtime import Runtime
from redis_backup.settings import Settings
from redis_backup.states import Outcome, State

_EVENTBRIDGE = 200.0  # seconds that its invocations watch at most: a push may take five minutes


def handle(raw: bytes | str, context: Any, runtime: Runtime) -> Any:
    """Ensure what an event asks for; the answer for its trigger.

    Raise InvalidRequest, BackupFailed or BackupPending for the triggers that take no other answer, always after every
    record is out; InvalidSetting where the function's own settings or credentials are wrong.
    """
    here = Context.from_runtime(context, runtime.environ, runtime.clock)
    return _Invocation(here, Settings.from_environ(runtime.environ), runtime).handle(raw)


class _Invocation:
    """One invocation's way, from its event to its answer."""

    def __init__(self, context: Context, settings: Settings, runtime: Runtime) -> None:
        self._context, self._settings, self._clock = context, settings, runtime.clock
        self._recorder = Recorder(runtime, context.request_id)
        self._reconciler = Reconciler(context, settings, runtime.clock, self._recorder)
        began = timestamps.from_epoch(runtime.clock.time())
        warn = self._recorder.warning
        self._handover = Handover(context, settings, runtime.clock, began, lambda text, why: warn(text, problem=why))

    def handle(self, raw: bytes | str) -> Any:
        """Read the event, work on its instances, hand over what is not final, and answer."""
        kind, events = TriggerKind.MANUAL, list[Event]()
        try:
            events = read_events(raw, self._context.request_id)
            kind = answers.trigger_kind(events)
            if events[0].method not in ("", "POST"):
                fault = f"{events[0].method} is no way to ask for a backup: POST a JSON object"
                raise InvalidRequest([fault], status=405)
            asked, refused = self._read(events)
        except InvalidRequest as error:
            self._recorder.nothing_started(kind, events, error_code="InvalidRequest", error_message=str(error))
            return answers.refusal(kind, error)
        except ApiError as error:
            self._recorder.nothing_started(kind, events, problem=error.problem)
            return answers.unselected(kind, error.problem)
        requests, shared = merge(asked)
        works = {request: [Work.from_request(request, each) for each in request.instances] for request in requests}
        closing = Closing(self._context.request_id, kind, works, shared, self._recorder, refused)
        is_large = sum(map(len, works.values())) > self._settings.shard_size
        if is_large and not any(request.follow for request in requests):
            split = self._handover.split(works)
            if split.is_in_vain:  # as many instances as time allows
                every = [work for own in works.values() for work in own]
                self._reconciler.run(every, watch_until=self._context.stop_work_at)
                return closing.close(dict.fromkeys(requests, Unfollowed(split.why or "")))
            for work, problem in split.unsent:
                self._reconciler.record(work, Outcome(State.PENDING, error=problem))
            return closing.split(split.listed, split.why)
        return closing.close(self._work(kind, works))

    def _read(self, events: Sequence[Event]) -> tuple[list[Request], InvalidRequest | None]:
        """All requests with their instances, and what is wrong with the other events of a batch.

        Raise InvalidRequest where no event is left, ApiError where the tags of a single one cannot be looked up.
        """
        for name in self._settings.unknown:
            self._recorder.warning(f"{name} is no setting of this function, and was ignored: is it misspelt?")
        now = timestamps.from_epoch(self._clock.time())
        requests, faults = [], list[str]()
        for number, event in enumerate(events, 1):
            try:
                request = read_request(event, self._context, self._settings, now, read_follow)
                requests.append(self._selected(request))
                if event.warning:
                    self._recorder.warning(event.warning, request=request)
            except (InvalidRequest, ApiError) as error:
                if len(events) == 1:
                    raise
                self._recorder.refused(event, str(error))
                told = (
                    error.faults if isinstance(error, InvalidRequest) else [f"the tags could not be looked up: {error}"]
                )
                faults += [f"event {number} of {len(events)} ({event.id or 'no ID'}): {fault}" for fault in told]
        if not requests:
            raise InvalidRequest(faults)
        started = "Nothing was started for these; the other events of the batch go on"
        return requests, InvalidRequest(faults, started=started) if faults else None

    def _selected(self, request: Request) -> Request:
        """The request with the instances that its tags select."""
        selected = self._reconciler.select(request)
        if not selected.instances:
            raise InvalidRequest([f"tags {json.dumps(request.tags)} select no instance in {request.region}"])
        if len(selected.instances) > self._settings.max_instances:
            raise InvalidRequest([too_many(len(selected.instances), self._settings.max_instances)])
        return selected

    def _work(self, kind: TriggerKind, works: Mapping[Request, Sequence[Work]]) -> dict[Request, Unfollowed]:
        """Bring all instances as far as they can be brought, and hand over the rest; why that is not possible."""
        every = [work for own in works.values() for work in own]
        began, last = self._context.started, self._context.stop_work_at
        wait_until = began + max((request.wait_seconds for request in works), default=0)
        watch_until = {TriggerKind.EVENTBRIDGE: began + _EVENTBRIDGE, TriggerKind.TIMER: last, TriggerKind.FOLLOW: last}
        self._await_due(works)
        self._reconciler.run(every, wait_until=wait_until, watch_until=watch_until.get(kind, wait_until))
        self._reconciler.expire(every)
        unfollowed = self._handover.follow_up(works)
        if left := [work for request in unfollowed for work in works[request] if work.wants_watch]:
            self._reconciler.run(left, watch_until=last)  # nothing else will watch them
        return unfollowed

    def _await_due(self, works: Mapping[Request, Sequence[Work]]) -> None:
        """That delays are honoured could not be confirmed: a follow-up that is early waits, and watches meanwhile."""
        for request, own in works.items():
            if request.follow is None or self._seconds_to(request) <= 0:
                continue
            self._reconciler.run(
                [work for work in own if work.known.current is None], watch_until=self._context.stop_work_at
            )
            left = self._reconciler.deadline.remaining()
            room = ROOM if self._context.timeout >= LEAST_TIMEOUT else 0.15 * left
            if (pause := min(self._seconds_to(request), left - room)) > 0:
                self._clock.sleep(pause)

    def _seconds_to(self, request: Request) -> float:
        due = request.follow.due if request.follow else request.since
        return (due - timestamps.from_epoch(self._clock.time())).total_seconds()

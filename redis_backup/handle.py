"""One invocation from end to end: event → request → observe, decide, act → records, follow-ups and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.backoff import Deadline
from redis_backup.context import Context, time_in
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
from redis_backup.request.reader import Defaults, read_request
from redis_backup.request.request import Request, merge
from redis_backup.runtime import Runtime, utc_now
from redis_backup.settings import Settings
from redis_backup.states import Outcome, Problem, State

_EVENTBRIDGE = 200.0  # seconds that its invocations watch at most: a push may take five minutes
_LOOKUP_OF_A_BATCH = 30.0  # seconds that the tags of all events of a batch may take


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
        began = utc_now(runtime.clock)
        warn = self._recorder.warning
        self._handover = Handover(context, settings, runtime.clock, began, lambda text, why: warn(text, problem=why))

    def handle(self, raw: bytes | str) -> Any:
        """Read the event, work on its instances, hand over what is not final, and answer."""
        kind, events = TriggerKind.MANUAL, list[Event]()
        try:
            events = read_events(raw, self._context.request_id)
            kind = answers.trigger_kind(events)
            if events[0].method not in ("", "POST"):
                error = f"{events[0].method} is no way to ask for a backup: POST a JSON object"
                raise InvalidRequest([error], status=405)
            asked, refused, unselected = self._read(events)
        except InvalidRequest as error:
            self._recorder.nothing_started(kind, events, error_code="InvalidRequest", error_message=str(error))
            return answers.refusal(kind, error)
        except ApiError as error:
            self._recorder.nothing_started(kind, events, problem=error.problem)
            return answers.unselected(kind, error.problem)
        requests, shared = merge(asked)
        works = {request: [Work.from_request(request, each) for each in request.instances] for request in requests}
        closing = Closing(self._context.request_id, kind, works, shared, self._recorder, refused, unselected)
        every = [work for own in works.values() for work in own]
        if len(every) <= self._settings.shard_size or any(request.follow for request in requests):
            return closing.close(self._work(kind, works, every))
        split = self._handover.split(works)
        if split.is_in_vain:  # as many instances as time allows
            self._reconciler.run(every, watch_until=self._last_watch(kind))
            left = [request for request in requests if not request.dry_run]
            return closing.close(dict.fromkeys(left, Unfollowed(split.why or "")))
        for work in every:
            work.outcome = Outcome(State.PENDING)  # what runs, its shard tells
        for work, problem in split.unsent:
            self._reconciler.record(work, Outcome(State.PENDING, error=problem))
        return closing.split(split.listed, split.why)

    def _read(self, events: Sequence[Event]) -> tuple[list[Request], InvalidRequest | None, Problem | None]:
        """All requests with their instances; what is wrong with other events of the batch; and why the tags of some
        could not be looked up.

        Raise InvalidRequest or ApiError where no event is left.
        """
        for name in self._settings.unknown:
            self._recorder.warning(f"{name} is no setting of this function, and was ignored: is it misspelt?")
        until = self._reconciler.deadline.at
        if len(events) > 1:  # the neighbours of one that cannot be looked up are to be prompt
            until = min(until, self._clock.monotonic() + _LOOKUP_OF_A_BATCH)
        read = [self._read_one(event, until) for event in events]
        requests = [each for each in read if isinstance(each, Request)]
        refused = answers.refused_events(events, read)
        unselected = [each for each in read if isinstance(each, ApiError)]
        if len(events) > 1:
            for event, each in zip(events, read, strict=True):
                if not isinstance(each, Request):
                    self._recorder.refused(event, each.problem if isinstance(each, ApiError) else each)
        if not requests:
            raise refused or unselected[0]
        return requests, refused, unselected[0].problem if unselected else None

    def _read_one(self, event: Event, until: float) -> Request | InvalidRequest | ApiError:
        """One event's request, or why there is none; its tags are looked up until then at most."""
        now = utc_now(self._clock)
        try:
            request = read_request(event, self._defaults(now), now, read_follow)
            request = self._reconciler.select(request, Deadline(self._clock, until))
        except (InvalidRequest, ApiError) as error:
            return error
        if event.warning:
            self._recorder.warning(event.warning, request=request)
        return request

    def _defaults(self, now: datetime) -> Defaults:
        """What a request has that names none itself."""
        settings, since = self._settings, time_in(self._context.request_id, now)
        return Defaults(self._context.region, settings.retention_days, since, settings.max_instances)

    def _work(
        self, kind: TriggerKind, works: Mapping[Request, Sequence[Work]], every: Sequence[Work]
    ) -> dict[Request, Unfollowed]:
        """Bring all instances as far as they can be brought, and hand over the rest; why that is not possible."""
        wait_until = self._context.started + max((request.wait_seconds for request in works), default=0)
        is_asked = kind in (TriggerKind.MANUAL, TriggerKind.HTTP)
        self._await_due(works)
        left = [work for work in every if work.is_open]
        self._reconciler.run(
            left, wait_until=wait_until, watch_until=wait_until if is_asked else self._last_watch(kind)
        )
        self._reconciler.expire(every)
        unfollowed = self._handover.follow_up(works)
        if left := [work for request in unfollowed for work in works[request] if work.wants_watch]:
            self._reconciler.run(left, watch_until=self._last_watch(kind))  # nothing else will watch them
        return unfollowed

    def _last_watch(self, kind: TriggerKind) -> float:
        """Until when, on the monotonic clock, an invocation watches at most, whoever follows up."""
        last = self._context.stop_work_at
        return min(last, self._context.started + _EVENTBRIDGE) if kind is TriggerKind.EVENTBRIDGE else last

    def _await_due(self, works: Mapping[Request, Sequence[Work]]) -> None:
        """That delays are honoured could not be confirmed: a follow-up that is early waits, and watches meanwhile."""
        for request, own in works.items():
            if request.follow is None or request.follow.due <= utc_now(self._clock):
                continue
            self._reconciler.run(
                [work for work in own if work.known.current is None], watch_until=self._context.stop_work_at
            )
            left = self._reconciler.deadline.remaining()
            room = ROOM if self._context.timeout >= LEAST_TIMEOUT else 0.15 * left
            pause = min((request.follow.due - utc_now(self._clock)).total_seconds(), left - room)
            if pause > 0 and any(work.is_open for work in own):
                self._clock.sleep(pause)

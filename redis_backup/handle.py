"""Handle one invocation from end to end: event → request → observe, decide, act → records, follow-ups and report.

An event that asks for a check goes to `redis_backup.check` instead, and starts no backup.

An event can be *delivered* more than once. Instances that are not in a final state when the invocation ends are looked
at again by a *follow-up*, an invocation that the function sends to itself. A large request is first split into
*shards*, which are sent in the same way (`redis_backup.followups.payload`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.backoff import Deadline
from redis_backup.check.checker import Checker
from redis_backup.context import Context, request_time
from redis_backup.errors import InvalidRequest
from redis_backup.followups.handover import Handover
from redis_backup.followups.payload import read_follow_up
from redis_backup.reconcile.reconciler import Reconciler
from redis_backup.reconcile.watch import MIN_TIMEOUT, TIME_FOR_WATCH
from redis_backup.reconcile.work import NotFollowed, WorkItem
from redis_backup.reporting import answers
from redis_backup.reporting.closing import Closing
from redis_backup.reporting.records import Recorder
from redis_backup.request.events import Event, TriggerKind, read_events
from redis_backup.request.reader import Defaults, asks_for_check, read_request
from redis_backup.request.request import Request, merge
from redis_backup.runtime import Runtime, utc_now
from redis_backup.settings import Settings
from redis_backup.states import Outcome, Problem, State

_EVENTBRIDGE_WATCH = 200.0  # seconds that EventBridge's invocations watch at most: it waits five minutes for an answer
_BATCH_LOOKUP = 30.0  # seconds that listing the tagged instances of all events of a batch may take


def handle(raw: bytes | str, context: Any, runtime: Runtime) -> Any:
    """Ensure the backups that an event asks for, and return the answer for its trigger.

    Raise InvalidRequest, BackupFailed or BackupPending for triggers that ignore a returned answer, always after every
    record was written; raise InvalidSetting if the function's settings or credentials are wrong.
    """
    own_context = Context.from_runtime(context, runtime.environ, runtime.clock)
    events = _read_events(raw, own_context.request_id)
    if isinstance(events, list) and len(events) == 1 and asks_for_check(events[0]):
        settings, errors = Settings.read(runtime.environ)
        return Checker(own_context, settings, errors, runtime).answer(events[0])
    own_context.require_credentials()
    return _Invocation(own_context, Settings.from_environ(runtime.environ), runtime).handle(events)


def _read_events(raw: bytes | str, request_id: str) -> list[Event] | InvalidRequest:
    """Return the events, or the error that has to be recorded when it is known that the settings are good."""
    try:
        return read_events(raw, request_id)
    except InvalidRequest as error:
        return error


class _Invocation:
    """One invocation, from its event to its answer."""

    def __init__(self, context: Context, settings: Settings, runtime: Runtime) -> None:
        self._context, self._settings, self._clock = context, settings, runtime.clock
        self._recorder = Recorder(runtime, context.request_id)
        began = utc_now(runtime.clock)
        warn = self._recorder.warning
        self._handover = Handover(context, settings, runtime.clock, began, lambda text, why: warn(text, problem=why))
        self._reconciler = Reconciler(context, settings, runtime.clock, self._recorder, self._handover.send_reading)

    def handle(self, read: Sequence[Event] | InvalidRequest) -> Any:
        """Work on the instances of the events, send follow-ups for what is not final, and return the answer."""
        kind, events = TriggerKind.MANUAL, list[Event]()
        try:
            if isinstance(read, InvalidRequest):
                raise read
            events, kind = list(read), answers.trigger_kind(read)
            if events[0].method not in ("", "POST"):
                error = f"the HTTP method is {events[0].method} but must be POST; send a JSON object"
                raise InvalidRequest([error], status=405)
            requests, refused, lookup_error = self._read(events)
        except InvalidRequest as error:
            self._recorder.nothing_started(kind, events, error_code="InvalidRequest", error_message=str(error))
            return answers.refusal(kind, error)
        except ApiError as error:
            self._recorder.nothing_started(kind, events, problem=error.problem)
            return answers.lookup_failed(kind, error.problem)
        requests, shared = merge(requests)
        items_by_request = {
            request: [WorkItem.from_request(request, each) for each in request.instances] for request in requests
        }
        closing = Closing(
            self._context.request_id, kind, items_by_request, shared, self._recorder, refused, lookup_error
        )
        all_items = [item for items in items_by_request.values() for item in items]
        if len(all_items) <= self._settings.shard_size or any(request.follow_up for request in requests):
            return closing.close(*self._work(kind, items_by_request, all_items))
        shards = self._handover.send_shards(items_by_request)
        if shards.none_sent:  # then this invocation works on as many instances as its time allows
            self._reconciler.run(all_items, watch_until=self._watch_deadline(kind))
            real_requests = [request for request in requests if not request.dry_run]
            return closing.close(dict.fromkeys(real_requests, NotFollowed(shards.reason or "")))
        for item in all_items:
            item.outcome = Outcome(State.PENDING)  # the shard records the real state
        for item, problem in shards.unsent:
            self._reconciler.record(item, Outcome(State.PENDING, error=problem))
        return closing.close_split(shards.entries, shards.reason)

    def _read(self, events: Sequence[Event]) -> tuple[list[Request], InvalidRequest | None, Problem | None]:
        """Return all requests with their instances; the errors of other events of the batch; and why the instances with
        the tags of some events could not be listed.

        Raise InvalidRequest or ApiError if no event is left.
        """
        for name in self._settings.unknown:
            self._recorder.warning(f"{name} is not a setting of this function and was ignored; check its spelling")
        until = self._reconciler.deadline.at
        if len(events) > 1:  # the other events must not wait too long for one whose tags cannot be looked up
            until = min(until, self._clock.monotonic() + _BATCH_LOOKUP)
        read = [self._read_event(event, until) for event in events]
        requests = [each for each in read if isinstance(each, Request)]
        refused = answers.refused_events(events, read)
        lookup_errors = [each for each in read if isinstance(each, ApiError)]
        if len(events) > 1:
            for event, each in zip(events, read, strict=True):
                if not isinstance(each, Request):
                    self._recorder.refused(event, each.problem if isinstance(each, ApiError) else each)
        if not requests:
            raise refused or lookup_errors[0]
        return requests, refused, lookup_errors[0].problem if lookup_errors else None

    def _read_event(self, event: Event, until: float) -> Request | InvalidRequest | ApiError:
        """Return an event's request, or the error that prevents it. `until`: when listing its instances has to end."""
        now = utc_now(self._clock)
        try:
            request = read_request(event, self._defaults(now), now, read_follow_up)
            if request.is_check:
                raise InvalidRequest(["check must be sent alone, not in a batch with other events"])
            request = self._reconciler.select(request, Deadline(self._clock, until))
        except (InvalidRequest, ApiError) as error:
            return error
        if event.warning:
            self._recorder.warning(event.warning, request=request)
        return request

    def _defaults(self, now: datetime) -> Defaults:
        """Return the values for fields that a request does not have."""
        return Defaults.from_settings(self._settings, self._context.region, request_time(self._context.request_id, now))

    def _work(
        self, kind: TriggerKind, items_by_request: Mapping[Request, Sequence[WorkItem]], all_items: Sequence[WorkItem]
    ) -> tuple[dict[Request, NotFollowed], set[Request]]:
        """Work on all instances, and send follow-ups. Return the requests that have no follow-up, and why.

        Return also those that have one in any case, sent before files were read.
        """
        wait_until = self._context.started + max((request.wait_seconds for request in items_by_request), default=0)
        self._wait_until_due(items_by_request)
        open_items = [item for item in all_items if item.is_open]
        self._reconciler.run(
            open_items, wait_until=wait_until, watch_until=wait_until if kind.has_caller else self._watch_deadline(kind)
        )
        watch_until = self._watch_deadline(kind)
        self._reconciler.expire(all_items)
        followed = set[Request]()
        if to_read := [item for item in all_items if item.is_open and item.to_read and item.is_reading]:
            # First: reading may take longer than there is time.
            not_sent = self._handover.send_follow_ups(items_by_request)
            followed = {item.request for item in to_read} - not_sent.keys()
            self._reconciler.read(to_read, wait_until=wait_until, watch_until=watch_until)
        not_followed = self._handover.send_follow_ups(items_by_request)
        left = [item for request in not_followed for item in items_by_request[request] if item.is_left]
        if unwatched := [item for item in left if item.needs_watch]:
            self._reconciler.run(unwatched, watch_until=watch_until)  # no follow-up will watch them
        self._reconciler.read(left, wait_until=wait_until, watch_until=watch_until)
        return not_followed, followed

    def _watch_deadline(self, kind: TriggerKind) -> float:
        """Return until when, on the monotonic clock, an invocation watches at most, with or without follow-ups."""
        last = self._context.stop_work_at
        return min(last, self._context.started + _EVENTBRIDGE_WATCH) if kind is TriggerKind.EVENTBRIDGE else last

    def _wait_until_due(self, items_by_request: Mapping[Request, Sequence[WorkItem]]) -> None:
        """Wait if a follow-up came before it is due, and watch meanwhile. (FC may ignore an invocation's delay.)"""
        for request, items in items_by_request.items():
            if request.follow_up is None or request.follow_up.due <= utc_now(self._clock):
                continue
            self._reconciler.run(
                [item for item in items if item.known.current is None], watch_until=self._context.stop_work_at
            )
            remaining = self._reconciler.deadline.remaining()
            reserved = TIME_FOR_WATCH if self._context.timeout >= MIN_TIMEOUT else 0.15 * remaining
            pause = min((request.follow_up.due - utc_now(self._clock)).total_seconds(), remaining - reserved)
            if pause > 0 and any(item.is_open for item in items):
                self._clock.sleep(pause)

"""Close an invocation: write its last records and its report, and make the answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from redis_backup.errors import InvalidRequest
from redis_backup.reconcile.work import NotFollowed, WorkItem, incomplete_listing, totals
from redis_backup.reporting import answers
from redis_backup.reporting.answers import Ending
from redis_backup.reporting.records import LOOKUP_FAILED, Recorder
from redis_backup.reporting.report import log_fields, make_report
from redis_backup.request.events import TriggerKind
from redis_backup.request.request import Request, SharedInstance, Totals
from redis_backup.states import ErrorKind, Problem


class Closing:
    """Closes one invocation. `items`: the instances of each request; `shared`: instances that several events name.

    `refused`: the error of invalid events of its batch; `lookup_error`: why the instances with some tags could not be
    listed.
    """

    def __init__(
        self,
        request_id: str,
        kind: TriggerKind,
        items: Mapping[Request, Sequence[WorkItem]],
        shared: Sequence[SharedInstance],
        recorder: Recorder,
        refused: InvalidRequest | None,
        lookup_error: Problem | None,
    ) -> None:
        self._request_id, self._kind, self._items, self._shared = request_id, kind, items, shared
        self._recorder, self._refused, self._lookup_error = recorder, refused, lookup_error

    def close_split(self, shards: Sequence[Mapping[str, object]], not_followed: str | None) -> Any:
        """Return the answer after a request was split into shards, which work on the instances."""
        self._record_shared()
        for request, items in self._items.items():
            if not items and not request.dry_run:  # other events of the batch have all its instances: it has no shard
                self._recorder.request_finished(request, totals(request, items))
        return self._answer(Ending(not_followed=not_followed), shards=shards)

    def close(self, not_followed: Mapping[Request, NotFollowed], followed: Collection[Request] = ()) -> Any:
        """Return the answer after all instances were worked on. `not_followed`: the requests without a follow-up.

        `followed`: those with one that will come in any case, though nothing of them is open: it reports what failed.
        """
        self._record_shared()
        has_failed, failed_before = False, []
        for request, all_items in self._items.items():
            items = [item for item in all_items if not item.is_handed_over]
            is_open = any(item.is_open for item in items)
            totals_now = totals(request, items)
            if all_items and not items and (len(all_items) == 1 or totals_now == Totals()):
                continue  # invocations of their own go on with all of it
            if not is_open and not request.dry_run:
                self._recorder.request_finished(request, totals_now)
            if (not is_open or request in not_followed or request.dry_run) and request not in followed:
                has_failed = has_failed or bool(totals_now.failed or totals_now.unlisted)
                failed_before += self._failed_before(request)
        reasons = (each.reason for request, each in not_followed.items() if self._must_be_sent_again(request, each))
        return self._answer(Ending(has_failed, "; ".join(failed_before), next(reasons, None)))

    def _must_be_sent_again(self, request: Request, not_followed: NotFollowed) -> bool:
        return any(item.outcome.state in not_followed.open_states for item in self._items[request])

    def _record_shared(self) -> None:
        """Record the instances that another event of the batch has taken over."""
        outcomes = {item.instance: item.outcome for items in self._items.values() for item in items}
        for shared in self._shared:
            self._recorder.shared(shared, outcomes[shared.instance])

    def _failed_before(self, request: Request) -> list[str]:
        """Return what earlier invocations reported of a request that is over now."""
        earlier = request.earlier_totals
        parts = [f"{earlier.failed} failed earlier: {', '.join(earlier.failed_ids)[:2000]}"] if earlier.failed else []
        return parts + ([f"{earlier.unlisted} instances were not listed"] if earlier.unlisted else [])

    def _answer(self, end: Ending, shards: Sequence[Mapping[str, object]] = ()) -> Any:
        if self._lookup_error:
            text = f"for other events of the batch {LOOKUP_FAILED}: {self._lookup_error.message}"
            has_failed = end.has_failed or self._lookup_error.kind is ErrorKind.PERMANENT
            end = Ending(has_failed, "; ".join(filter(None, (end.failed_before, text))), end.not_followed or text)
        unlisted = next((request for request in self._items if request.unlisted), None)
        report = make_report(
            self._request_id,
            self._kind,
            list(self._items),
            [item for items in self._items.values() for item in items],
            shards=shards,
            is_ok=not end.has_failed,
            problem=incomplete_listing(unlisted, unlisted.unlisted) if unlisted else self._lookup_error,
        )
        level = "ERROR" if not report["ok"] else "WARNING" if end.not_followed else "INFO"
        self._recorder.report(level, {**log_fields(report), "hint": end.not_followed})
        return answers.answer(self._kind, report, end, self._refused)

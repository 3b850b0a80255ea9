"""The end of an invocation: its closing records, its report, and what its trigger is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis_backup.errors import InvalidRequest
from redis_backup.reconcile.work import Unfollowed, Work, incomplete, totals
from redis_backup.reporting import answers
from redis_backup.reporting.answers import End
from redis_backup.reporting.records import UNSELECTED, Recorder
from redis_backup.reporting.report import log_fields, make_report
from redis_backup.request.events import TriggerKind
from redis_backup.request.request import Request, Shared
from redis_backup.states import ErrorKind, Problem


class Closing:
    """Closes one invocation, whose `works` are the instances of each request.

    `refused`: events of its batch; `unselected`: why the tags of some could not be looked up.
    """

    def __init__(
        self,
        request_id: str,
        kind: TriggerKind,
        works: Mapping[Request, Sequence[Work]],
        shared: Sequence[Shared],
        recorder: Recorder,
        refused: InvalidRequest | None,
        unselected: Problem | None,
    ) -> None:
        self._request_id, self._kind, self._works, self._shared = request_id, kind, works, shared
        self._recorder, self._refused, self._unselected = recorder, refused, unselected

    def split(self, shards: Sequence[Mapping[str, object]], unfollowed: str | None) -> Any:
        """The answer where a request was split: its shards tell the rest."""
        self._tell_shared()
        for request, own in self._works.items():
            if not own and not request.dry_run:  # all its instances belong to others of the batch: it has no shard
                self._recorder.request_finished(request, totals(request, own))
        return self._answer(End(unfollowed=unfollowed), shards=shards)

    def close(self, unfollowed: Mapping[Request, Unfollowed]) -> Any:
        """The answer where all instances were worked on. `unfollowed`: why what is left will not be followed up."""
        self._tell_shared()
        has_failed, failed_before = False, []
        for request, own in self._works.items():
            is_open = any(work.is_open for work in own)
            finished = totals(request, own)
            if not is_open and not request.dry_run:
                self._recorder.request_finished(request, finished)
            if not is_open or request in unfollowed or request.dry_run:
                has_failed = has_failed or bool(finished.failed or finished.unlisted)
                failed_before += self._failed_before(request)
        left = (each.why for request, each in unfollowed.items() if self._is_left(request, each))
        return self._answer(End(has_failed, "; ".join(failed_before), next(left, None)))

    def _is_left(self, request: Request, unfollowed: Unfollowed) -> bool:
        return any(work.outcome.state in unfollowed.leaves for work in self._works[request])

    def _tell_shared(self) -> None:
        """Put on record whose backup it is that another event of the batch named as well."""
        outcomes = {work.instance: work.outcome for own in self._works.values() for work in own}
        for shared in self._shared:
            self._recorder.shared(shared, outcomes[shared.instance])

    def _failed_before(self, request: Request) -> list[str]:
        """What earlier invocations told of a request that is over now."""
        finished = request.finished
        told = [f"{finished.failed} failed before: {', '.join(finished.failed_ids)[:2000]}"] if finished.failed else []
        return told + ([f"{finished.unlisted} instances were not listed"] if finished.unlisted else [])

    def _answer(self, end: End, shards: Sequence[Mapping[str, object]] = ()) -> Any:
        if self._unselected:
            text = f"of other events of the batch {UNSELECTED}: {self._unselected.message}"
            has_failed = end.has_failed or self._unselected.kind is ErrorKind.PERMANENT
            end = End(has_failed, "; ".join(filter(None, (end.failed_before, text))), end.unfollowed or text)
        unlisted = next((request for request in self._works if request.unlisted), None)
        report = make_report(
            self._request_id,
            self._kind,
            list(self._works),
            [work for own in self._works.values() for work in own],
            shards=shards,
            is_ok=not end.has_failed,
            problem=incomplete(unlisted, unlisted.unlisted) if unlisted else self._unselected,
        )
        level = "ERROR" if not report["ok"] else "WARNING" if end.unfollowed else "INFO"
        self._recorder.report(level, {**log_fields(report), "hint": end.unfollowed})
        return answers.answer(self._kind, report, end, self._refused)

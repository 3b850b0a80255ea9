"""One report out of many answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from redis_backup import timestamps
from redis_backup.fields import Target
from redis_backup.request import Request
from redis_backup.states import ErrorKind, Outcome, Problem, State


@dataclass(frozen=True)
class Answer:
    """One invocation's report. `shard_size`: into parts of how many instances the function split it, 0 for not."""

    outcomes: Mapping[Target, Outcome]
    shard_size: int = 0


def read_answer(body: bytes) -> Answer:
    """Raise ValueError where it is no JSON, LookupError where it is no report."""
    report = json.loads(body)
    try:
        outcomes = {Target(item["region"], item["instance_id"]): _outcome(item) for item in report["instances"]}
        return Answer(outcomes, max((shard["instances"] for shard in report.get("shards", ())), default=0))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LookupError("no report") from error


class MergedReport:
    """What is known of every instance of a request. `outcomes` is replaced, never changed, so that others can read."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.outcomes: Mapping[Target, Outcome] = dict.fromkeys(request.targets, Outcome(State.PENDING))
        self.jobs: dict[Target, tuple[str, ...]] = {}
        self._handed_over: set[Target] = set()

    def take(self, answer: Answer) -> None:
        """Add what an answer says. A backup that has succeeded stays so, whatever a later look could not see."""
        changed = dict(self.outcomes)
        self._handed_over = (self._handed_over | set(answer.outcomes)) if answer.shard_size else self._handed_over
        for target, outcome in answer.outcomes.items():
            before = changed.get(target)
            if before is None or before.state is not State.SUCCEEDED:
                changed[target] = outcome
            self.jobs[target] = tuple(dict.fromkeys(self.jobs.get(target, ()) + outcome.job_ids))
        self.outcomes = changed

    def are_final(self, targets: Iterable[Target]) -> bool:
        """Whether nothing more will happen to these."""
        return all(self.outcomes[target].state.is_final for target in targets)

    @property
    def is_done(self) -> bool:
        """Whether nothing more will happen at all; not before it is known what the tags select."""
        return bool(self.outcomes) and self.are_final(self.outcomes)

    @property
    def has_pending(self) -> bool:
        """Whether a backup has not begun, though its instance was not handed over to another invocation."""
        return any(
            outcome.state is State.PENDING and target not in self._handed_over
            for target, outcome in self.outcomes.items()
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many instances are in each state."""
        counts = Counter(outcome.state for outcome in self.outcomes.values())
        return {state.value: counts[state] for state in State if counts[state]}

    def as_json(self, error: Mapping[str, str] | None) -> dict[str, Any]:
        """The report in the form of the function's own. `error`: why there is no more of it."""
        return {
            "since": timestamps.render(self.request.since),
            "reason": self.request.reason,
            "dry_run": self.request.dry_run,
            "ok": error is None and State.FAILED.value not in self.counts,
            "done": self.is_done,
            "counts": self.counts,
            "instances": [_item(target, outcome) for target, outcome in self.outcomes.items()],
            "error": error,
        }


def _outcome(item: Mapping[str, Any]) -> Outcome:
    error = item.get("error")
    return Outcome(
        State(item["state"]),
        tuple(str(job_id) for job_id in item["job_ids"]),
        adopted=bool(item.get("adopted")),
        attempts=int(item.get("attempts") or 0),
        progress=item.get("progress"),
        error=Problem(
            str(error["code"]),
            str(error["message"]),
            ErrorKind(error["kind"]),
            error.get("request_id"),
            error.get("hint"),
        )
        if error
        else None,
    )


def _item(target: Target, outcome: Outcome) -> dict[str, Any]:
    return {
        "instance_id": target.instance_id,
        "region": target.region,
        "state": outcome.state.value,
        "job_ids": list(outcome.job_ids),
        "adopted": outcome.adopted,
        "attempts": outcome.attempts,
        "progress": outcome.progress,
        "error": {**asdict(outcome.error), "kind": outcome.error.kind.value} if outcome.error else None,
    }

"""One report, merged from the answers of many invocations."""

from __future__ import annotations

import json
import operator
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from redis_backup import timestamps
from redis_backup.reporting.codec import read_instance, read_problem, write_instance
from redis_backup.request.instances import InstanceRef
from redis_backup.states import Outcome, Problem, Proof, State

from .request import CommandRequest

Jobs = Mapping[str, Any]  # a report's `jobs`, whose content only the function knows
_WATCHING = "Watching"
NO_JOB_IDS = "job IDs: not listed by R-KVStore; see backup_started in the log store"
NOT_READ = "its newest backup has not been read back as asked"
UNKNOWN_FORMAT = "a file is not an RDB file (encrypted by TDE, or another engine's): only a restore proves this backup"
NO_CHECKSUM = "read to the end, but a file has no checksum to compare with (rdbchecksum no)"


@dataclass(frozen=True)
class Answer:
    """One invocation's report.

    `shard_size`: the number of instances in the shards (invocations of their own) into which the function split the
    request, 0 if it did not; `unsent`: how many instances are in shards that could not be sent; `problem`: an error of
    the request as a whole.
    """

    outcomes: Mapping[InstanceRef, Outcome]
    jobs: Jobs = field(default_factory=dict)
    shard_size: int = 0
    unsent: int = 0
    problem: Problem | None = None

    @property
    def is_watched(self) -> bool:
        """Return whether the function watches an instance, to start a backup if no hidden one appears."""
        return any(outcome.error and outcome.error.code == _WATCHING for outcome in self.outcomes.values())

    def without_plans(self) -> Answer:
        """Return the answer to a read-only request: what it would start or read, other invocations do, or will do."""

        def state(outcome: Outcome) -> State:
            if outcome.state is not State.PLANNED:
                return outcome.state
            return State.VERIFYING if _has_backup(outcome) else State.PENDING

        outcomes = {instance: replace(each, state=state(each)) for instance, each in self.outcomes.items()}
        return replace(self, outcomes=outcomes)


def read_answer(body: bytes) -> Answer:
    """Return the report in an invocation's answer. Raise ValueError if it is not JSON, LookupError if not a report.

    `b'{"instances": [{"instance_id": "r-1", "region": "cn-hangzhou", "state": "running", "job_ids": ["1022"]}]}'` →
    `Answer({InstanceRef("cn-hangzhou", "r-1"): Outcome(RUNNING, ("1022",))})`.
    """
    report = json.loads(body)
    try:
        shards = report.get("shards", ())
        return Answer(
            dict(read_instance(item) for item in report["instances"]),
            dict(report.get("jobs") or {}),
            shard_size=max((operator.index(shard["instances"]) for shard in shards), default=0),
            unsent=sum(shard["instances"] for shard in shards if shard["sent"] == "failed"),
            problem=read_problem(report.get("error")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise LookupError("not a report") from error


class MergedReport:
    """The known states of all instances of a request.

    `outcomes` is replaced and never changed, so that another thread can read it; `problem`: an error of the request as
    a whole; `has_answer`: whether the function has answered at all.
    """

    def __init__(self, request: CommandRequest) -> None:
        self.request = request
        self.outcomes: Mapping[InstanceRef, Outcome] = dict.fromkeys(request.instances, Outcome(State.PENDING))
        self.problem: Problem | None = None
        self.has_answer = False
        self._job_ids: dict[tuple[InstanceRef, int], tuple[str, ...]] = {}  # by instance and attempt
        self._handed_over: set[InstanceRef] = set()

    def add(self, answer: Answer) -> None:
        """Add an answer. What has succeeded stays so, even where a later answer does not see it."""
        self.has_answer = True
        changed = dict(self.outcomes)
        self.problem = self.problem or answer.problem
        if answer.shard_size and not answer.unsent:
            self._handed_over |= set(answer.outcomes)
        for instance, outcome in answer.outcomes.items():
            before = changed.get(instance)
            if before is None or before.state is not State.SUCCEEDED:
                changed[instance] = self._with_note(self._with_job_ids(instance, outcome))
        self.outcomes = changed

    def are_final(self, instances: Iterable[InstanceRef]) -> bool:
        """Return whether the states of these instances are final."""
        return all(self.outcomes[instance].state.is_final for instance in instances)

    @property
    def is_done(self) -> bool:
        """Return whether all states are final; False as long as it is not known what the tags select."""
        return bool(self.outcomes) and self.are_final(self.outcomes)

    @property
    def has_pending(self) -> bool:
        """Return whether a backup has not started and no other invocation has been given its instance."""
        return any(
            outcome.state is State.PENDING and instance not in self._handed_over
            for instance, outcome in self.outcomes.items()
        )

    @property
    def is_only_read(self) -> bool:
        """Return whether all backups have ended, and the files of some have to be read."""
        return {outcome.state for outcome in self.outcomes.values() if not outcome.state.is_final} == {State.VERIFYING}

    @property
    def counts(self) -> dict[str, int]:
        """Return how many instances are in each state: `{"running": 2, "failed": 1}`."""
        counts = Counter(outcome.state for outcome in self.outcomes.values())
        return {state.value: counts[state] for state in State if counts[state]}

    def to_dict(self, error: Mapping[str, str] | None) -> dict[str, Any]:
        """Return the report in the form of the function's own. `error`: why it is not complete."""
        return {
            "since": timestamps.render(self.request.since),
            "reason": self.request.reason,
            "dry_run": self.request.dry_run,
            "ok": error is None and State.FAILED.value not in self.counts,
            "done": self.is_done,
            "counts": self.counts,
            "instances": [_item(instance, outcome) for instance, outcome in self.outcomes.items()],
            "error": error,
        }

    def _with_job_ids(self, instance: InstanceRef, outcome: Outcome) -> Outcome:
        """Keep the job IDs of an earlier answer: a cloud-native cluster's backups are listed without any."""
        if outcome.state not in (State.RUNNING, State.VERIFYING, State.SUCCEEDED):
            return outcome
        if not outcome.job_ids:
            outcome = replace(outcome, job_ids=self._job_ids.get((instance, outcome.attempts), ()))
        self._job_ids[instance, outcome.attempts] = outcome.job_ids
        return outcome

    def _with_note(self, outcome: Outcome) -> Outcome:
        """Add what a person has to know of an instance, though nothing is wrong."""
        notes = []
        if outcome.state in (State.RUNNING, State.VERIFYING, State.SUCCEEDED) and not outcome.job_ids:
            notes.append(NO_JOB_IDS)
        if outcome.state is State.PLANNED and _has_backup(outcome):
            notes.append(NOT_READ)
        elif outcome.state is State.PLANNED and self.request.is_audit:
            notes.append(f"no good backup has started since {timestamps.render(self.request.earliest_start)}")
        if outcome.verified == "unknown-format":
            notes.append(UNKNOWN_FORMAT)
        elif outcome.verified == "quick" and (outcome.copies or self.request.proof >= Proof.FULL):
            notes.append(NO_CHECKSUM)
        return replace(outcome, note="; ".join(notes) or None)


def _has_backup(outcome: Outcome) -> bool:
    """Return whether there is a backup of a planned instance, so that only its files would have to be read."""
    return bool(outcome.job_ids) or outcome.adopted


def _item(instance: InstanceRef, outcome: Outcome) -> dict[str, Any]:
    return write_instance(instance, outcome) | ({"note": outcome.note} if outcome.note else {})

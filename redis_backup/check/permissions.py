"""Try R-KVStore in one region: whether it answers, and whether RAM allows each operation. No backup is started.

The gateway of Alibaba Cloud's APIs asks RAM before a service sees a call. So an ID that cannot exist tells whether a
call is allowed: the answer is "denied", or else "not found". That R-KVStore, too, does it in this order is documented
nowhere; docs/deployment.md says what tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from redis_backup.alibaba.api_errors import WRONG_TYPE, ApiError
from redis_backup.alibaba.retries import call_with_retries, run_in_parallel
from redis_backup.alibaba.rkvstore import RKVStore
from redis_backup.backoff import Deadline
from redis_backup.check.patterns import Probe
from redis_backup.request.instances import InstanceRef
from redis_backup.runtime import Clock, utc_now
from redis_backup.states import OUT_OF_TIME, CheckResult, ErrorKind, Problem, out_of_time

_NETWORK_HINT = (
    "check the function's network (internetAccess, or vpcConfig and its NAT gateway), BACKUP_ENDPOINT, and the "
    "region's name"
)
_CODES_HINT = "look up the code in docs/runbook.md, or ask Alibaba Cloud's support with the text"
_CLUSTERS_ONLY = "; without it, backups of cloud-native clusters are not found"


class RegionCheck:
    """The check of one region.

    `is_reached`: whether R-KVStore has answered; `credentials_problem`: why it refused the function's credentials, if
    it did.
    """

    def __init__(
        self,
        region: str,
        client: RKVStore,
        probes: Sequence[Probe],
        clock: Clock,
        deadline: Deadline,
        concurrency: int,
    ) -> None:
        self._region, self._client, self._probes = region, client, probes
        self._clock, self._deadline, self._concurrency = clock, deadline, concurrency
        self.is_reached = False
        self.credentials_problem: Problem | None = None

    def run(self) -> list[CheckResult]:
        """Try everything, and return one result for the region and one for each operation."""
        any_id = self._probes[0].instance.instance_id if self._probes else "r-no-such-instance"
        [error] = self._try([lambda: self._client.describe([any_id])])
        if error and error.is_about_credentials:
            self.credentials_problem = error.problem
        self.is_reached = not (error and _is_unanswered(error))
        if error and not self.is_reached:
            return [CheckResult(self._name("r-kvstore"), False, _unanswered_text(error.problem), _NETWORK_HINT)]
        reached = CheckResult(self._name("r-kvstore"), True, "R-KVStore answers")
        if self.credentials_problem:
            return [reached]
        everything = Probe(InstanceRef(self._region, any_id), "*", cannot_exist=True)
        listed = self._judge("DescribeInstances", [everything], [error])
        return [reached, listed, *self._instance_operations()]

    def _instance_operations(self) -> list[CheckResult]:
        """Return the results of the operations on single instances, tried with every probe, all at the same time."""
        since = utc_now(self._clock) - timedelta(minutes=10)
        client = self._client
        operations: dict[str, Callable[[str], object]] = {
            "DescribeInstanceAttribute": client.describe_one,
            "DescribeBackupTasks": client.backup_tasks,
            "DescribeBackups": lambda instance_id: client.backup_sets(instance_id, since),
            "DescribeClusterBackupList": lambda instance_id: client.cluster_backups(instance_id, since),
            "CreateBackup": self._create_backup,
        }
        tried = {
            name: [probe for probe in self._probes if probe.cannot_exist or name != "CreateBackup"]
            for name in operations
        }
        calls = [(name, probe) for name, probes in tried.items() for probe in probes]
        errors = self._try([partial(operations[name], probe.instance.instance_id) for name, probe in calls])
        return [
            self._judge(name, probes, [error for (other, _), error in zip(calls, errors, strict=True) if other == name])
            for name, probes in tried.items()
        ]

    def _create_backup(self, instance_id: str) -> None:
        """Call CreateBackup for an ID that cannot exist. Raise ApiError, which is what has to come of it."""
        job_ids = self._client.create_backup(instance_id, None)
        message = f"R-KVStore answered job {','.join(job_ids)} for {instance_id}, an ID that no instance can have"
        hint = "look in the console which instance this job belongs to, and delete the backup"
        raise ApiError(Problem("UnexpectedBackup", message, ErrorKind.REFUSED, hint=hint))

    def _judge(self, operation: str, probes: Sequence[Probe], errors: Sequence[ApiError | None]) -> CheckResult:
        """Return the result of an operation: denied for one of the probes, unclear, or allowed."""
        name = self._name(f"kvstore:{operation}")
        if not probes:
            if self._probes:
                what = "cannot be tried without a backup, since BACKUP_ALLOW has no wildcard (*) for this region"
                return CheckResult(name, None, what, "compare the role's policy with deploy/role-policy.json")
            what = "not tried, since BACKUP_ALLOW admits no instance of the region"
            return CheckResult(
                name, None, what, "add the region to BACKUP_ALLOW and to the role's policy, if you want it"
            )
        failed = [(probe, error) for probe, error in zip(probes, errors, strict=True) if error is not None]
        verdicts = [_verdict(name, probe, error) for probe, error in failed]
        for is_ok in (False, None):
            if found := next((each for each in verdicts if each and each.ok is is_ok), None):
                return found
        patterns = ", ".join(dict.fromkeys(probe.pattern for probe in probes))
        return CheckResult(name, True, f"not denied on {patterns}" if failed else f"allowed on {patterns}")

    def _try(self, calls: Sequence[Callable[[], object]]) -> list[ApiError | None]:
        """Make all calls at the same time. Return the error of each, None for a call that has succeeded."""

        def error_of(call: Callable[[], object]) -> list[ApiError | None]:
            try:
                call_with_retries(call, self._clock, self._deadline)
            except ApiError as error:
                return [error]
            return [None]

        done = run_in_parallel([partial(error_of, call) for call in calls], self._concurrency, self._deadline)
        return [ApiError(out_of_time()) if each is None else each[0] for each in done]

    def _name(self, what: str) -> str:
        return f"{what} {self._region}"


def _verdict(name: str, probe: Probe, error: ApiError) -> CheckResult | None:
    """Return what an error says of an operation; None if it shows that the call is not denied."""
    problem = error.problem
    if error.is_denied or error.kind is ErrorKind.REFUSED:
        shown = _with_pattern(problem, probe)
        extra = _CLUSTERS_ONLY if "DescribeClusterBackupList" in name else ""
        return CheckResult(name, False, shown.message, f"{shown.hint or ''}{extra}")
    if error.is_not_found or error.is_one_of(WRONG_TYPE) or error.kind is ErrorKind.BUSY:
        return None  # R-KVStore itself has judged it
    if _is_unanswered(error):
        return CheckResult(name, False, _unanswered_text(problem), _NETWORK_HINT)
    is_about_id = problem.code.lower().startswith(("invalidinstance", "invaliddbinstance"))  # the ID is made up
    if error.kind is ErrorKind.PERMANENT and not is_about_id:
        return CheckResult(name, False, f"refused: {_text(problem)}", problem.hint or _CODES_HINT)
    if error.kind is ErrorKind.TRANSIENT:
        return CheckResult(
            name, False, f"only errors, at every attempt: {_text(problem)}", f"check again; {_CODES_HINT}"
        )
    return CheckResult(name, None, f"not clear, since the answer was: {_text(problem)}", "check again")


def _is_unanswered(error: ApiError) -> bool:
    return error.kind is ErrorKind.UNKNOWN or error.problem.code == OUT_OF_TIME


def _unanswered_text(problem: Problem) -> str:
    return "no answer came in time" if problem.code == OUT_OF_TIME else _text(problem)


def _with_pattern(problem: Problem, probe: Probe) -> Problem:
    """Return a problem whose texts name the pattern and not the ID that was made of it."""
    end = f"instance/{probe.instance.instance_id}"
    message, hint = (text.replace(end, f"instance/{probe.pattern}") for text in (problem.message, problem.hint or ""))
    return replace(problem, message=message, hint=hint)


def _text(problem: Problem) -> str:
    return f"{problem.message} ({problem.code})"

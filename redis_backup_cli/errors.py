"""The errors between the command and the function, by what can be done about them."""

from __future__ import annotations

from redis_backup.alibaba.api_errors import ApiError, matches
from redis_backup.alibaba.function_compute import FunctionName
from redis_backup.states import ErrorKind

_DENIED = ("AccessDenied", "Forbidden", "Forbidden.RAM", "NoPermission")
_CREDENTIALS = ("Signature", "IncompleteSignature", "InvalidAccessKey", "InvalidSecurityToken", "InvalidTimeStamp")
_BUSY_STATUS = (408, 429)


class CommandError(Exception):
    """The command ends, since sending the request again would not help. `exit_code`: the process's."""

    exit_code = 1

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class FunctionBrokenError(CommandError):
    """The function itself is broken or wrongly configured: the caller cannot mend that."""


class RefusedError(CommandError):
    """The caller has to correct something: the request, the function's name, or what RAM allows."""

    exit_code = 2


class NoAnswerError(Exception):
    """It is not known what became of a request; it can be sent again. `retry_after`: in seconds, where the API says."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class NotReachedError(NoAnswerError):
    """The host of Function Compute has no address, so that no request was sent. `hint`: what to check."""

    def __init__(self, host: str, name: FunctionName) -> None:
        super().__init__(f"Function Compute was not reached: {host} has no address")
        self.hint = (
            f"no request was sent; check --region ({name.region}), --account ({name.account_id}), "
            "BACKUP_FC_ENDPOINT if it is set, and this machine's network"
        )


def from_api_error(error: ApiError, name: FunctionName) -> CommandError | NoAnswerError:
    """Return what an error of Function Compute's API means for the caller."""
    problem, code = error.problem, error.problem.code
    if error.kind is not ErrorKind.PERMANENT or error.status in _BUSY_STATUS or error.status >= 500:
        return NoAnswerError(f"{problem.message} ({code})", error.retry_after)
    if code.startswith(_CREDENTIALS):
        return RefusedError(
            f"Function Compute refused the credentials ({code})",
            "check the access key, its token and this machine's clock",
        )
    if matches(code, _DENIED):
        return RefusedError(
            f"RAM does not allow you fc:InvokeFunction on {name.resource}",
            "attach a policy that allows this one action on this one resource to the user or role that runs this",
        )
    if matches(code, ("ServiceNotFound",)):
        return RefusedError(
            f"there is no service {name.service} in {name.region}",
            "check --service and --region; a function of FC 3.0 has no service, so leave --service out for it",
        )
    if matches(code, ("FunctionNotFound",)):
        service = "check --service" if name.service else "a function of FC 2.0 needs --service as well"
        return RefusedError(
            f"there is no function {name.function} in {name.region}", f"check --function and --region; {service}"
        )
    return RefusedError(f"{problem.message} ({code})", problem.hint or "")

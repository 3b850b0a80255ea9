"""Turn an SDK's exception into an ApiError. Its own text is never passed on: it may have URLs and headers."""

from __future__ import annotations

import json
from typing import Any

from redis_backup.alibaba import adapters
from redis_backup.alibaba.api_errors import NO_ADDRESS, ApiError, error_kind, problem_of
from redis_backup.states import ErrorKind, Problem


class UnexpectedAnswerError(Exception):
    """An answer lacks what was asked for. `code`: the answer's own, if it is a definite refusal in an HTTP 200."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        code = body.get("Code") if isinstance(body, dict) else None
        is_definite = isinstance(code, str) and error_kind(code, 200) not in (ErrorKind.UNKNOWN, ErrorKind.TRANSIENT)
        self.data, self.status_code, self.code = body, 200, code if is_definite else None


def unreadable(operation: str) -> ApiError:
    """Return the error for an answer that the API does not document."""
    return ApiError(Problem("NoAnswer", f"{operation}: the answer could not be read", ErrorKind.UNKNOWN))


def credentials_ended(problem: Problem) -> ApiError:
    """Return the error for credentials that were valid when this invocation began and have ended since."""
    hint = "the credentials of this invocation have ended; the next invocation has new ones and continues"
    return ApiError(Problem(problem.code, problem.message, ErrorKind.TRANSIENT, problem.request_id, hint))


def translate(error: Exception, action: str, resource: str, secrets: tuple[str, ...]) -> ApiError:
    """Return the ApiError for an SDK's exception.

    An exception of tea-openapi 0.4.6 that has an answer has `code` and `data`; FcError has `err_code`. The others have
    no answer.
    """
    answer, code = getattr(error, "data", None), getattr(error, "code", None)
    if hasattr(error, "err_code"):
        answer, code = _fc2_answer(error), str(error.err_code or "None")
    if not isinstance(answer, dict) or not code:
        status = adapters.last_status()
        return ApiError(no_answer(error, action, status), status=status)
    code = "" if code == "None" else str(code)
    hint = getattr(error, "retry_after", None)  # the header x-acs-retry-after, in milliseconds
    status = int(getattr(error, "status_code", None) or 0)
    problem = problem_of(
        code,
        status,
        str(answer.get("Message") or answer.get("message") or ""),
        answer.get("RequestId") or answer.get("requestId"),
        action=action,
        resource=resource,
        denied=answer.get("AccessDeniedDetail") if isinstance(answer.get("AccessDeniedDetail"), dict) else None,
        secrets=secrets,
    )
    return ApiError(problem, retry_after=hint / 1000 if isinstance(hint, (int, float)) else None, status=status)


def _fc2_answer(error: Any) -> dict[str, Any]:
    try:
        answer = json.loads(error.message)
    except (TypeError, ValueError):
        answer = {}
    message = answer.get("ErrorMessage") if isinstance(answer, dict) else None
    return {"Message": message or "", "RequestId": error.request_id}


def no_answer(error: BaseException, action: str, status: int) -> Problem:
    """Return the error for a call without an answer. It names the kind of failure; the exception's text has URLs."""
    text = str(error)
    if 300 <= status < 400:
        what = f"answered with a redirect (HTTP {status}), which is never followed"
    elif status:
        what = f"gave an answer that could not be read (HTTP {status})"
    elif "timed out" in text or "timeout" in text.lower():
        what = "did not answer in time"
    elif "resolve" in text or "Name or service" in text:
        what = f"could not be found: {NO_ADDRESS}"
    elif "refused" in text:
        what = "refused the connection"
    elif "onnection" in text or "reset" in text:
        what = "broke the connection"
    else:
        what = "did not give an answer"
    return Problem(
        "NoAnswer",
        f"{action.rpartition(':')[2]}: the API {what}",
        ErrorKind.UNKNOWN,
        hint="the function looks again before it repeats anything; if this happens often, check the function's network "
        "(internetAccess, VPC, BACKUP_ENDPOINT) and the region's name",
    )

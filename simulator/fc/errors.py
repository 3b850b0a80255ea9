"""Function Compute's errors, with the codes and messages of the real service."""

from __future__ import annotations

from simulator.errors import ApiError


def path_not_supported(path: str) -> ApiError:
    """Return the error for a path that is not one of an invocation."""
    return ApiError(404, "PathNotSupported", f"path {path} is not supported")


def signature_not_match(expected: str) -> ApiError:
    """Return the error for a signature of another kind than the path needs."""
    return ApiError(403, "SignatureNotMatch", f"this path takes a signature of the kind {expected}")


def service_not_found(name: str) -> ApiError:
    """Return the error for a service (of generation 2) that does not exist."""
    return ApiError(404, "ServiceNotFound", f"service '{name}' does not exist")


def function_not_found(name: str) -> ApiError:
    """Return the error for a function that does not exist."""
    return ApiError(404, "FunctionNotFound", f"function '{name}' does not exist")


def invalid_argument(message: str) -> ApiError:
    """Return the error for a header with a bad value."""
    return ApiError(400, "InvalidArgument", message)


def payload_too_large(limit: int) -> ApiError:
    """Return the error for an event of more than `limit` bytes."""
    return ApiError(413, "PayloadTooLarge", f"payload size exceeds the limit of {limit} bytes of this invocation type")


def task_exists(task_id: str, status: int) -> ApiError:
    """Return the error for a task ID that was used before. Documents disagree on the status: 409 or 400."""
    message = f"stateful async invocation {task_id} already exists"
    return ApiError(status, "StatefulAsyncInvocationAlreadyExists", message)

"""Function Compute's errors, with the codes and messages of the real service.

https://www.alibabacloud.com/help/en/functioncompute/error-codes
"""

from __future__ import annotations

from simulator.errors import ApiError


def path_not_supported(path: str) -> ApiError:
    """Return the error for a path that is not one of an invocation."""
    return ApiError(400, "PathNotSupported", f"'{path}' is not supported")


def unknown_key(access_key_id: str) -> ApiError:
    """Return the error for an access key ID that does not exist."""
    return ApiError(403, "InvalidAccessKeyID", f"invalid access key ID '{access_key_id}'")


def wrong_signature(string_to_sign: str) -> ApiError:  # noqa: ARG001 this service does not quote it
    """Return the error for a wrong signature."""
    message = "The request signature we calculated does not match the signature you provided. "
    return ApiError(403, "SignatureNotMatch", f"{message}Check your access key and signing method.")


def wrong_signature_kind(expected: str) -> ApiError:
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
    return ApiError(400, "EntityTooLarge", f"payload size exceeds maximum allowed size ({limit} bytes)")


def task_exists(task_id: str, status: int) -> ApiError:
    """Return the error for a task ID that was used before. Documents disagree on the status: 409 or 400."""
    message = f"stateful async invocation {task_id} already exists"
    return ApiError(status, "StatefulAsyncInvocationAlreadyExists", message)

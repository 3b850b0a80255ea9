"""R-KVStore's errors, with the codes and messages of the real service."""

from __future__ import annotations

from simulator.errors import ApiError

RECOMMEND = "https://api.aliyun.com/troubleshoot?q="


def instance_not_found() -> ApiError:
    """Return the error for an ID that does not exist in the region."""
    return ApiError(404, "InvalidInstanceId.NotFound", "The specified instance does not exist.")


def backup_job_exists() -> ApiError:
    """Return the error for a backup beside one that runs."""
    return ApiError(400, "BackupJobExists", "A backup job exists in the specified instance.")


def wrong_state(code: str) -> ApiError:
    """Return the error for an instance that is being created or changed."""
    return ApiError(400, code, "The current instance state does not support this operation.")


def wrong_type() -> ApiError:
    """Return the error for an operation that the kind of instance does not have."""
    return ApiError(400, "InstanceType.NotSupport", "The instance type does not support this operation.")


def too_many_backups() -> ApiError:
    """Return the error for more manual backups than a day may have."""
    return ApiError(400, "BackupTimesExceeded", "The number of manual backups of today exceeds the limit.")


def missing(name: str) -> ApiError:
    """Return the error for a parameter that is missing."""
    return ApiError(400, f"Missing{name}", f"The parameter {name} is mandatory for this action but was not supplied.")


def malformed(name: str) -> ApiError:
    """Return the error for a parameter with a bad value."""
    return ApiError(400, f"Invalid{name}.Malformed", f"The specified parameter {name} is not valid.")


def unknown_key(access_key_id: str) -> ApiError:  # noqa: ARG001 the real service does not quote it
    """Return the error for an access key ID that does not exist."""
    return ApiError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")


def wrong_signature(string_to_sign: str) -> ApiError:
    """Return the error for a wrong signature. Its message quotes what was signed, the security token included."""
    message = "Specified signature is not matched with our calculation. server string to sign is:"
    return ApiError(400, "SignatureDoesNotMatch", message + string_to_sign)


def unknown_operation(name: str) -> ApiError:
    """Return the error for an operation that the API does not have."""
    return ApiError(
        404, "InvalidAction.NotFound", f"Specified api is not found, please check your url and method: {name}"
    )


def body(error: ApiError, host: str, request_id: str) -> dict[str, object]:
    """Return the JSON object of an error's answer."""
    return {
        "Code": error.code,
        "Message": error.message,
        "Recommend": f"{RECOMMEND}{error.code}",
        "HostId": host,
        "RequestId": request_id,
        **error.details,
    }

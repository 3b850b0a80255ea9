"""The service's own error answers, as FACTS of the real one have them."""

from __future__ import annotations

from simulator.errors import ApiError

RECOMMEND = "https://api.aliyun.com/troubleshoot?q="


def instance_not_found() -> ApiError:
    return ApiError(404, "InvalidInstanceId.NotFound", "The specified instance does not exist.")


def backup_job_exists() -> ApiError:
    return ApiError(400, "BackupJobExists", "A backup job exists in the specified instance.")


def wrong_state(code: str) -> ApiError:
    return ApiError(400, code, "The current instance state does not support this operation.")


def wrong_type() -> ApiError:
    return ApiError(400, "InstanceType.NotSupport", "The instance type does not support this operation.")


def too_many_backups() -> ApiError:
    return ApiError(400, "BackupTimesExceeded", "The number of manual backups of today exceeds the limit.")


def missing(name: str) -> ApiError:
    return ApiError(400, f"Missing{name}", f"The parameter {name} is mandatory for this action but was not supplied.")


def malformed(name: str) -> ApiError:
    return ApiError(400, f"Invalid{name}.Malformed", f"The specified parameter {name} is not valid.")


def unknown_operation(name: str) -> ApiError:
    return ApiError(
        404, "InvalidAction.NotFound", f"Specified api is not found, please check your url and method: {name}"
    )


def body(error: ApiError, host: str, request_id: str) -> dict[str, object]:
    """An error answer's JSON."""
    return {
        "Code": error.code,
        "Message": error.message,
        "Recommend": f"{RECOMMEND}{error.code}",
        "HostId": host,
        "RequestId": request_id,
        **error.details,
    }

"""Define the errors that the function raises, one class for each decision that the caller can take."""

from __future__ import annotations

from collections.abc import Sequence

EXAMPLE = '{"instance_ids": ["r-bp1zxszhcgatnx01"], "region": "cn-hangzhou", "reason": "before release 42"}'


def truncate(text: str, max_bytes: int) -> str:
    """Cut a string to at most so many bytes of UTF-8: `"abcdefghij", 8` → `"ab…"`."""
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= max_bytes else encoded[: max(0, max_bytes - 6)].decode("utf-8", "ignore") + "…"


class BackupError(Exception):
    """The root of the function's errors. The platform logs its text and sends it to the caller, so it has no secret."""


class InvalidSetting(BackupError):  # noqa: N818 - these names are what callers see as errorType
    """A setting of the function is wrong: correct the environment variables that the text names."""


class InvalidRequest(BackupError):  # noqa: N818
    """The event is not a valid request: correct it. Nothing was started.

    `errors` has one string for each wrong field: its name, its value and what it must be. `status` is the status of the
    HTTP trigger's answer.
    """

    def __init__(self, errors: Sequence[str], *, started: str = "Nothing was started", status: int = 400) -> None:
        self.errors, self.status = tuple(errors), status
        text, space = "", 7000  # bytes; the platform takes 8 KB of an error's text
        for number, error in enumerate(truncate(error, 2000) for error in self.errors):
            space -= len(error.encode()) + 2
            if space < 0:
                text += f"; and {len(self.errors) - number} more"
                break
            text += f"; {error}" if text else error
        super().__init__(f"{text}. {started}. An event that works: {EXAMPLE}")


class BackupFailed(BackupError):  # noqa: N818
    """At least one instance has no backup, and sending the same request again does not help."""


class BackupPending(BackupError):  # noqa: N818
    """At least one instance has no backup yet, and no follow-up looks at it again: send the request again."""

"""What can go wrong, one class per decision that the caller can take."""

from __future__ import annotations

from collections.abc import Sequence

EXAMPLE = '{"instance_ids": ["r-bp1zxszhcgatnx01"], "region": "cn-hangzhou", "reason": "before release 42"}'


def truncate(error: str, space: int) -> str:
    """The text, cut to so many bytes where it is longer."""
    encoded = error.encode("utf-8", "replace")
    return error if len(encoded) <= space else encoded[: max(0, space - 6)].decode("utf-8", "ignore") + "…"


class BackupError(Exception):
    """The root. Its text is logged by the platform and sent to the caller, so it holds no secret."""


class InvalidSetting(BackupError):  # noqa: N818 - these names are what callers see as errorType
    """The function is configured wrongly: correct the environment variables that the text names."""


class InvalidRequest(BackupError):  # noqa: N818
    """The event asks for something that cannot be done: correct it. Nothing was started.

    `errors` has one text per field: its name, what it held and what it takes; `status`: the HTTP trigger's.
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
    """At least one instance has no backup, and sending the request again will not help by itself."""


class BackupPending(BackupError):  # noqa: N818
    """At least one instance has no backup yet and nothing will follow it up: send the request again."""

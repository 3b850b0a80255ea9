"""One log, and how it looks in JSON: the fields with which Function Compute writes a line of standard output."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Log:
    """One line that the function, or the platform, wrote."""

    time: int  # seconds since 1970
    function: str
    qualifier: str
    instance_id: str  # of the function, not of Redis
    message: str

    @cached_property
    def record(self) -> dict[str, Any] | None:
        """Return the message as a record; None when it is not a JSON object."""
        if not self.message.startswith("{"):
            return None
        try:
            value = json.loads(self.message)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def to_json(self) -> str:
        """Return the log as a JSON object on one line."""
        fields = {
            "__time__": self.time,
            "__topic__": f"FCLogs:{self.function}",
            "functionName": self.function,
            "qualifier": self.qualifier,
            "versionId": "",
            "instanceID": self.instance_id,
            "message": self.message,
        }
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Log:
        """Read what `to_json` wrote. Raise ValueError when it is something else."""
        try:
            fields = json.loads(text)
            names = ("__time__", "functionName", "qualifier", "instanceID", "message")
            return cls(*(fields[name] for name in names))
        except (KeyError, TypeError) as missing:
            raise ValueError(f"not a log: {missing}") from None


def read(path: str | Path) -> list[Log]:
    """Read the logs of a JSON Lines file. Raise ValueError, with the line's number, when one is not a log."""
    logs: list[Log] = []
    try:
        logs.extend(map(Log.from_json, Path(path).read_text(encoding="utf-8").splitlines()))
    except ValueError as error:
        raise ValueError(f"{path}:{len(logs) + 1}: {error}") from None
    return logs

"""Read the function's settings from the environment. No other module reads them there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TypeVar

from redis_backup.endpoints import FC_ENDPOINT, Folder, parse_endpoint, parse_folder
from redis_backup.errors import InvalidSetting
from redis_backup.states import Proof

RETENTION_DAYS = "7 to 730, or -1 to keep the backup as long as the instance lives"
INTRANET, INTERNET = "intranet", "internet"  # the ways to a backup's files
REGION = re.compile(r"(?=.{3,40}$)[a-z]{2,}(-[a-z0-9]+)+")
T = TypeVar("T")


def is_retention(days: int) -> bool:
    """Return whether CreateBackup takes this number as BackupRetentionPeriod: 7 to 730, or -1.

    https://www.alibabacloud.com/help/en/redis/developer-reference/api-r-kvstore-2015-01-01-createbackup-redis
    """
    return days == -1 or 7 <= days <= 730


@dataclass(frozen=True)
class Settings:
    """The settings; "Settings" in docs/reference.md explains each. The name of a duration says its unit.

    `unknown`: names of other variables that begin with BACKUP_; they may be misspelt.
    """

    concurrency: int = 16
    retention_days: int | None = None
    max_attempts: int = 2
    follow_seconds: int = 60
    follow_hours: float = 6
    allow: tuple[str, ...] = ("*",)
    max_instances: int = 1000
    shard_size: int = 200
    endpoint: str | None = None
    fc_endpoint: str = FC_ENDPOINT
    verify: str = "none"
    copy: bool = False
    store: Folder | None = None
    store_region: str = ""
    oss_endpoint: str | None = None
    download: str = INTRANET
    unknown: tuple[str, ...] = ()

    def allows(self, key: str) -> bool:
        """Return whether the instance `REGION/INSTANCE_ID` may be backed up."""
        return any(fnmatchcase(key, pattern) for pattern in self.allow)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the BACKUP_* variables; an empty one counts as unset. Raise InvalidSetting that names all wrong ones.

        `{"BACKUP_CONCURRENCY": "4", "BACKUP_ALLOW": "cn-hangzhou/*"}` →
        `Settings(concurrency=4, allow=("cn-hangzhou/*",))`.
        """
        settings, errors = cls.read(environ)
        if errors:
            raise InvalidSetting("; ".join(errors) + ". Correct the function's environment; nothing was started")
        return settings

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
        """Read the BACKUP_* variables. Return the settings, with the default for each wrong one, and the errors."""
        errors: list[str] = []
        known = set()

        def read(name: str, default: T, convert: Callable[[str], T], expected: str) -> T:
            known.add(name)
            text = environ.get(name, "").strip()
            if name not in environ or (not text and name != "BACKUP_ALLOW"):
                return default
            try:
                return convert(text)
            except ValueError:
                value = "***" if "@" in text else repr(text[:60])  # a URL may hold a password
                errors.append(f"{name} is {value} but must be {expected}")
                return default

        settings = cls(
            concurrency=read("BACKUP_CONCURRENCY", cls.concurrency, _integer(1, 256), "1 to 256"),
            retention_days=read("BACKUP_RETENTION_DAYS", None, _retention, RETENTION_DAYS),
            max_attempts=read("BACKUP_MAX_ATTEMPTS", cls.max_attempts, _integer(1, 10), "1 to 10"),
            follow_seconds=read("BACKUP_FOLLOW_SECONDS", cls.follow_seconds, _integer(0, 2400), "0 (off) to 2400"),
            follow_hours=read("BACKUP_FOLLOW_HOURS", cls.follow_hours, _hours, "a number of hours, 0 to 168"),
            allow=read("BACKUP_ALLOW", cls.allow, _patterns, "patterns of REGION/INSTANCE_ID, or * for all instances"),
            max_instances=read("BACKUP_MAX_INSTANCES", cls.max_instances, _integer(1, 100_000), "1 to 100000"),
            shard_size=read("BACKUP_SHARD_SIZE", cls.shard_size, _integer(1, 1000), "1 to 1000"),
            endpoint=read("BACKUP_ENDPOINT", None, parse_endpoint, "a host or URL; {region} is filled in"),
            fc_endpoint=read(
                "BACKUP_FC_ENDPOINT",
                cls.fc_endpoint,
                parse_endpoint,
                "a host or URL; {account} and {region} are filled in",
            ),
            verify=read("BACKUP_VERIFY", cls.verify, _verify, "none, quick or full"),
            copy=read("BACKUP_COPY", cls.copy, _boolean, "true or false"),
            store=read("BACKUP_STORE", None, parse_folder, "oss://BUCKET/PREFIX"),
            store_region=read("BACKUP_STORE_REGION", "", _region, "a region such as cn-hangzhou"),
            oss_endpoint=read("BACKUP_OSS_ENDPOINT", None, parse_endpoint, "a host or URL; {region} is filled in"),
            download=read("BACKUP_DOWNLOAD", cls.download, _one_of(INTRANET, INTERNET), "intranet or internet"),
        )
        unknown = sorted(name for name in environ if name.startswith("BACKUP_") and name not in known)
        return replace(settings, unknown=tuple(unknown)), errors


def _integer(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise ValueError
        return number

    return convert


def _retention(text: str) -> int:
    days = int(text)
    if not is_retention(days):
        raise ValueError
    return days


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 <= hours <= 168:  # an asynchronous event lives 7 days at most
        raise ValueError
    return hours


def _verify(text: str) -> str:
    Proof.from_fields(text, False)
    return text


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def _region(text: str) -> str:
    if not REGION.fullmatch(text):
        raise ValueError
    return text


def _one_of(*names: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in names:
            raise ValueError
        return text

    return convert


def _patterns(text: str) -> tuple[str, ...]:
    patterns = tuple(part.strip() for part in text.split(",") if part.strip())
    if not patterns:
        raise ValueError
    return patterns

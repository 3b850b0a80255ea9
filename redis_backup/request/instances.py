"""Read and write the names of instances."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from redis_backup.settings import REGION

ARN = re.compile(r"acs:kvstore:([^:]*):[^:]*:instance/(.+)")
_INSTANCE_ID = re.compile(r"r-[a-z0-9][a-z0-9-]{0,62}")  # no pattern is documented; it must not match ARNs and regions


@dataclass(frozen=True, order=True)
class InstanceRef:
    """One instance: its region and ID."""

    region: str
    instance_id: str

    @property
    def key(self) -> str:
        """Return `REGION/r-…`, as requests, settings and records name the instance."""
        return f"{self.region}/{self.instance_id}"


def parse_instance(name: Any, region: str) -> InstanceRef | None:
    """Read an instance's name, `r-…`, `REGION/r-…` or an ARN; None if it is none of these. `region`: that of a bare ID.

    `"r-1"` → `InstanceRef(region, "r-1")`; `"acs:kvstore:cn-hangzhou:1:instance/r-1"` → `cn-hangzhou/r-1`.
    """
    if not isinstance(name, str):
        return None
    arn = ARN.fullmatch(name.strip())
    if arn:
        region, name = arn[1] or region, arn[2]
    elif "/" in name:
        region, name = name.strip().split("/", 1)
        if not region:  # of `$REGION/r-…` whose variable is empty
            return None
    if not _INSTANCE_ID.fullmatch(name.strip()) or (region and not REGION.fullmatch(region)):
        return None
    return InstanceRef(region, name.strip())

"""Choose the instance IDs with which a check tries the permissions, by the patterns of BACKUP_ALLOW."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from redis_backup.request.instances import InstanceRef, parse_instance
from redis_backup.settings import REGION

# No instance has such an ID: R-KVStore's own have no hyphen after `r-` but in the names of nodes, `r-…-db-0`.
_FILLER = "no-such-instance"
_WILDCARDS = re.compile(r"[*?\[]")
_BRACKETS = re.compile(r"\[!?.[^\]]*\]")
_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz-"


@dataclass(frozen=True)
class Probe:
    """An instance ID to try calls with. `pattern`: of the ID, as RAM and BACKUP_ALLOW may have it.

    `cannot_exist`: no instance has this ID, so that even CreateBackup can be tried with it.
    """

    instance: InstanceRef
    pattern: str
    cannot_exist: bool


def regions(allow: Iterable[str], own_region: str) -> list[str]:
    """Return the regions that the patterns name, and the function's own if one of them has a wildcard for the region.

    `["cn-hangzhou/r-*", "cn-beijing/r-bp1"]` → `["cn-hangzhou", "cn-beijing"]`; `["*"], "cn-shanghai"` →
    `["cn-shanghai"]`.
    """
    found: dict[str, None] = {}
    for pattern in allow:
        region = pattern.partition("/")[0]
        if REGION.fullmatch(region):
            found[region] = None
        elif _WILDCARDS.search(region) and own_region:
            found[own_region] = None
    return list(found)


def useless(allow: Iterable[str], own_region: str) -> list[str]:
    """Return the patterns that admit no instance of any region.

    `["cn-hangzhou/r-*", "r-bp1", "CN-HANGZHOU/*"]` → `["r-bp1", "CN-HANGZHOU/*"]`.
    """
    found = []
    for pattern in allow:
        region = pattern.partition("/")[0]
        candidates = (region, own_region, _BRACKETS.sub("x", region.replace("*", "x").replace("?", "x")))
        if not any(REGION.fullmatch(each) and probes([pattern], each) for each in candidates):
            found.append(pattern)
    return found


def probes(allow: Iterable[str], region: str) -> list[Probe]:
    """Return an ID of the region for each pattern that admits one.

    `["cn-hangzhou/r-bp*"], "cn-hangzhou"` → `[Probe(cn-hangzhou/r-bpno-such-instance, "r-bp*", cannot_exist=True)]`;
    `["cn-hangzhou/r-1"], "cn-hangzhou"` → `[Probe(cn-hangzhou/r-1, "r-1", cannot_exist=False)]`.
    """
    found: dict[InstanceRef, Probe] = {}
    for pattern in allow:
        _, slash, id_pattern = pattern.partition("/")
        if not slash:  # `*` also stands for the slash
            id_pattern = pattern[pattern.find("*") :] if "*" in pattern else ""
        instance = parse_instance(_fill(id_pattern), region)
        if instance and instance.region == region and fnmatchcase(instance.key, pattern):
            found.setdefault(instance, Probe(instance, id_pattern, _FILLER in instance.instance_id))
    return list(found.values())


def _fill(pattern: str) -> str:
    """Fill the wildcards of an ID's pattern: `"r-bp*"` → `"r-bpno-such-instance"`; `"*"` → `"r-no-such-instance"`."""
    filler = f"r-{_FILLER}" if pattern.startswith("*") else _FILLER
    filled = pattern.replace("*", filler, 1).replace("*", "").replace("?", "0")
    return _BRACKETS.sub(lambda match: next((each for each in _CHARACTERS if fnmatchcase(each, match[0])), ""), filled)

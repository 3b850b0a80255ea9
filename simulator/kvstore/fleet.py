"""The fleet: which instances exist, and how each behaves. From a YAML file, from code, or generated."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from simulator.downloads.files import File

DEFAULT_FLEET = Path(__file__).parent.parent / "fleet.yaml"
OUTCOMES = ("success", "failed", "shard-failed", "vanished")
KINDS = ("standard", "classic-cluster", "cluster", "cloud-native")


@dataclass(frozen=True)
class Instance:
    """One instance. All durations are in seconds of the simulation's clock.

    `kind`: `standard`; `classic-cluster` (before 2023-12-05: one job per shard); `cluster` (a newer one: one job);
    `cloud-native` (listed by DescribeClusterBackupList alone).
    """

    id: str
    region: str = "cn-hangzhou"
    kind: str = "standard"
    shards: int = 1
    name: str = ""
    status: str = "Normal"  # or Creating, Changing, …
    normal_after: float | None = None  # another status becomes Normal after so many seconds
    denied_until: float | None = None  # the policy allows the instance after so many seconds
    type: str = "Redis"  # or Tair
    tags: Mapping[str, str] = field(default_factory=dict)
    denied: bool = False  # the role's policy does not allow it
    duration: float = 60.0  # of a backup
    shard_lag: float = 0.0  # how much later each further shard ends
    outcomes: tuple[str, ...] = ("success",)  # of each backup in turn; the last one is for all later backups:
    # success, failed, shard-failed (only the last shard), or vanished (it is never listed after its end)
    durations: tuple[float, ...] = ()  # likewise; instead of `duration`
    listing_lags: tuple[float, ...] = ()  # likewise; instead of the service's
    files: tuple[File | tuple[File, ...], ...] = ()  # likewise; a tuple: of each node
    task_linger: float = 0.0  # how long a task stays listed after its end
    job_id_style: str = "text"  # how CreateBackup writes job IDs: text, quoted or int

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind, type, style or outcome."""
        for name, allowed in (
            ("kind", KINDS),
            ("type", ("Redis", "Tair")),
            ("job_id_style", ("text", "quoted", "int")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{self.id}: {name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if not self.outcomes or set(self.outcomes) - set(OUTCOMES):
            raise ValueError(f"{self.id}: outcomes are {', '.join(OUTCOMES)}, not {list(self.outcomes)}")

    @property
    def arn_tail(self) -> str:
        """Return the last part of its ARN, as policies name it."""
        return f"instance/{self.id}"


@dataclass(frozen=True)
class Fleet:
    """All instances of the account."""

    instances: tuple[Instance, ...]

    def __init__(self, instances: Iterable[Instance]) -> None:
        object.__setattr__(self, "instances", tuple(instances))

    def __iter__(self) -> Iterator[Instance]:
        return iter(self.instances)

    def __len__(self) -> int:
        return len(self.instances)

    @classmethod
    def load(cls, path: str | Path = DEFAULT_FLEET) -> Fleet:
        """Read a YAML file with a list of instances under `instances`. Raise ValueError when it is something else."""
        import yaml  # here, so that a fleet made in code does not need it

        try:
            document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"{path}: not YAML: {error}") from None
        entries = document.get("instances") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise ValueError(f"{path}: expected `instances:` with a list")
        return cls(_read_instance(entry, path) for entry in entries)

    @classmethod
    def generate(cls, count: int, seed: int = 0, *, regions: Iterable[str] = ("cn-hangzhou",), **common: Any) -> Fleet:
        """Generate `count` instances of all kinds, the same for the same seed. `common`: fields of every instance."""
        rng = random.Random(f"fleet/{seed}")  # noqa: S311 replays, no secret
        regions = tuple(regions)
        return cls(_generate_instance(number, rng, regions, common) for number in range(count))


def _read_instance(entry: Any, path: str | Path) -> Instance:
    known = {each.name for each in fields(Instance)}
    if not isinstance(entry, dict) or "id" not in entry or set(entry) - known:
        raise ValueError(f"{path}: an instance takes {', '.join(sorted(known))}, and needs an id: {entry!r}")
    outcomes = entry.get("outcomes", ("success",))
    lists = {name: tuple(entry[name]) for name in ("durations", "listing_lags") if name in entry}
    lists |= {"files": tuple(File(**each) for each in entry["files"])} if "files" in entry else {}
    return Instance(**{**entry, **lists, "outcomes": (outcomes,) if isinstance(outcomes, str) else tuple(outcomes)})


def _generate_instance(
    number: int, rng: random.Random, regions: tuple[str, ...], common: Mapping[str, Any]
) -> Instance:
    kind = rng.choices(KINDS, weights=(6, 2, 1, 1))[0]
    values: dict[str, Any] = {
        "id": f"r-sim{_random_letters(rng)}{number:05d}",
        "region": rng.choice(regions),
        "tags": {"env": "production", "team": "shop"},  # so that one event can select them all
        "kind": kind,
        "shards": rng.choice((2, 4)) if kind == "classic-cluster" else 1,
        "duration": float(rng.randint(20, 300)),
        "shard_lag": float(rng.choice((0, 0, 15))),
        "job_id_style": "quoted" if kind == "classic-cluster" and rng.random() < 0.3 else "text",
    }
    return Instance(**{**values, **common})


def _random_letters(rng: random.Random) -> str:
    """Return four letters that make the IDs of two fleets differ."""
    return "".join(rng.choices("abcdefghijkmnpqrstuvwxyz", k=4))

"""One result: a value beside its reference, and the target where there is one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """`letter`: which question of the benchmark it answers; `share`: the value as a share of the reference."""

    letter: str
    what: str
    value: str
    reference: str
    share: float
    target: float | None = None  # the largest share that is good

    @property
    def rounded(self) -> str:
        """The share in two digits after the point, or more where it is tiny."""
        return f"{self.share:.2f}" if self.share >= 0.01 else f"{self.share:.4f}"

    @property
    def verdict(self) -> str:
        """Whether the target is met; nothing where there is none."""
        if self.target is None:
            return ""
        return "met" if self.share <= self.target else "**missed**"

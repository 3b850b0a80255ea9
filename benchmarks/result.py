"""One result of a benchmark: a value, its reference, and a target if there is one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One row of docs/benchmarks.md. `letter`: of the benchmark, a to m. `share`: value divided by reference."""

    letter: str
    what: str
    value: str
    reference: str
    share: float
    target: float | None = None  # the largest share that meets it

    @property
    def rounded(self) -> str:
        """Return the share with two decimal places, or four when it is below 0.01."""
        return f"{self.share:.2f}" if self.share >= 0.01 else f"{self.share:.4f}"

    @property
    def verdict(self) -> str:
        """Return `met`, `**missed**`, or an empty string without a target."""
        if self.target is None:
            return ""
        return "met" if self.share <= self.target else "**missed**"

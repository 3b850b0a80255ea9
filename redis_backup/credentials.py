"""Hold the keys that sign calls."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Credentials:
    """Keys that sign calls. `repr` does not show them."""

    access_key_id: str = field(repr=False)
    access_key_secret: str = field(repr=False)
    security_token: str = field(repr=False)

    @property
    def are_complete(self) -> bool:
        """Return whether there is a key with its secret; temporary keys have a token, too."""
        return bool(self.access_key_id and self.access_key_secret)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the strings that must not be shown, the longest first."""
        parts = (self.security_token, self.access_key_secret, self.access_key_id)
        return tuple(sorted((part for part in parts if part), key=len, reverse=True))

"""Who may call: a user with a permanent access key, and the temporary credentials (STS) of each invocation."""

from __future__ import annotations

import random
import string
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.errors import ApiError

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.kill_switch import KillSwitch

USER_ACCESS_KEY_ID = "LTAIsimulatorUser0001"
USER_ACCESS_KEY_SECRET = "simulatorUserSecret0000000001"  # noqa: S105 it opens nothing but the simulator
ROLE_LIFETIME = 6 * 3600.0  # seconds; longer than any invocation


@dataclass(frozen=True)
class Credential:
    """An access key. With a token it is the function's role, in the invocation that `kill_switch` can end."""

    access_key_id: str
    access_key_secret: str
    security_token: str | None = None
    expires: float | None = None  # clock time
    kill_switch: KillSwitch | None = None
    issued_for: str = ""  # the access key ID of the caller who was given an address that is signed with this one

    @property
    def is_role(self) -> bool:
        """Return whether this is the function's role and not a user."""
        return self.security_token is not None


class CredentialStore:
    """Issues credentials, and finds them by access key ID."""

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 replays, and protects nothing
        self._known: dict[str, Credential] = {}
        self._lock = threading.Lock()
        self.user = Credential(USER_ACCESS_KEY_ID, USER_ACCESS_KEY_SECRET)
        self._known[self.user.access_key_id] = self.user

    def issue(
        self, kill_switch: KillSwitch | None = None, lifetime: float = ROLE_LIFETIME, issued_for: str = ""
    ) -> Credential:
        """Return a new temporary credential of the function's role, valid for `lifetime` seconds of the clock.

        `issued_for`: the access key ID of the caller for whom it signs addresses.
        """
        with self._lock:
            credential = Credential(
                access_key_id=f"STS.{self._random_string(24)}",
                access_key_secret=f"SECRETKEY{self._random_string(31)}",
                security_token=f"SECRETTOKEN{self._random_string(180)}==",
                expires=self._clock.time() + lifetime,
                kill_switch=kill_switch,
                issued_for=issued_for,
            )
            self._known[credential.access_key_id] = credential
        return credential

    def find(self, access_key_id: str) -> Credential | None:
        """Return the credential with that access key ID; None when there is none."""
        return self._known.get(access_key_id)

    def check_token(self, credential: Credential, token: str | None) -> None:
        """Raise ApiError unless `token` is the credential's own and has not expired."""
        if token != credential.security_token:
            raise ApiError(400, "InvalidSecurityToken.Malformed", "The specified SecurityToken is malformed.")
        if credential.expires is not None and self._clock.time() >= credential.expires:
            raise ApiError(403, "InvalidSecurityToken.Expired", "The specified SecurityToken is expired.")

    def _random_string(self, length: int) -> str:
        return "".join(self._random.choices(string.ascii_letters + string.digits, k=length))

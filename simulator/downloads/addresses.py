"""Pre-signed addresses of backup files: each listing signs new ones, and they expire.

https://www.alibabacloud.com/help/en/oss/developer-reference/add-signatures-to-urls
"""

from __future__ import annotations

import math
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from simulator import signatures
from simulator.downloads import errors
from simulator.oss import errors as oss_errors

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.credentials import Credential, CredentialStore
    from simulator.downloads.files import Content
    from simulator.kvstore.behaviour import Behaviour
    from simulator.server import Request

WAYS = {"BackupDownloadURL": "internet", "BackupIntranetDownloadURL": "intranet"}  # by field of R-KVStore's answers
PATHS = tuple(f"/{way}/" for way in WAYS.values())


@dataclass(frozen=True)
class Address:
    """The address of a file, not signed yet. `way`: see `WAYS`; `key`: of the object; `written`: when."""

    way: str
    region: str
    instance: str
    key: str
    content: Content
    written: float

    @property
    def path(self) -> str:
        """Return the path of its URL."""
        return f"/{self.way}/rdsbak-{self.region}-v2/{self.key}"


class Addresses:
    """Signs addresses, and knows which of them are still good."""

    def __init__(
        self,
        credentials: CredentialStore,
        clock: Clock,
        behaviour: Callable[[], Behaviour],
        endpoint: Callable[[], str],
    ) -> None:
        """Create it. `behaviour` returns the service's; `endpoint` the URL of the server that answers."""
        self.secrets: set[str] = set()  # signatures of all addresses that were listed, also as they are in a URL
        self._credentials, self._clock = credentials, clock
        self._behaviour, self._endpoint = behaviour, endpoint
        self._objects: dict[str, Address] = {}  # by path
        self._uses: Counter[str] = Counter()  # by path and signature
        self._closed_port: socket.socket | None = None
        self._lock = threading.Lock()

    def signer(self, access_key_id: str) -> Callable[[object], str]:
        """Return what signs the addresses of one listing, as `json.dumps` takes it. `access_key_id`: who lists.

        What is downloaded by such an address counts as a call of the one who listed it.
        """
        caller = self._credentials.find(access_key_id)
        issued: list[Credential] = []

        def sign(address: object) -> str:
            if not isinstance(address, Address):
                raise TypeError(f"not an address: {address!r}")
            if not issued:
                kill_switch = caller.kill_switch if caller else None
                issued.append(self._credentials.issue(kill_switch, math.inf, access_key_id))
            return self._sign(address, issued[0])

        return sign

    def find(self, request: Request) -> Address:
        """Return the file that a request names. Raise ApiError when there is none, or the address has expired."""
        address = self._objects.get(request.path)
        if address is None:
            raise oss_errors.no_such_key(request.path.split("/", 3)[-1])
        expires, now = request.query.get("Expires", ""), self._clock.time()
        used_up = self._uses[_key(request)] >= (self._behaviour().address_uses or math.inf)
        if expires.isdecimal() and (now > int(expires) or used_up):
            raise errors.expired(int(expires), now)
        return address

    def count_use(self, request: Request) -> None:
        """Count one download by the request's address."""
        with self._lock:
            self._uses[_key(request)] += 1

    def close(self) -> None:
        """Free the port that refuses connections."""
        if self._closed_port:
            self._closed_port.close()

    def _sign(self, address: Address, credential: Credential) -> str:
        expires = str(math.ceil(self._clock.time() + self._behaviour().address_lifetime))
        query = {"Expires": expires, "OSSAccessKeyId": credential.access_key_id}
        token = {"security-token": credential.security_token or ""}
        text = signatures.url_text("GET", address.path.partition(f"/{address.way}")[2], {**query, **token}, {})
        signature = signatures.url_signature(credential.access_key_secret, text)
        with self._lock:
            self._objects[address.path] = address
            self.secrets |= {signature, quote(signature, safe="")}
        host = (
            self._refusing_host() if self._behaviour().unreachable.get(address.way) == "refused" else self._endpoint()
        )
        return f"{host}{address.path}?{urlencode({**query, 'Signature': signature, **token})}"

    def _refusing_host(self) -> str:
        """Return the URL of a port that is taken, and where nothing listens."""
        with self._lock:
            if self._closed_port is None:
                self._closed_port = socket.socket()
                self._closed_port.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{self._closed_port.getsockname()[1]}"


def _key(request: Request) -> str:
    return request.path + request.query.get("Signature", "")

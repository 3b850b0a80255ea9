"""Import the SDKs without what they import and this function never uses: two thirds of a cold start.

While an SDK is imported, `sys.modules` holds a placeholder for each module in DEFERRED. A placeholder, and each name
that an SDK imports from one, imports the real module at its first use. So nothing is missing, it is only imported
later: asynchronous calls and RSA keys work as usual. What signs and sends are the SDKs' own modules, unchanged.

Plainer ways do not work: `importlib.util.LazyLoader` imports a module as soon as a name is imported from it, and
`from aiohttp import ClientResponse` alone costs 200 ms.

When a library changes:
- a name that DEFERRED does not have, or one that is used while an SDK is imported: its module is imported at once,
  which is slow but correct;
- a class that inherits from a placeholder, or anything else that fails: the SDK is imported as usual, which is as slow
  as without this module;
- a module that no SDK imports any more: nothing happens, and its line has no use.
`tests/test_lazy_sdk.py` fails in each of these cases, and compares what is sent and read with the usual import.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any

SDKS = ("Tea", "alibabacloud_", "darabonba", "fc2")  # how their modules' names begin

# Each module with the functions, classes and modules that an SDK imports from it by name. The numbers are what a line
# or a group saves of the CPU time of a cold start: medians of 25 processes, Python 3.10.13, the package's compiled
# modules, the versions in deploy/constraints.txt. What saves less than 5 ms is not here.
DEFERRED = {
    # 144 ms, for asynchronous calls
    "aiohttp": "ClientResponse ClientSession",
    # 9 ms, if aiohttp is deferred
    "asyncio": "",
    # 93 ms for 529 classes: the operations' own methods, which use them, are not called
    "alibabacloud_r_kvstore20150101.models": "",
    # 44 ms, for credentials that are not keys (APScheduler serves those of virtual machines)
    "alibabacloud_credentials.provider": "DefaultCredentialsProvider EcsRamRoleCredentialsProvider"
    " OIDCRoleArnCredentialsProvider RamRoleArnCredentialsProvider RsaKeyPairCredentialsProvider"
    " StaticAKCredentialsProvider StaticSTSCredentialsProvider URLCredentialsProvider",
    # 15 ms for the three, which cannot be imported one without the others; for RSA keys
    "cryptography.hazmat.primitives": "hashes",
    "cryptography.hazmat.primitives.asymmetric": "padding",
    "cryptography.hazmat.primitives.serialization": "load_pem_private_key",
    # 9 ms, for bodies whose encoding is unknown
    "charset_normalizer.api": "from_bytes from_fp from_path is_binary",
    # 7 ms for the three, which cannot be imported one without the others
    "alibabacloud_tea_openapi.websocket_utils": "",
    "darabonba.websocket": "get_web_socket_enable_reconnect get_web_socket_handshake_timeout"
    " get_web_socket_max_reconnect_times get_web_socket_ping_interval get_web_socket_pong_timeout"
    " get_web_socket_reconnect_interval get_web_socket_write_timeout new_websocket_client_and_connect",
    "websocket": "WebSocketApp",
    # 6 ms, for HTTP/2, which is not used
    "urllib3.http2": "probe",
}
_lock = threading.RLock()


def load(name: str) -> Any:
    """Import a module of an SDK by its full name, and return it, as `importlib.import_module` does."""
    with _lock:
        return sys.modules.get(name) or _load(name)


def _load(name: str) -> ModuleType:
    previous = frozenset(sys.modules)
    sys.modules.update({module: _Deferred(module) for module in DEFERRED if module not in (*previous, name)})
    try:
        return import_module(name)
    except Exception:  # noqa: BLE001 - whatever this way of importing breaks, the usual way may work
        for module in [module for module in sys.modules if module not in previous and module.startswith(SDKS)]:
            del sys.modules[module]
    finally:
        for module in DEFERRED:
            _step_aside(module)
    return import_module(name)


def _step_aside(module: str) -> None:
    """Remove the placeholder for a module, so that the next import of it is the real one."""
    if isinstance(sys.modules.get(module), _Deferred):
        del sys.modules[module]


class _Deferred(ModuleType):
    """A placeholder for a module, or for one `name` of it, that looks into or calls the real one."""

    def __init__(self, module: str, name: str = "") -> None:
        super().__init__(module)
        self._name = name

    def _real(self, name: str) -> Any:
        """Import the module, and return what `from module import name` gives."""
        _step_aside(self.__name__)
        return getattr(__import__(self.__name__, fromlist=[name]), name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for some; isinstance and issubclass raise TypeError
            raise AttributeError(name)
        if self._name:
            return getattr(self._real(self._name), name)
        if name in DEFERRED[self.__name__].split():
            return _Deferred(self.__name__, name)
        return self._real(name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real(self._name)(*args, **kwargs)

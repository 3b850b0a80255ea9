"""Imports the SDKs without what comes along and this function never uses: two thirds of a cold start.

What signs and sends are the SDKs' own modules, as they are. Only what *they* import is put off, in two ways:

- `DEFERRED`: modules that no call of this function touches (aiohttp serves asynchronous calls, cryptography RSA keys,
  APScheduler the credentials of virtual machines, …). While an SDK is being imported, stand-ins lie in `sys.modules` in
  their place. The names that are taken out of them at import (classes, functions, modules) are in the table, and are
  given out as proxies. A proxy, or a stand-in asked for another name, imports the real module at its first use.
- `PACKAGES`: packages whose `__init__` only collects a class from each of its files (529 models, say). They keep their
  name, path and content, and import a class's file when the class is first asked for.

So nothing is missing, it only comes later: asynchronous calls, RSA keys and the default credential chain work as ever.
Where an SDK cannot be imported in this way, it is imported as usual. `tests/test_lazy_sdk.py` compares the two ways.
"""

from __future__ import annotations

import re
import sys
import threading
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

SDKS = ("Tea", "alibabacloud_", "darabonba", "fc2")  # how their modules' names begin
PACKAGES = ("alibabacloud_credentials.provider", "alibabacloud_r_kvstore20150101.models")
DEFERRED = {
    "aiofiles": "",
    "aiohttp": "ClientResponse ClientSession",
    "alibabacloud_credentials.provider": "DefaultCredentialsProvider EcsRamRoleCredentialsProvider"
    " OIDCRoleArnCredentialsProvider RamRoleArnCredentialsProvider RsaKeyPairCredentialsProvider"
    " StaticAKCredentialsProvider StaticSTSCredentialsProvider URLCredentialsProvider",
    "alibabacloud_r_kvstore20150101.models": "",
    "alibabacloud_tea_openapi.websocket_utils": "",
    "apscheduler.schedulers.background": "BackgroundScheduler",
    "asyncio": "",
    "charset_normalizer.api": "from_bytes from_fp from_path is_binary",  # for bodies whose encoding is unknown
    "charset_normalizer.legacy": "detect",
    "charset_normalizer.models": "CharsetMatch CharsetMatches",
    "charset_normalizer.utils": "set_logging_handler",
    "cryptography.hazmat.primitives": "hashes",
    "cryptography.hazmat.primitives.asymmetric": "padding",
    "cryptography.hazmat.primitives.serialization": "load_pem_private_key",
    "darabonba.utils.xml": "XML",
    "darabonba.websocket": "get_web_socket_enable_reconnect get_web_socket_handshake_timeout"
    " get_web_socket_max_reconnect_times get_web_socket_ping_interval get_web_socket_pong_timeout"
    " get_web_socket_reconnect_interval get_web_socket_write_timeout new_websocket_client_and_connect",
    "urllib3.http2": "probe",
    "websocket": "WebSocketApp",
}
_lock = threading.RLock()


def load(name: str) -> Any:
    """Import a module of an SDK by its full name, and return it, as `importlib.import_module` does."""
    with _lock:
        return sys.modules.get(name) or _load(name)


def _load(name: str) -> ModuleType:
    before = frozenset(sys.modules)
    sys.modules.update({module: _StandIn(module) for module in DEFERRED if module not in before})
    try:
        return import_module(name)
    except Exception:  # noqa: BLE001 - whatever does not bear this, the usual way is not to fail for it
        for module in [module for module in sys.modules if module not in before and module.startswith(SDKS)]:
            del sys.modules[module]
    finally:
        for module in DEFERRED:
            _end(module)
    return import_module(name)


def _end(module: str) -> None:
    """Take a stand-in out of the way of the real module, or of what loads it piece by piece."""
    if isinstance(sys.modules.get(module), _StandIn):
        sys.modules.pop(module, None)
        if module in PACKAGES and module.partition(".")[0] in sys.modules:
            _Package.install(module)


def _real(module: str, name: str) -> Any:
    """What `from module import name` gives, where nothing stands in for the module."""
    _end(module)
    return getattr(__import__(module, fromlist=[name]), name)


class _StandIn(ModuleType):
    """Lies in `sys.modules` for a module, and stays what the SDK's own module knows by that name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for some, and takes no for an answer
            raise AttributeError(name)
        if name in DEFERRED[self.__name__].split():
            return _Proxy(self.__name__, name)
        setattr(self, name, _real(self.__name__, name))
        return self.__dict__[name]


class _Proxy:
    """Stands for a class, a function or a module, wherever one is called, looked into or inherited from."""

    def __init__(self, module: str, name: str) -> None:
        self._of = (module, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _real(*self._of)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(_real(*self._of), name)

    def __mro_entries__(self, _: tuple[Any, ...]) -> tuple[Any, ...]:
        return (_real(*self._of),)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, _real(*self._of))

    def __subclasscheck__(self, subclass: type) -> bool:
        return issubclass(subclass, _real(*self._of))


class _Package(ModuleType):
    """A package that runs its `__init__` only for what is no class of its files."""

    _is_complete: bool

    @classmethod
    def install(cls, name: str) -> None:
        """Put it where the import system looks for it: in `sys.modules` and in its parent."""
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            module = module_from_spec(spec)
            with open(spec.origin, encoding="utf-8") as source:
                files = re.findall(r"^from \.(\w+) import (\w+)$", source.read(), re.MULTILINE)
            module.__class__ = cls
            module.__dict__.update(_files={title: file for file, title in files}, _is_complete=False)
            parent, _, own_name = name.rpartition(".")
            sys.modules[name] = module
            setattr(sys.modules[parent], own_name, module)

    def __getattr__(self, name: str) -> Any:
        if name in self._files:  # by class
            setattr(self, name, getattr(load(f"{self.__name__}.{self._files[name]}"), name))
            return self.__dict__[name]
        if self._is_complete or (name.startswith("__") and name != "__all__") or self.__spec__ is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self._is_complete = True
        self.__spec__.loader.exec_module(self)  # type: ignore[union-attr]
        return getattr(self, name)

"""The cloud on one machine: the object that a test, a demo or a benchmark makes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from simulator import ram
from simulator.clock import Clock, SimulatedClock
from simulator.credentials import Credential, CredentialStore
from simulator.downloads import addresses
from simulator.downloads.addresses import Addresses
from simulator.downloads.wire import DownloadsWire
from simulator.faults import Faults
from simulator.fc.config import FunctionConfig
from simulator.fc.invocation import Handler
from simulator.fc.platform import Platform
from simulator.fc.state import Invocation
from simulator.fc.wire import PATHS, FunctionComputeWire
from simulator.gateway import Call, Gateway, Service
from simulator.kvstore.behaviour import Behaviour
from simulator.kvstore.fleet import Fleet
from simulator.kvstore.operations import KVStore
from simulator.kvstore.wire import KVStoreWire
from simulator.logstore import LogStore
from simulator.oss import address
from simulator.oss.state import Bucket, ObjectStorage
from simulator.oss.wire import ObjectStorageWire
from simulator.rate_limits import RateLimits
from simulator.server import Request, Response, Server

if TYPE_CHECKING:
    from pathlib import Path


class Cloud:
    """R-KVStore, Function Compute, OSS and a log store behind one port of 127.0.0.1, while the `with` block runs.

    with Cloud(Fleet([Instance("r-1")])) as cloud:
        invocation = cloud.invoke({"instance_ids": "r-1"})
        cloud.platform.drain()
        cloud.kvstore.instance("r-1").backups

    With `settings={"BACKUP_STORE": "oss://backups/redis"}` there is such a bucket, and `cloud.store` is it.
    """

    def __init__(
        self,
        fleet: Fleet | None = None,
        *,
        clock: Clock | None = None,
        function: FunctionConfig | None = None,
        handler: Handler | None = None,
        settings: Mapping[str, str] | None = None,
        faults: Faults | None = None,
        behaviour: Behaviour | None = None,
        limits: dict[str, float] | None = None,
        limit_hint: bool = True,
        policy: ram.Policy | None = None,
        user_policy: ram.Policy | None = None,
        denial_code: str = "Forbidden.RAM",
        latency: float = 0.0,
        real_latency: float = 0.0,
        api_clock_offset: float = 0.0,
        fc_clock_offset: float = 0.0,
        oss_clock_offset: float = 0.0,
        regional: bool = False,
        port: int = 0,
        tls: tuple[str, str] | None = None,
        log_file: str | Path | None = None,
    ) -> None:
        """Create the cloud. The defaults are five instances, a simulated clock and the project's function.

        `settings`: environment variables of the function. `policy`: of the function's role (default: what it needs);
        `user_policy`: of the user who invokes it (default: everything is allowed). `limits`: calls a second by
        operation, as `RateLimits` takes them. `latency`: of each call, in seconds of the clock; `real_latency`: in real
        seconds. `api_clock_offset`, `fc_clock_offset`, `oss_clock_offset`: how many seconds the clocks of R-KVStore,
        Function Compute and OSS are ahead. `regional`: endpoints name their region. `tls`: the paths of a certificate
        and its key, as PEM files. `log_file`: where to keep the logs, as JSON Lines.
        """
        self.fleet = fleet if fleet is not None else Fleet.load()
        self.clock = clock or SimulatedClock()
        self.function = function or FunctionConfig()
        self.faults = faults or Faults()
        self.logs = LogStore(log_file)
        self.credentials = CredentialStore(self.clock, self.faults.seed)
        self.kvstore = KVStore(self.fleet, self.clock, behaviour, api_clock_offset)
        self.oss = ObjectStorage(self.clock, self.function.region, oss_clock_offset)
        self.policy = policy or ram.function_policy(
            self.function.account, self.function.resource, (settings or {}).get("BACKUP_STORE", "")
        )
        self.user_policy = user_policy
        self._deniable = [state for state in self.kvstore.instances if state.config.denied]
        self._settings = dict(settings or {})
        self._regional = regional
        self.platform = Platform(self.function, self.clock, self.credentials, self.faults, self.logs, handler)
        self.platform.clock_offset = fc_clock_offset
        self.addresses = Addresses(
            self.credentials, self.clock, lambda: self.kvstore.behaviour, lambda: self._server.url
        )
        self._kvstore_wire = KVStoreWire(
            self.kvstore, self.function.account, self.function.region, denial_code, self.addresses
        )
        self._downloads_wire = DownloadsWire(self.addresses, self.kvstore)
        self._function_wire = FunctionComputeWire(self.platform)
        self._storage_wire = ObjectStorageWire(self.oss, self.function.account)
        self.gateway = Gateway(
            self._route,
            clock=self.clock,
            credentials=self.credentials,
            policies=self._policies,
            faults=self.faults,
            limits=RateLimits(limits, self.clock.time, limit_hint),
            latency=latency,
            real_latency=real_latency,
            redirect_target=self._open_other_host,
        )
        self.redirected: list[Request] = []  # those that arrived at the host that redirects name
        self._other_host: Server | None = None
        self._server = Server(self.gateway, port, tls, address.is_oss)
        self.platform.environment.update(self.endpoints() | self._settings)
        bucket = _bucket_of(self._settings.get("BACKUP_STORE", ""))
        if address.BUCKET_NAME.fullmatch(bucket):
            self.oss.bucket(bucket, self._settings.get("BACKUP_STORE_REGION"))

    def __enter__(self) -> Cloud:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        if self._other_host:
            self._other_host.stop()
        self.addresses.close()
        self.oss.close()
        self.logs.close()

    @property
    def endpoint(self) -> str:
        """Return the URL of every service, such as `http://127.0.0.1:40123`."""
        return self._server.url

    @property
    def host(self) -> str:
        """Return the endpoint without its scheme, as SDKs take it."""
        return self.endpoint.partition("://")[2]

    @property
    def store(self) -> Bucket:
        """Return the bucket that the setting BACKUP_STORE names. Raise KeyError when it is not set."""
        return self.oss.bucket(_bucket_of(self._settings["BACKUP_STORE"]))

    @property
    def calls(self) -> list[Call]:
        """Return all API calls so far, in the order of their ends."""
        return self.gateway.calls

    def calls_of(self, invocation: Invocation) -> list[Call]:
        """Return the API calls of this invocation, without those of its retries."""
        return [call for call in self.calls if call.access_key_id == invocation.access_key_id]

    def endpoints(self) -> dict[str, str]:
        """Return the settings that make the function, or the command, use this cloud."""
        region = "/{region}" if self._regional else ""
        values = {"BACKUP_ENDPOINT": f"{self.endpoint}{region}", "BACKUP_FC_ENDPOINT": f"{self.endpoint}{region}"}
        if self._settings.get("BACKUP_STORE"):  # OSS's signatures name the region, and its SDK takes no path
            values["BACKUP_OSS_ENDPOINT"] = self.endpoint
        return values

    def environ(self, credential: Credential | None = None) -> dict[str, str]:
        """Return the environment of another program that calls the cloud, by default as its user.

        It has what Alibaba Cloud's tools and `redis-backup` read, then what a program reads that runs the function.
        """
        credential = credential or self.credentials.user
        values = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": credential.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": credential.access_key_secret,
            **({"ALIBABA_CLOUD_SECURITY_TOKEN": credential.security_token} if credential.security_token else {}),
            "ALIBABA_CLOUD_ACCOUNT_ID": self.function.account,
            "ALIBABA_CLOUD_REGION_ID": self.function.region,
            **self.endpoints(),
            "FC_REGION": self.function.region,
            "FC_ACCOUNT_ID": self.function.account,
            "FC_FUNCTION_NAME": self.function.name,
        }
        if self.function.generation == 2:
            values["FC_SERVICE_NAME"] = self.function.service
        return values | self._settings

    def invoke(self, event: Any = b"", *, kill_after: int | None = None, request_id: str | None = None) -> Invocation:
        """Invoke the function now. An event that is neither bytes nor a string is sent as JSON."""
        return self.platform.invoke(as_bytes(event), kill_after=kill_after, request_id=request_id)

    def invoke_async(self, event: Any = b"", *, delay: float = 0.0, **how: Any) -> str:
        """Queue an event, as triggers do, and return its request ID; `platform.drain()` delivers it.

        `how`: further arguments of `platform.invoke_async`.
        """
        return self.platform.invoke_async(as_bytes(event), delay=delay, **how)

    def _open_other_host(self) -> str:
        """Return the URL of another host, which answers every request with `{}`."""
        if self._other_host is None:
            self._other_host = Server(self._take_redirected)
            self._other_host.start()
        return f"http://localhost:{self._other_host.port}/"

    def _take_redirected(self, request: Request) -> Response:
        self.redirected.append(request)
        return Response(200, b"{}", {"Content-Type": "application/json"})

    def _route(self, request: Request) -> Service:
        if address.is_oss(request.headers):
            return self._storage_wire
        if request.path.startswith(addresses.PATHS):
            return self._downloads_wire
        return self._function_wire if request.path.startswith(PATHS) else self._kvstore_wire

    def _policies(self, credential: Credential) -> Iterable[ram.Policy] | None:
        if not credential.is_role:
            return None if self.user_policy is None else (self.user_policy,)
        denied = [f"acs:kvstore:*:*:{state.config.arn_tail}" for state in self._deniable if state.denied]
        return (self.policy, ram.allow(["kvstore:*"], denied, effect="Deny")) if denied else (self.policy,)


def as_bytes(event: Any) -> bytes:
    """Return an event as the function gets it: bytes as they are, a string as UTF-8, anything else as JSON."""
    if isinstance(event, bytes):
        return event
    return (event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)).encode()


def _bucket_of(store: str) -> str:
    """Return the bucket of a store: `oss://backups/redis` → `backups`."""
    return store.removeprefix("oss://").partition("/")[0]

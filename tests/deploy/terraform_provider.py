"""A stand-in for the Terraform provider aliyun/alicloud: its schemas, and a cloud that accepts everything.

Terraform starts no provider that TF_REATTACH_PROVIDERS names, but connects to it, and needs no registry then:
https://developer.hashicorp.com/terraform/plugin/debugging. The protocol is
https://github.com/hashicorp/terraform/blob/main/docs/plugin-protocol/tfplugin6.proto, of which this is a part.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import msgpack
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ACCOUNT = "1234567890123456"
ADDRESS = "registry.terraform.io/aliyun/alicloud"
_UNKNOWN = msgpack.ExtType(0, b"\x00")  # a value that only the cloud knows
_LIST = 2  # NestingMode

# Message: type name number. "*": repeated. A map is a repeated entry of key and value; an enumeration is an int64.
_PROTO = """
Value: bytes msgpack 1, bytes json 2
Diagnostic: int64 severity 1, string summary 2, string detail 3
Attribute: string name 1, bytes type 2, bool required 4, bool optional 5, bool computed 6
Block: Attribute* attributes 2, Nested* block_types 3
Nested: string type_name 1, Block block 2, int64 nesting 3, int64 min_items 4, int64 max_items 5
Schema: int64 version 1, Block block 2
Entry: string key 1, Schema value 2
Capabilities: bool plan_destroy 1, bool get_provider_schema_optional 2
Raw: bytes json 1
Nothing:
Schemas: Schema provider 1, Entry* resource_schemas 2, Entry* data_source_schemas 3
Config: string type_name 1, Value config 2
ProviderCheck: Value config 1
ProviderConfig: string version 1, Value config 2
Upgrade: string type_name 1, int64 version 2, Raw raw_state 3
Read: string type_name 1, Value current_state 2
Plan: string type_name 1, Value prior_state 2, Value proposed_new_state 3, Value config 4
Planned: Value planned_state 1, bool legacy_type_system 5
Apply: string type_name 1, Value prior_state 2, Value planned_state 3, Value config 4
Applied: Value new_state 1, bool legacy_type_system 4
State: Value state 1
"""


def _messages() -> dict[str, Any]:
    """Return a class for each message of `_PROTO`."""
    file = descriptor_pb2.FileDescriptorProto(name="part.proto", package="part", syntax="proto3")
    scalars = {"string": 9, "bytes": 12, "bool": 8, "int64": 3}
    for line in _PROTO.strip().splitlines():
        name, _, fields = line.partition(":")
        message = file.message_type.add(name=name)
        for type_, field, number in re.findall(r"(\S+) (\w+) (\d+)", fields):
            kind = type_.removesuffix("*")
            entry = message.field.add(name=field, number=int(number), label=3 if type_.endswith("*") else 1)
            if kind in scalars:
                entry.type = scalars[kind]
            else:
                entry.type_name = f".part.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    named = {each.name: pool.FindMessageTypeByName(f"part.{each.name}") for each in file.message_type}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in named.items()}


_M = _messages()


class Provider:
    """A server on a Unix socket in `folder`; `environ` makes Terraform use it. To be entered and left.

    What a resource's state shows as computed is made up: an ID, and ARNs with the region that was configured last.
    """

    def __init__(self, schemas: Mapping[str, Any], folder: Path) -> None:
        self._schemas = schemas
        self._socket = folder / "provider.sock"
        self._regions: list[str] = []
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)]
        )  # a package is big
        self._server.add_generic_rpc_handlers([_Handlers(self._calls())])
        self._server.add_insecure_port(f"unix:{self._socket}")
        address = {"Network": "unix", "String": str(self._socket)}
        attach = {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": address}
        self.environ = {"TF_REATTACH_PROVIDERS": json.dumps({ADDRESS: attach})}

    def __enter__(self) -> Provider:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(grace=None)

    def _calls(self) -> dict[str, tuple[Any, Callable[[Any], Any]]]:
        """Each call's name: its request's class, and what answers it."""
        return {
            "GetProviderSchema": (_M["Nothing"], self._get_schema),
            "ValidateProviderConfig": (_M["ProviderCheck"], _accept),
            "ValidateResourceConfig": (_M["Config"], _accept),
            "ValidateDataResourceConfig": (_M["Config"], _accept),
            "ConfigureProvider": (_M["ProviderConfig"], self._configure),
            "UpgradeResourceState": (_M["Upgrade"], _upgrade),
            "ReadResource": (_M["Read"], lambda request: _M["Applied"](new_state=request.current_state)),
            "ReadDataSource": (_M["Config"], lambda _: _M["State"](state=_encode({"id": ACCOUNT}))),
            "PlanResourceChange": (_M["Plan"], self._plan),
            "ApplyResourceChange": (_M["Apply"], self._apply),
            "StopProvider": (_M["Nothing"], _accept),
        }

    def _get_schema(self, _: Any) -> Any:
        entries = {
            kind: [_M["Entry"](key=name, value=_schema(block)) for name, block in self._schemas[kind].items()]
            for kind in ("resources", "data_sources")
        }
        return _M["Schemas"](
            provider=_schema(self._schemas["provider"]),
            resource_schemas=entries["resources"],
            data_source_schemas=entries["data_sources"],
        )

    def _configure(self, request: Any) -> Any:
        self._regions.append(_decode(request.config)["region"])
        return _M["Nothing"]()

    def _plan(self, request: Any) -> Any:
        """What the configuration says, and of a new resource unknown what the cloud will say."""
        state = _decode(request.proposed_new_state)
        if state is not None and _decode(request.prior_state) is None:
            for name, attribute in self._schemas["resources"][request.type_name]["attributes"].items():
                if attribute["computed"] and state[name] is None:
                    state[name] = _UNKNOWN
        return _M["Planned"](planned_state=_encode(state), legacy_type_system=True)

    def _apply(self, request: Any) -> Any:
        state = _decode(request.planned_state)
        if state is not None:
            region = [each for each in self._regions if each != "cn-heyuan"][-1]
            made_up = {
                "id": f"{request.type_name}/made-up",
                "arn": f"acs:ram::{ACCOUNT}:role/{state.get('role_name')}",
                "function_arn": f"acs:fc:{region}:{ACCOUNT}:functions/{state.get('function_name')}",
            }
            state = {name: made_up.get(name) if value == _UNKNOWN else value for name, value in state.items()}
        return _M["Applied"](new_state=_encode(state), legacy_type_system=True)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc] # grpcio has no types
    """Finds what answers a call."""

    def __init__(self, calls: Mapping[str, tuple[Any, Callable[[Any], Any]]]) -> None:
        self._calls = calls

    def service(self, details: Any) -> Any:
        """Return the handler of `/tfplugin6.Provider/NAME`, or None: then gRPC answers UNIMPLEMENTED."""
        service, _, name = details.method.strip("/").partition("/")
        if service != "tfplugin6.Provider" or name not in self._calls:
            return None
        message, answer = self._calls[name]
        return grpc.unary_unary_rpc_method_handler(
            lambda request, _: answer(request),
            request_deserializer=message.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )


def _accept(_: Any) -> Any:
    return _M["Nothing"]()


def _upgrade(request: Any) -> Any:
    return _M["State"](state=_M["Value"](json=request.raw_state.json))


def _decode(value: Any) -> Any:
    return json.loads(value.json) if value.json else msgpack.unpackb(value.msgpack, strict_map_key=False)


def _encode(value: Any) -> Any:
    return _M["Value"](msgpack=msgpack.packb(value))


def _schema(block: Mapping[str, Any]) -> Any:
    return _M["Schema"](block=_block(block))


def _block(block: Mapping[str, Any]) -> Any:
    attributes = [
        _M["Attribute"](
            name=name,
            type=json.dumps(each["type"]).encode(),
            required=each["required"],
            computed=each["computed"],
            optional=not (each["required"] or each["computed"]),
        )
        for name, each in block["attributes"].items()
    ]
    nested = [
        _M["Nested"](
            type_name=name,
            block=_block(each["block"]),
            nesting=_LIST,
            min_items=int(each["required"]),
            max_items=int(each["single"]),
        )
        for name, each in block["blocks"].items()
    ]
    return _M["Block"](attributes=attributes, block_types=nested)

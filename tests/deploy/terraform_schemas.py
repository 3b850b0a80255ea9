"""The schemas of the Terraform provider aliyun/alicloud, read from Pulumi's package of the same provider.

    pulumi_alicloud/fc/v3_function.py: class V3FunctionArgs, class _V3FunctionState ─► {"attributes": …, "blocks": …}

Pulumi generates its classes from the provider's own schemas. They are read with `ast`; nothing of them is imported. Not
in them: validators, conflicts, defaults, and which optional arguments the provider computes where they are not set.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

VERSION = "4.0.0"
SHA256 = "1563e1d73ce4a735e84e5b138ee75a962c90d91564163f5f68ab7a7151e39880"
BUILD = Path(__file__).resolve().parents[2] / "build"
RESOURCES = {  # Terraform's type: Pulumi's module and class
    "alicloud_event_bridge_event_bus": ("eventbridge/event_bus", "EventBus"),
    "alicloud_event_bridge_rule": ("eventbridge/rule", "Rule"),
    "alicloud_event_bridge_service_linked_role": ("eventbridge/service_linked_role", "ServiceLinkedRole"),
    "alicloud_fcv3_async_invoke_config": ("fc/v3_async_invoke_config", "V3AsyncInvokeConfig"),
    "alicloud_fcv3_function": ("fc/v3_function", "V3Function"),
    "alicloud_fcv3_trigger": ("fc/v3_trigger", "V3Trigger"),
    "alicloud_log_dashboard": ("log/dashboard", "Dashboard"),
    "alicloud_log_project": ("log/project", "Project"),
    "alicloud_log_resource_record": ("log/resource_record", "ResourceRecord"),
    "alicloud_log_store": ("log/store", "Store"),
    "alicloud_oss_bucket": ("oss/bucket", "Bucket"),
    "alicloud_oss_bucket_public_access_block": ("oss/bucket_public_access_block", "BucketPublicAccessBlock"),
    "alicloud_ram_policy": ("ram/policy", "Policy"),
    "alicloud_ram_role": ("ram/role", "Role"),
    "alicloud_ram_role_policy_attachment": ("ram/role_policy_attachment", "RolePolicyAttachment"),
    "alicloud_sls_alert": ("sls/alert", "Alert"),
    "alicloud_sls_index": ("sls/index", "Index"),
}
# Pulumi gives each list a plural name. These are singular in Terraform, by the provider's documents
# (https://registry.terraform.io/providers/aliyun/alicloud/latest/docs); the others are plural there, too.
SINGULAR = {
    **{name: name.removesuffix("s") for name in ("commands", "entrypoints", "tokens", "param_lists", "query_lists")},
    **{name: name.removesuffix("s") for name in ("log_reduce_black_lists", "log_reduce_white_lists", "statements")},
    **{name: name.removesuffix("s") for name in ("cors_rules", "lifecycle_rules", "expirations")},
    **{name: name.removesuffix("s") for name in ("abort_multipart_uploads", "noncurrent_version_expirations")},
    "noncurrent_version_transitions": "noncurrent_version_transition",
    "actions": "action",
    "resources": "resource",
}
SCALARS = {"str": "string", "int": "number", "float": "number", "bool": "bool"}


def schemas() -> dict[str, Any]:
    """Return `{"provider": block, "resources": {type: block}, "data_sources": {type: block}}`; cached in build/.

    A block has attributes, each with `type`, `required` and `computed`, and blocks, each with `block`, `required` and
    `single`. Raise CalledProcessError if the package cannot be downloaded, ValueError if it is not as expected.
    """
    code = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    cached = BUILD / "terraform" / f"schemas-{VERSION}-{code}.json"
    cached.parent.mkdir(parents=True, exist_ok=True)
    with (cached.parent / "lock").open("w") as lock:  # tests run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cached.is_file():
            cached.write_text(json.dumps(_Package(_wheel(cached.parent)).read()), encoding="utf-8")
    return json.loads(cached.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def _wheel(folder: Path) -> Path:
    """Return Pulumi's wheel, downloaded where it is not there yet. Raise ValueError if its bytes are others."""
    wheel = folder / f"pulumi_alicloud-{VERSION}-py3-none-any.whl"
    if not wheel.is_file():
        download = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", f"--dest={folder}"]
        subprocess.run([sys.executable, *download, f"pulumi-alicloud=={VERSION}"], check=True, capture_output=True)
    if (digest := hashlib.sha256(wheel.read_bytes()).hexdigest()) != SHA256:
        raise ValueError(f"{wheel} has the digest {digest}")
    return wheel


class _Package:
    """The classes of Pulumi's package, by module."""

    def __init__(self, wheel: Path) -> None:
        self._archive = zipfile.ZipFile(wheel)

    def read(self) -> dict[str, Any]:
        """Return the schemas of the resources above, of the data source for the account, and of the provider."""
        account = self._arguments("get_account", "GetAccountResult")
        return {
            "provider": self._block("provider", "ProviderArgs", "_inputs"),
            "resources": {name: self._resource(*where) for name, where in RESOURCES.items()},
            "data_sources": {
                "alicloud_account": {
                    "attributes": {name: _attribute("string", computed=True) for name in account},
                    "blocks": {},
                }
            },
        }

    def _resource(self, module: str, name: str) -> dict[str, Any]:
        """What a resource takes, and what the provider computes."""
        folder = module.partition("/")[0]
        block = self._block(module, f"{name}Args", f"{folder}/_inputs")
        computed = self._block(module, f"_{name}State", f"{folder}/_inputs")["attributes"]
        only = {name: _attribute(each["type"], computed=True) for name, each in computed.items()}
        block["attributes"] = {"id": _attribute("string", computed=True), **only, **block["attributes"]}
        return block

    def _block(self, module: str, name: str, inputs: str) -> dict[str, Any]:
        attributes, blocks = {}, {}
        for argument, (annotation, is_required) in self._arguments(module, name).items():
            kind, wanted = _read(annotation)
            if kind is None:
                attributes[SINGULAR.get(argument, argument)] = _attribute(wanted, required=is_required)
            else:
                nested = self._block(inputs, wanted, inputs)
                blocks[SINGULAR.get(argument, argument)] = {
                    "block": nested,
                    "required": is_required,
                    "single": kind == "single",
                }
        return {"attributes": attributes, "blocks": blocks}

    def _arguments(self, module: str, name: str) -> dict[str, tuple[ast.expr | None, bool]]:
        """The arguments of a class's `__init__`: their annotation, and whether they are required."""
        text = self._archive.read(f"pulumi_alicloud/{module}.py").decode()
        class_ = re.search(
            rf"^class {name}\b.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL
        )  # a module is long to parse
        assert class_, f"{module} has no {name}"
        methods = [node for node in ast.walk(ast.parse(class_[0])) if isinstance(node, ast.FunctionDef)]
        found = next(method.args for method in methods if method.name == "__init__")
        plain = {argument.arg: (argument.annotation, True) for argument in found.args[1:]}
        pairs = zip(found.kwonlyargs, found.kw_defaults, strict=True)
        return {**plain, **{argument.arg: (argument.annotation, default is None) for argument, default in pairs}}


def _attribute(type_: Any, *, required: bool = False, computed: bool = False) -> dict[str, Any]:
    return {"type": type_, "required": required, "computed": computed}


def _read(node: ast.expr | None) -> tuple[str | None, Any]:
    """An annotation → (None, Terraform's type), or ("single" or "list", the class of a block).

    pulumi.Input[Optional[Sequence[pulumi.Input[str]]]] → (None, ["list", "string"])
    pulumi.Input['RuleTargetArgs'] → ("single", "RuleTargetArgs")
    """
    match node:
        case ast.Constant(value=str(name)):
            return "single", name
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return None, SCALARS[name]
        case ast.Subscript(value=ast.Attribute(attr="Input") | ast.Name(id="Optional"), slice=inner):
            return _read(inner)
        case ast.Subscript(value=ast.Name(id="Sequence"), slice=inner):
            kind, wanted = _read(inner)
            return ("list", wanted) if kind else (None, ["list", wanted])
        case ast.Subscript(value=ast.Name(id="Mapping"), slice=ast.Tuple(elts=[_, inner])):
            return None, ["map", _read(inner)[1]]
    raise ValueError(f"not understood: {ast.unparse(node) if node else 'no annotation'}")

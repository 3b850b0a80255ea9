"""The files of deploy/ and s.yaml as they are deployed to the simulator's account."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
ACCOUNT, REGION, FUNCTION = "1234567890123456", "cn-hangzhou", "redis-backup"


def _load_render() -> Any:
    spec = importlib.util.spec_from_file_location("deploy_render", PROJECT / "deploy" / "render.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


render = _load_render()


def rendered(name: str, **variables: str) -> Any:
    """A file of deploy/, its placeholders filled in; `variables` replace those of s.yaml."""
    known = {**render.values(ACCOUNT), **{f"vars.{key}": value for key, value in variables.items()}}
    return json.loads(render.fill((PROJECT / "deploy" / name).read_text(encoding="utf-8"), known))


def serverless(**variables: str) -> dict[str, Any]:
    """s.yaml as Serverless Devs reads it: every variable filled in; `variables` replace those of the file."""
    known = {**render.values(ACCOUNT), **{f"vars.{key}": value for key, value in variables.items()}}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(each) for name, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        return render.fill(value, known, in_json=False) if isinstance(value, str) else value

    return filled(yaml.safe_load((PROJECT / "s.yaml").read_text(encoding="utf-8")))


def properties(**variables: str) -> dict[str, Any]:
    """The function's own part of s.yaml."""
    return serverless(**variables)["resources"]["backup"]["props"]

"""Fill in `${vars.…}` and `${account}` in deploy/*.json from the vars of s.yaml: python deploy/render.py ACCOUNT_ID

The results go to build/deploy/, where deploy/prepare.sh takes them from. `vars.sh` has the vars, for a shell. With a
store, role-policy.json has the statements of role-policy-store.json too; without one, what is about it is left out.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent
OUT = PROJECT / "build" / "deploy"
NAMES = ("name", "savedsearchName", "dashboardName")  # of what Log Service's API takes one at a time


def values(account: str) -> dict[str, str]:
    """Return what the placeholders stand for. Raise ValueError if the account ID is not one."""
    if not re.fullmatch(r"\d{16}", account):
        raise ValueError(f"an account ID has 16 digits, unlike {account!r}; `aliyun sts GetCallerIdentity` shows yours")
    variables = yaml.safe_load((PROJECT / "s.yaml").read_text(encoding="utf-8"))["vars"]
    strings = {name: "" if value is None else str(value) for name, value in variables.items()}
    store = re.fullmatch(r"(?:oss://([a-z0-9-]+)/([A-Za-z0-9._=/-]*[A-Za-z0-9._=-])/?)?", strings["store"])
    if not store:
        raise ValueError(f"store in s.yaml must be oss://BUCKET/PREFIX, unlike {strings['store']!r}")
    strings |= {"storeBucket": store[1] or "", "storePrefix": store[2] or ""}
    return {"account": account, **{f"vars.{name}": value for name, value in strings.items()}}


def fill(text: str, known: Mapping[str, str], *, in_json: bool = True) -> str:
    """Replace the placeholders. Raise KeyError for an unknown variable. Other `${…}` (Log Service's own) stay."""

    def value(match: re.Match[str]) -> str:
        filled = known[match[1]]
        return json.dumps(filled)[1:-1] if in_json else filled

    return re.sub(r"\$\{(vars\.\w+|account)\}", value, text)


def documents(known: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of each file, by name."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.json"))}
    filled = {name: json.loads(fill(text, known)) for name, text in texts.items()}
    if known["vars.storeBucket"]:
        filled["role-policy.json"]["Statement"] += filled["role-policy-store.json"]["Statement"]
        return filled
    for content in filled.values():
        if isinstance(content, dict) and "Statement" in content:
            content["Statement"] = [each for each in content["Statement"] if '"oss:' not in json.dumps(each)]
    return {name: content for name, content in filled.items() if "store" not in name}


def main(arguments: list[str]) -> int:
    """Write every file; the exit status."""
    try:
        known = values(arguments[0] if len(arguments) == 1 else "")
    except ValueError as error:
        sys.stderr.write(f"{__doc__}\n{error}\n")
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.glob("*.json"):  # the commands send whatever is there
        old.unlink()
    for file, content in documents(known).items():
        (OUT / file).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for item in content if isinstance(content, list) else [content]:  # the commands send one at a time
            if name := next((item[key] for key in NAMES if key in item), None):
                (OUT / f"{Path(file).stem}.{name}.json").write_text(json.dumps(item), encoding="utf-8")
    lines = [f"{name.removeprefix('vars.')}={shlex.quote(value)}\n" for name, value in known.items()]
    (OUT / "vars.sh").write_text("".join(lines), encoding="utf-8")
    sys.stdout.write(f"{OUT.relative_to(PROJECT)}/: {', '.join(sorted(path.name for path in OUT.glob('*.json')))}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

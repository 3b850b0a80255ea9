"""The house's rules: data flows one way, one place each for the SDK, the environment and printing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = {
    path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "redis_backup").glob("*.py"))
}
# In the order of the way that an event takes; each imports only what stands before it.
ORDER = [
    "__init__",
    "errors",
    "timestamps",
    "runtime",
    "settings",
    "invocation",
    "event",
    "fields",
    "request",
    "states",
    "pace",
    "api_errors",
    "job",
    "answers",
    "lean",
    "sdk",
    "kvstore",
    "function_compute",
    "records",
    "ensure",
    "run",
    "follow",
    "report",
    "function",
]


def imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "redis_backup":
            inside = node.module.partition(".")[2]
            names |= {inside} if inside else {alias.name for alias in node.names}
    return names & set(MODULES)


def users(*names: str) -> set[str]:
    """Modules in which one of these names is imported or looked up."""
    found = set()
    for module, tree in MODULES.items():
        for node in ast.walk(tree):
            mentioned = {
                *(alias.name for alias in getattr(node, "names", ()) if isinstance(alias, ast.alias)),
                getattr(node, "module", None),
                getattr(node, "attr", None),
                getattr(node, "id", None),
            }
            if mentioned & set(names):
                found.add(module)
    return found


def test_imports_run_one_way() -> None:
    assert set(ORDER) == set(MODULES) - {"__main__"}
    for position, module in enumerate(ORDER):
        assert imported(MODULES[module]) <= set(ORDER[:position]), module


def test_one_place_knows_the_environment_one_prints_and_one_switches_logging_off() -> None:
    assert users("os", "environ") <= {"runtime", "settings", "invocation", "function", "__main__"}
    assert users("stdout", "stderr") <= {"runtime", "records", "__main__"}
    assert users("print") == set()
    assert users("logging") == {"sdk"}


def test_only_the_sdks_modules_know_the_sdk() -> None:
    named = {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(("alibabacloud_", "fc2", "Tea"))
        if " " not in node.value
    }
    assert named <= {"sdk", "lean", "kvstore", "function_compute"}


def test_importing_the_handler_reads_no_environment_and_opens_nothing() -> None:
    program = (
        "import sys, os, socket\n"
        "class Refuse(dict):\n"
        "    def __getitem__(self, key):\n"
        "        if str(key).startswith(('BACKUP_', 'ALIBABA', 'FC_')): raise SystemExit(f'read {key}')\n"
        "        return super().__getitem__(key)\n"
        "    get = lambda self, key, default=None: self[key] if key in self else default\n"
        "os.environ = Refuse(os.environ)\n"
        "socket.socket.connect = lambda *_: sys.exit('connected')\n"
        "import handler\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('Tea', 'darabonba', 'fc2', 'requests')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("module", ["redis_backup", "simulator"])
def test_modules_are_short_enough_to_read_in_one_sitting(module: str) -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / module).rglob("*.py")}
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 400} == {}


def test_the_picture_shows_what_the_code_imports() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    arrows = set()
    for sources, targets in re.findall(r"^ +([\w& ]+?)(?:\[.*\])? --> ([\w& ]+)$", text, re.MULTILINE):
        arrows |= {(source.strip(), target.strip()) for source in sources.split("&") for target in targets.split("&")}
    assert len(arrows) >= 16
    for source, target in arrows - {("handler", "function")}:
        assert target in imported(MODULES[source]), f"{source} --> {target}"
    named = set(re.findall(r"^ +(\w+)\[\"", text, re.MULTILINE)) | set(re.findall(r"--> (\w+)\[\"", text))
    below = {"errors", "timestamps", "runtime", "settings", "invocation", "states", "__init__", "__main__"}
    assert named - {"handler"} == set(MODULES) - below

"""The rules of the house: rooms import one way; one place for SDK, environment and printing each; short code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.mutants.__main__ import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "redis_backup"


def name_of(path: Path) -> str:
    """`reconcile.decide`; a package is named by its folder."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


TREES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
# What each room may import, besides its own modules.
MAY_IMPORT = {
    "top": set[str](),
    "request": {"top"},
    "alibaba": {"top"},
    "proof": {"alibaba", "top"},
    "reconcile": {"request", "proof", "alibaba", "top"},
    "followups": {"request", "reconcile", "alibaba", "top"},
    "reporting": {"request", "reconcile", "top"},
    "check": {"request", "proof", "reconcile", "followups", "reporting", "alibaba", "top"},
    "handle": {"check", "request", "proof", "reconcile", "followups", "reporting", "alibaba", "top"},
    "__main__": set[str](),
}
# Of the reconciler, others may know what it works on and when it waits, but not how it works.
RECONCILER_S_TYPES = {"reconcile.backups", "reconcile.decide", "reconcile.known", "reconcile.watch", "reconcile.work"}
MAX_LINES, MAX_FUNCTION_LINES, MAX_COMPLEXITY = 400, 50, 10


def room(module: str) -> str:
    """The folder that a module lies in; `handle` and `__main__` are rooms of their own."""
    folder, dot, _ = module.partition(".")
    return folder if dot or folder in MAY_IMPORT else "top"


def imported(module: str) -> set[str]:
    """The modules of this package that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "redis_backup":
            inside = node.module.partition(".")[2]
            names |= {f"{inside}.{alias.name}".strip(".") for alias in node.names} | {inside}
        elif isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[2] for alias in node.names if alias.name.startswith("redis_backup.")}
    return names & set(MODULES)


MODULES = [module for module in TREES if TREES[module].body and module]  # an `__init__` is empty, or the package's own
FUNCTION = [module for module in MODULES if room(module) != "__main__"]


def users(*names: str) -> set[str]:
    """Modules of the function in which one of these names is imported or looked up."""
    found = set()
    for module in FUNCTION:
        for node in ast.walk(TREES[module]):
            mentioned = {
                *(alias.name for alias in getattr(node, "names", ()) if isinstance(alias, ast.alias)),
                getattr(node, "module", None),
                getattr(node, "attr", None),
                getattr(node, "id", None),
                getattr(node, "arg", None),
            }
            if mentioned & set(names):
                found.add(module)
    return found


def test_there_are_no_rooms_but_these() -> None:
    assert {room(module) for module in TREES if module} == set(MAY_IMPORT)


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_room_imports_what_lies_below_it(name: str) -> None:
    wrong = [
        f"{module} imports {other}"
        for module in MODULES
        if room(module) == name
        for other in sorted(imported(module))
        if room(other) not in MAY_IMPORT[name] | {name}
    ]
    assert wrong == []


@pytest.mark.parametrize("name", ["followups", "reporting"])
def test_other_rooms_know_the_reconciler_s_types_alone(name: str) -> None:
    wrong = [
        f"{module} imports {other}"
        for module in MODULES
        if room(module) == name
        for other in sorted(imported(module))
        if room(other) == "reconcile" and other not in RECONCILER_S_TYPES
    ]
    assert wrong == []


# The packages of the project, and which of them each may import.
PACKAGES = {
    "redis_backup": set[str](),
    "redis_backup_cli": {"redis_backup"},
    "action": {"redis_backup", "redis_backup_cli"},
    "simulator": {"redis_backup"},
    "chaos": {"simulator"},
    "benchmarks": {"simulator", "chaos"},
}
FORWARDS = {  # commands that are another package's, by a name that people know
    ("redis_backup.__main__", "redis_backup_cli.__main__"),
    ("simulator.__main__", "chaos.__main__"),
    ("simulator.commands.demo", "redis_backup_cli.__main__"),
}
# The command knows how requests are written and reports are read, and how Function Compute is called; not how the
# function works.
SHARED_WITH_THE_COMMAND = {"alibaba", "request", "top"}  # rooms
SHARED_MODULES = {"reporting.codec"}
NOT_THE_COMMAND_S = {"settings", "context", "handle"}


def project_modules() -> dict[str, ast.Module]:
    """All modules of the project's packages by their full names."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


PROJECT_MODULES = project_modules()


def all_imports(module: str) -> set[str]:
    """The project's modules that one imports, wherever in it, with full names; an import by name in a text counts."""
    found = set()
    for node in ast.walk(PROJECT_MODULES[module]):
        if isinstance(node, ast.ImportFrom):
            parts = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            found.add(node.value.partition(":")[0])
    return found & set(PROJECT_MODULES) - {module}


def test_each_package_imports_what_lies_below_it() -> None:
    arrows = {(module, other) for module in PROJECT_MODULES for other in all_imports(module)}
    wrong = [
        f"{module} imports {other}"
        for module, other in sorted(arrows - FORWARDS)
        for own, others in [(module.partition(".")[0], other.partition(".")[0])]
        if others not in PACKAGES[own] | {own}
    ]
    assert wrong == []
    assert arrows >= FORWARDS


def test_the_command_knows_the_function_s_json_and_not_its_inside() -> None:
    used = {
        other.partition(".")[2]
        for module in PROJECT_MODULES
        if module.startswith("redis_backup_cli.")
        for other in all_imports(module)
        if other.startswith("redis_backup.")
    }
    wrong = {name for name in used if room(name) not in SHARED_WITH_THE_COMMAND and name not in SHARED_MODULES}
    assert wrong | used & NOT_THE_COMMAND_S == set()


def test_no_module_imports_its_caller() -> None:
    try:
        TopologicalSorter({module: all_imports(module) for module in PROJECT_MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" ─► ".join(reversed(error.args[1])))


def test_what_decides_is_pure() -> None:
    allowed = {"reconcile.backups", "reconcile.known", "reconcile.watch", "alibaba.parsing", "states", "timestamps"}
    assert imported("reconcile.decide") <= allowed
    assert users("clock", "time", "sleep", "random", "uniform") & {"reconcile.decide"} == set()


def test_one_place_knows_the_environment_one_prints_and_one_silences_logging() -> None:
    assert users("environ", "getenv") <= {"runtime", "settings", "context", "handle"}
    assert {module for module in users("os") if "environ" in ast.unparse(TREES[module])} == {"runtime"}
    assert users("stdout", "stderr") <= {"runtime", "reporting.records"}
    assert users("print", "input", "open") == set()
    assert users("logging") == {"alibaba.sdk"}


def test_only_the_room_of_the_sdk_knows_it() -> None:
    named = {
        module
        for module in FUNCTION
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"(alibabacloud_|fc2|Tea|darabonba)[\w.]*", node.value)
    }
    assert named == {"alibaba.sdk", "alibaba.lazy_sdk", "alibaba.rkvstore", "alibaba.function_compute", "alibaba.oss"}
    assert users("lazy_sdk") <= named
    plain = {alias.name for module in FUNCTION for alias in _plain_imports(TREES[module])}
    outside = {name for name in plain if name.partition(".")[0] not in (*sys.stdlib_module_names, "redis_backup")}
    assert outside == set()  # so that importing the function loads no SDK


def _plain_imports(tree: ast.Module) -> Iterator[ast.alias]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from node.names
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield ast.alias(node.module)


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


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_are_short_enough_to_read_in_one_sitting(package: str) -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / package).rglob("*.py")}
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_no_function_is_longer_than_a_page() -> None:
    lengths = {
        f"{module}.{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}


def test_no_function_has_too_many_ways_through_it() -> None:
    limit = f"lint.mccabe.max-complexity={MAX_COMPLEXITY}"
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--select",
        "C901",
        "--config",
        limit,
        "redis_backup",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("All checks passed!\n", 0), done.stderr


TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def picture() -> tuple[set[tuple[str, str]], dict[str, str]]:
    """The arrows of the picture, from box to box, and the room that each box is drawn in."""
    arrows, boxes, where = set(), {}, "top"
    for line in TEXT.partition("```mermaid\n")[2].partition("```")[0].splitlines():
        if subgraph := re.match(r' +subgraph room_(\w+) \["(\w+)/', line):
            where = subgraph[1]
            assert subgraph[1] == subgraph[2]
        elif line.strip() == "end":
            where = "top"
        boxes |= dict.fromkeys(re.findall(r'(\w+)\["(?!\w+/"?)', line) if "subgraph" not in line else (), where)
        if arrow := re.match(r"^ +([\w& ]+?)(?:\[.*?\])? --> ([\w& ]+)(?:\[.*\])?$", line):
            sources, targets = ([each.strip() for each in side.split("&")] for side in arrow.groups())
            arrows |= {(source, target) for source in sources for target in targets}
    return arrows, boxes


def test_the_picture_shows_what_the_code_imports() -> None:
    arrows, _ = picture()
    by_stem = {module.rpartition(".")[2]: module for module in FUNCTION}
    assert len(by_stem) == len(FUNCTION)
    assert len(arrows) >= 16
    wrong = [
        f"{source} --> {target}"
        for source, target in sorted(arrows - {("handler", "handle")})
        if by_stem.get(target) not in (imported(by_stem[source]) if source in by_stem else ())
    ]
    assert wrong == []


def test_the_picture_has_a_box_for_each_module_in_its_room() -> None:
    _, boxes = picture()
    expected = {module.rpartition(".")[2]: room(module) for module in FUNCTION if room(module) != "top"}
    assert {name: where for name, where in boxes.items() if name not in ("handler", "handle")} == {
        name: where for name, where in expected.items() if name != "handle"
    }
    top = [module for module in FUNCTION if room(module) == "top" and module != "__init__"]
    below = TEXT[TEXT.index("\nBelow them all") :].partition("\n\n")[0]
    assert [module for module in top if f"`{module}`" not in below] == []


# Where the share of docstrings is held. (Of each package's public functions, classes and methods.)
DOCUMENTED = [*PACKAGES, "deploy"]
MIN_DOCUMENTED = 0.9


def public_definitions(node: ast.Module | ast.ClassDef, name: str) -> Iterator[tuple[str, str | None]]:
    """Return the names of public functions, classes and methods, each with its docstring."""
    for child in node.body:
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and child.name[0] != "_":
            yield f"{name}.{child.name}", ast.get_docstring(child)
            if isinstance(child, ast.ClassDef):
                yield from public_definitions(child, f"{name}.{child.name}")


@pytest.mark.parametrize("package", DOCUMENTED)
def test_public_functions_have_docstrings(package: str) -> None:
    definitions = [
        definition
        for path in sorted((ROOT / package).rglob("*.py"))
        for definition in public_definitions(ast.parse(path.read_text(encoding="utf-8")), str(path.relative_to(ROOT)))
    ]
    missing = [name for name, docstring in definitions if not docstring]
    assert len(missing) <= (1 - MIN_DOCUMENTED) * len(definitions), missing


# A function's docstring begins with a verb in the imperative, and with none of these words: "Return …", "Read …".
NOT_A_VERB = re.compile(r"(The|A|An|What|Whether|How|Where|Why|Until|Like|Each|All|One|So|There|This|That|It)\b|`")


def function_docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Return the names of public functions, methods and properties, and of `__init__`, each with its docstring."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if is_function and (node.name == "__init__" or node.name[0] != "_") and (text := ast.get_docstring(node)):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", text


@pytest.mark.parametrize("package", DOCUMENTED)
def test_docstrings_of_functions_begin_with_a_verb(package: str) -> None:
    wrong = [
        (name, text.splitlines()[0])
        for path in sorted((ROOT / package).rglob("*.py"))
        for name, text in function_docstrings(path)
        if NOT_A_VERB.match(text)
    ]
    assert wrong == []


# Whose strings, comments and prose are held to plain words.
IN_PLAIN_WORDS = [
    *(path for package in (*PACKAGES, "deploy") for path in sorted((ROOT / package).rglob("*.py"))),
    *(ROOT / name for name in ("handler.py", "s.yaml", "deploy/alerts.json", "deploy/queries.json")),
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
# Each with what to write instead. Only the worst: private words, and forms that have to be read twice.
PRIVATE_WORDS = {
    r"\bcontract('s)?\b": "the document that the repository has",
    r"\bwhole number\b": "integer",
    r"\bbears? (the|these|its) tags\b": "has the tags",
    r"\bthat will do\b|\bwill do, too\b": "that satisfies",
    r"\b(is|are) no (field|duration|setting|way to|valid|KEY)": "unknown field; is not a …",
    r"\bis none that\b|\bhave nobody who\b": "a complete sentence",
    r"\bin vain\b|\boutlasts?\b|\blets go\b|\bwere to be had\b": "plain words",
    r"\bearliest begin\b|\bits begin\b": "start time",
}


@pytest.mark.parametrize("path", IN_PLAIN_WORDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_have_no_private_words(path: Path) -> None:
    text = " ".join(path.read_text(encoding="utf-8").split())
    found = [(match[0], advice) for words, advice in PRIVATE_WORDS.items() for match in re.finditer(words, text)]
    assert found == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_breaks_is_still_there(mutant: Mutant) -> None:
    """`make mutants` takes too long for every run; without this it would come to break nothing."""
    assert (PACKAGE / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1

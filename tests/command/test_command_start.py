"""How the command starts: quickly, with little, and with a word where something is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

import pytest
from command_process import PROJECT, TO_FUNCTION, Ended, environ, run

KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIx", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "PLANTEDSECRET"}
ACCOUNT = {"ALIBABA_CLOUD_ACCOUNT_ID": "1"}
MODULE = [sys.executable, "-m", "redis_backup"]


def modules_of(code: str) -> set[str]:
    """The packages, and the project's modules, that a fresh process has loaded after this code."""
    listed = f"import json, sys\n{code}\nprint(json.dumps(list(sys.modules)))"
    names = json.loads(run([sys.executable, "-c", listed], environ({})).out.splitlines()[-1])
    return {name if name.startswith("redis_backup") else name.partition(".")[0] for name in names}


def test_the_function_loads_nothing_of_the_command() -> None:
    paths = (path.relative_to(PROJECT).with_suffix("") for path in (PROJECT / "redis_backup").rglob("*.py"))
    names = (".".join(path.parts) for path in paths if "__" not in path.stem)
    imports = "".join(f"import {name}\n" for name in names)
    loaded = modules_of(f"{imports}import handler\nhandler.initialize(None)")
    assert {name for name in loaded if name in ("click", "rich") or name.startswith("redis_backup_cli")} == set()


def test_help_loads_click_and_little_else() -> None:
    help_ = "from redis_backup.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    known = {"click", "redis_backup", "redis_backup.__main__", "redis_backup_cli"}
    known |= {
        f"redis_backup_cli.{name}"
        for name in ("__main__", "cli", "context", "durations", "options", "signals", "streams", "values")
    }
    foreign = {
        name
        for name in modules_of(help_) - modules_of("import click")
        if name.partition(".")[0] not in sys.stdlib_module_names
    }
    assert foreign == known - {"click"}


@pytest.mark.parametrize("name", ["-h", "--help"])
def test_help_shows_how_it_is_used(name: str) -> None:
    ended = run([*MODULE, name], environ({}))
    assert (ended.code, ended.err) == (0, "")
    assert [
        word for word in ("--wait", "Exit codes:", "redis-backup r-bp1zxszhcgatnx01") if word not in ended.out
    ] == []


def test_without_its_libraries_it_says_how_to_get_them() -> None:
    ended = run([sys.executable, "-S", "-m", "redis_backup", "--help"], environ({}))
    assert ended == Ended(
        2,
        "",
        'This command needs libraries that are not installed: pip install "redis-backup"\n',
    )


@pytest.mark.parametrize(
    ("arguments", "changes", "text"),
    [
        (["r-a"], {}, "Error: Missing option '--function'."),
        (["r-a", *TO_FUNCTION, "--wait", "soon"], {}, "'soon' is not a duration; use 15m, 2h, 1h30m or 1d"),
        (
            ["r-a", *TO_FUNCTION, "--max-age", "90s"],
            {},
            "'90s' is not a number of minutes; use 15m, 2h or 1d",
        ),
        (["--tag", "shop", *TO_FUNCTION], {}, "'shop' is not KEY=VALUE"),
        (["r-a", *TO_FUNCTION, "--verify", "all"], {}, "'--verify': 'all' is not one of 'none', 'quick', 'full'."),
        ([*TO_FUNCTION, "--check", "--verify", "full", "--dry-run"], {}, "so leave out --dry-run"),
        ([*TO_FUNCTION], {}, "Error: instance_ids is missing: the command names no instance; use IDs such as "),
        (
            ["R-A", "--retention-days", "3", *TO_FUNCTION],
            {},
            'instance/r-…, not "R-A"; reten',
        ),
        (
            ["r-a", "--since", "yesterday", *TO_FUNCTION],
            {},
            'Error: since must be an RFC 3339 time such as 2026-11-24T02:00:00Z, not "yesterday"',
        ),
        (["r-a", "--since", "2999-01-01T00:00:00Z", *TO_FUNCTION], {}, "Error: since is 2999-01-01T00:00:00Z, but "),
        (
            ["r-a", *TO_FUNCTION],
            KEYS,
            "Error: the account of the function is not known\n  set --account or ALIBABA_CLOUD_ACCOUNT_ID\n",
        ),
        (["r-a", *TO_FUNCTION], ACCOUNT, "Error: no credentials were found\n  set ALIBABA_CLOUD_ACCESS_KEY_ID and "),
        (
            ["r-a", *TO_FUNCTION],
            {**KEYS, **ACCOUNT, "BACKUP_FC_ENDPOINT": "ftp://x"},
            "Error: BACKUP_FC_ENDPOINT is neither a host nor a URL",
        ),
    ],
)
def test_what_is_wrong_is_2_before_anything_is_sent(
    arguments: list[str], changes: Mapping[str, str], text: str
) -> None:
    ended = run([*MODULE, *arguments], environ(changes))
    assert (ended.code, ended.out) == (2, "")
    assert text in ended.err
    assert "PLANTEDSECRET" not in ended.err


def test_no_time_to_wait_is_3() -> None:
    ended = run([*MODULE, "r-a", *TO_FUNCTION, "--wait", "0s"], environ({**KEYS, **ACCOUNT}))
    assert (ended.code, ended.out.count("no answer yet: ")) == (3, 1)


def test_a_console_script_of_its_name_is_installed() -> None:
    script = subprocess.run(
        [sys.executable, "-c", "from importlib.metadata import entry_points as e; print(*e(name='redis-backup'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    if not script.stdout.strip():
        pytest.skip("the project is not installed here")
    assert "redis_backup_cli.__main__:main" in script.stdout

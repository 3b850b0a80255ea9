"""deploy/render.py fills in what the commands send."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from deployment import ACCOUNT, PROJECT, render

FILES = sorted(path.name for path in (PROJECT / "deploy").glob("*.json"))


@pytest.mark.parametrize("name", FILES)
def test_a_rendered_file_is_json_without_placeholders(name: str) -> None:
    text = render.fill((PROJECT / "deploy" / name).read_text(encoding="utf-8"), render.values(ACCOUNT))
    assert json.loads(text)
    assert "${vars." not in text
    assert "${account}" not in text


def test_values_are_escaped_and_unknown_ones_refused() -> None:
    assert json.loads(render.fill('"${vars.tags}"', {"vars.tags": '{"env": "production"}'})) == '{"env": "production"}'
    with pytest.raises(KeyError):
        render.fill("${vars.regoin}", render.values(ACCOUNT))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROJECT / "deploy" / "render.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_writes_lists_one_file_an_item_too_and_the_vars_for_a_shell() -> None:
    render.OUT.mkdir(parents=True, exist_ok=True)
    (render.OUT / "alerts.of-an-older-version.json").write_text("{}")
    done = run(ACCOUNT)
    assert (done.returncode, done.stderr) == (0, "")
    written = done.stdout.partition(": ")[2].strip().split(", ")
    alerts = json.loads((render.OUT / "alerts.json").read_text(encoding="utf-8"))
    single = [name for name in written if re.fullmatch(r"alerts\.[\w-]+\.json", name)]
    assert [json.loads((render.OUT / name).read_text(encoding="utf-8")) for name in single] == sorted(
        alerts, key=lambda alert: alert["name"]
    )
    assert set(FILES) <= set(written)
    script = f'. "{render.OUT}/vars.sh"; printf "%s|" "$account" "$region" "$tags" "$nightly" "$alertEmail"'
    shown = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown == f'{ACCOUNT}|cn-hangzhou|{{"env": "production"}}|CRON_TZ=Asia/Shanghai 0 0 2 * * *||'


@pytest.mark.parametrize("arguments", [(), ("12345",), (ACCOUNT, ACCOUNT)])
def test_the_command_refuses_what_is_no_account(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "an account ID has 16 digits" in done.stderr

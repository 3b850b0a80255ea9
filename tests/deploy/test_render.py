"""deploy/render.py fills in what the commands send."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

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
    about_store = {"role-policy-store.json", "store-bucket-policy.json", "store-lifecycle.json"}
    assert set(FILES) - set(written) == about_store  # s.yaml names no store
    assert "oss:" not in (render.OUT / "prepare-policy.json").read_text(encoding="utf-8")
    script = f'. "{render.OUT}/vars.sh"; printf "%s|" "$account" "$region" "$tags" "$nightly" "$alertEmail"'
    shown = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown == f'{ACCOUNT}|cn-hangzhou|{{"env": "production"}}|CRON_TZ=Asia/Shanghai 0 0 2 * * *||'


STORE = {"vars.store": "oss://backups/redis", "vars.storeBucket": "backups", "vars.storePrefix": "redis"}


def test_with_a_store_every_file_is_written_and_the_role_may_use_it() -> None:
    known = render.values(ACCOUNT)
    filled = render.documents({**known, **STORE})
    assert sorted(filled) == FILES
    granted = filled["role-policy-store.json"]["Statement"]
    assert filled["role-policy.json"]["Statement"][-len(granted) :] == granted
    assert len(json.dumps(filled["role-policy.json"])) < 6144  # what RAM takes
    assert "acs:oss:*:*:backups" in json.dumps(filled["prepare-policy.json"])


@pytest.mark.parametrize("store", ["backups/redis", "oss://backups", "oss://backups/", "oss://backups/redis*"])
def test_a_store_without_a_bucket_or_a_prefix_is_refused(store: str, tmp_path: Path) -> None:
    """Without a prefix the lifecycle rule would delete whatever the bucket has."""
    text = (PROJECT / "s.yaml").read_text(encoding="utf-8").replace("  store: ''", f"  store: {store}")
    (tmp_path / "deploy").mkdir()
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    shutil.copy(PROJECT / "deploy" / "render.py", tmp_path / "deploy")
    command = [sys.executable, str(tmp_path / "deploy" / "render.py"), ACCOUNT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"store in s.yaml must be oss://BUCKET/PREFIX, unlike {store!r}" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("12345",), (ACCOUNT, ACCOUNT)])
def test_the_command_refuses_what_is_no_account(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "an account ID has 16 digits" in done.stderr

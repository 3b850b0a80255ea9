"""Credentials that are there and do not work: what was found, and why it does not work."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from command_process import TO_FUNCTION, environ, run

from redis_backup_cli.profiles import explain_failure

SECRET = "PLANTEDSECRET"
AK = {"name": "ci", "mode": "AK", "access_key_id": "LTAIx", "access_key_secret": SECRET}
ROLE = {"name": "ci", "mode": "ChainableRamRoleArn", "ram_role_arn": "acs:ram::1:role/x"}
COMMAND = [sys.executable, "-m", "redis_backup", "r-a", *TO_FUNCTION, "--wait", "0s"]
P = "ALIBABA_CLOUD_"


def config(*profiles: dict[str, Any], current: str = "ci") -> bytes:
    return json.dumps({"current": current, "profiles": profiles}).encode()


def home(tmp_path: Path, cli: bytes | None = None, ini: bytes | None = None) -> Path:
    for folder, name, content in ((".aliyun", "config.json", cli), (".alibabacloud", "credentials.ini", ini)):
        if content is not None:
            (tmp_path / folder).mkdir()
            (tmp_path / folder / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    ("cli", "profile", "reason"),
    [
        (config(ROLE), "", "the profile ci in {}, mode ChainableRamRoleArn, has no source_profile"),
        (
            config(ROLE | {"source_profile": "base"}),
            "",
            "the profile ci in {}, mode ChainableRamRoleArn, names the source_profile 'base', which does not exist",
        ),
        (
            config(ROLE | {"source_profile": "base"}, AK | {"name": "base"}),
            "ci",
            "the profile ci in {}, mode ChainableRamRoleArn, did not work: its role could not be assumed",
        ),
        (config({"name": "ci", "mode": "External"}), "", "the profile ci in {}, mode External, has no process_command"),
        (
            config({"name": "ci", "mode": "External", "process_command": SECRET}),
            "",
            "the profile ci in {}, mode External, did not work: its process_command printed no credentials",
        ),
        (
            config({"name": "ci", "mode": "CloudSSO", "access_token": SECRET}),
            "",
            (
                "the profile ci in {}, mode CloudSSO, did not work: its sign-in has expired; run `aliyun configure` "
                "with --mode CloudSSO"
            ),
        ),
        (
            config({"name": "ci", "mode": "Magic"}),
            "",
            "the profile ci in {}, mode Magic, did not work: the SDK knows no such mode",
        ),
        (
            config(AK | {"access_key_secret": ""}),
            "",
            "the profile ci in {}, mode AK, has no access_key_secret",
        ),
        (b"\xef\xbb\xbf" + config(AK), "", "{} begins with a byte order mark; save it as UTF-8 without one"),
        (config(AK), "prod", "{} does not have the profile that ALIBABA_CLOUD_PROFILE names; it has ci"),
        (config(AK, current="x"), "", "{} does not have the profile that `current` names; it has ci"),
        (b'{"current": "ci",', "", "{} is not valid JSON (line 1, column 18)"),
        (b"[1]", "", "{} does not have the form of the aliyun CLI's (`current`, `profiles`)"),
        (b"\xff", "", "{} cannot be decoded as UTF-8"),
    ],
)
def test_a_profile_of_the_aliyun_cli(tmp_path: Path, cli: bytes, profile: str, reason: str) -> None:
    reasons = explain_failure({f"{P}PROFILE": profile}, home(tmp_path, cli))
    assert reasons == [reason.replace("{}", str(tmp_path / ".aliyun" / "config.json"))]


@pytest.mark.parametrize(
    ("ini", "profile", "reason"),
    [
        (b"[default]\ntype = magic\n", "", "the section [default] of {}, type magic, did not work"),
        (
            b"[default]\ntype = access_key\n",
            "ci",
            "{} does not have the section that ALIBABA_CLOUD_PROFILE names; it has default",
        ),
        (b"type = access_key\n", "", "{} is not a valid INI file"),
        (b"\xef\xbb\xbf[default]\n", "", "{} begins with a byte order mark; save it as UTF-8 without one"),
    ],
)
def test_a_credentials_file(tmp_path: Path, ini: bytes, profile: str, reason: str) -> None:
    reasons = explain_failure({f"{P}PROFILE": profile}, home(tmp_path, ini=ini))
    assert reasons == [reason.replace("{}", str(tmp_path / ".alibabacloud" / "credentials.ini"))]


@pytest.mark.parametrize(
    ("variables", "reasons"),
    [
        ({}, []),
        ({"ACCESS_KEY_ID": "x"}, [f"{P}ACCESS_KEY_ID is set, but {P}ACCESS_KEY_SECRET is not"]),
        ({"ACCESS_KEY_SECRET": SECRET}, [f"{P}ACCESS_KEY_SECRET is set, but {P}ACCESS_KEY_ID is not"]),
        (
            {"ROLE_ARN": "x", "OIDC_TOKEN_FILE": "/x"},
            [f"for an OIDC role {P}OIDC_PROVIDER_ARN must be set, too"],
        ),
        (
            {"ROLE_ARN": "x", "OIDC_TOKEN_FILE": "/x", "OIDC_PROVIDER_ARN": "y"},
            [f"{P}OIDC_TOKEN_FILE does not name a file"],
        ),
        (
            {"ROLE_ARN": "x\r", "OIDC_TOKEN_FILE": __file__, "OIDC_PROVIDER_ARN": "y"},
            [f"the OIDC role of {P}ROLE_ARN could not be assumed", f"{P}ROLE_ARN ends in a carriage return (CR)"],
        ),
        ({"CREDENTIALS_FILE": "/x"}, [f"{P}CREDENTIALS_FILE does not name a file"]),
        ({"CREDENTIALS_URI": "http://x"}, [f"the address in {P}CREDENTIALS_URI gave none"]),
    ],
)
def test_variables(tmp_path: Path, variables: dict[str, str], reasons: list[str]) -> None:
    assert explain_failure({P + name: value for name, value in variables.items()}, tmp_path) == reasons


def test_a_profile_without_any_file_is_named(tmp_path: Path) -> None:
    [reason] = explain_failure({f"{P}PROFILE": "ci"}, tmp_path)
    assert reason.startswith(f"{P}PROFILE names a profile, but neither {tmp_path}")


@pytest.mark.parametrize("name", ["CREDENTIALS_FILE", "OIDC_TOKEN_FILE", "PROFILE"])
@pytest.mark.parametrize("secret", ["SECRETKEY", "[default]\naccess_key_secret=SECRETKEY\n", "SECRETKEY" * 100])
def test_what_a_variable_holds_is_not_quoted(name: str, secret: str, tmp_path: Path) -> None:
    oidc = {f"{P}ROLE_ARN": "a", f"{P}OIDC_PROVIDER_ARN": "b"} if name == "OIDC_TOKEN_FILE" else {}
    reasons = explain_failure({f"{P}{name}": secret, **oidc}, tmp_path)
    assert reasons
    assert "SECRETKEY" not in "".join(reasons)


@pytest.mark.parametrize(
    "content",
    [{"current": ["a"], "profiles": []}, {"current": "a", "profiles": [{**AK, "name": "a", "source_profile": ["b"]}]}],
)
def test_a_profile_of_any_content_raises_nothing(content: object, tmp_path: Path) -> None:
    (tmp_path / ".aliyun").mkdir()
    (tmp_path / ".aliyun" / "config.json").write_text(json.dumps(content))
    assert len(explain_failure({}, tmp_path)) == 1


def test_the_cli_s_file_is_not_looked_at_where_it_is_switched_off(tmp_path: Path) -> None:
    assert explain_failure({f"{P}CLI_PROFILE_DISABLED": "true"}, home(tmp_path, b"{")) == []


def test_the_command_says_what_was_found_and_no_secret(tmp_path: Path) -> None:
    folder = home(tmp_path, b"\xef\xbb\xbf" + config(AK))
    ended = run(COMMAND, environ({"HOME": str(folder), f"{P}ACCOUNT_ID": "1"}))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(
        f"Error: no credentials that work were found: {folder}/.aliyun/config.json begins with a byte order mark"
    )
    assert SECRET not in ended.err


def test_a_key_in_a_profile_that_ends_in_a_line_end_is_2_at_once(tmp_path: Path) -> None:
    folder = home(tmp_path, config(AK | {"access_key_secret": f"{SECRET}\r"}))
    ended = run(COMMAND, environ({"HOME": str(folder), f"{P}ACCOUNT_ID": "1"}))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Error: access_key_secret of default/cli_profile/static_ak ends in a carriage return")
    assert SECRET not in ended.err


@pytest.mark.parametrize("name", ["ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN"])
def test_a_variable_that_ends_in_a_line_end_is_2_at_once(name: str) -> None:
    keys = {f"{P}ACCESS_KEY_ID": "LTAIx", f"{P}ACCESS_KEY_SECRET": SECRET, f"{P}ACCOUNT_ID": "1"}
    ended = run(COMMAND, environ(keys | {P + name: f"{SECRET}\r"}))
    assert (ended.code, ended.out, ended.err.splitlines()[0]) == (
        2,
        "",
        f"Error: {P}{name} ends in a carriage return (CR)",
    )

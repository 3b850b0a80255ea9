"""Explain why the SDK found no credentials: what there is on this machine, and what is wrong with it.

The SDK's own texts are not shown, since they may quote a secret. Here the places where it looks are looked at once
more, after it has failed. Of what a variable holds nothing is quoted, since it may be a secret that was put into the
wrong one; of files, only the names of profiles and modes are.
https://github.com/aliyun/credentials-python and https://github.com/aliyun/aliyun-cli describe the files.
"""

from __future__ import annotations

import configparser
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .values import describe_flaw

_PREFIX = "ALIBABA_CLOUD_"
_KEY = (f"{_PREFIX}ACCESS_KEY_ID", f"{_PREFIX}ACCESS_KEY_SECRET")
_OIDC = (f"{_PREFIX}ROLE_ARN", f"{_PREFIX}OIDC_PROVIDER_ARN", f"{_PREFIX}OIDC_TOKEN_FILE")
_PROFILE, _FILE, _URI = f"{_PREFIX}PROFILE", f"{_PREFIX}CREDENTIALS_FILE", f"{_PREFIX}CREDENTIALS_URI"
# What a profile's mode needs, and what a person can do where that fails.
_MODES = {
    "AK": (("access_key_id", "access_key_secret"), ""),
    "StsToken": (("access_key_id", "access_key_secret", "sts_token"), ""),
    "RamRoleArn": (("access_key_id", "access_key_secret", "ram_role_arn"), "its role could not be assumed"),
    "ChainableRamRoleArn": (("source_profile", "ram_role_arn"), "its role could not be assumed"),
    "EcsRamRole": ((), "the machine has no such role"),
    "OIDC": (("ram_role_arn", "oidc_provider_arn", "oidc_token_file"), "its role could not be assumed"),
    "CloudSSO": (("access_token",), "its sign-in has expired; run `aliyun configure` with --mode CloudSSO"),
    "OAuth": (("oauth_refresh_token",), "its sign-in has expired; run `aliyun configure` with --mode OAuth"),
    "External": (("process_command",), "its process_command printed no credentials"),
}


def explain_failure(environ: Mapping[str, str], home: Path) -> list[str]:
    """Return what was found and why it does not work, one string for each place; nothing for places without anything.

    `~/.aliyun/config.json` with `{"current": "ci", "profiles": [{"name": "ci", "mode": "External"}]}` →
    `["the profile ci in ~/.aliyun/config.json, mode External, has no process_command"]`.
    """
    try:
        return [reason for reason in _reasons(environ, home) if reason]
    except Exception:  # noqa: BLE001 - files of any content, folders that may not be read: no reason is better than that
        return []


def _reasons(environ: Mapping[str, str], home: Path) -> list[str]:
    cli_file, own_file = home / ".aliyun" / "config.json", environ.get(_FILE)
    credentials_file = Path(own_file) if own_file else home / ".alibabacloud" / "credentials.ini"
    reasons = [_explain_variables(environ), _explain_oidc(environ)]
    if environ.get(f"{_PREFIX}CLI_PROFILE_DISABLED", "").lower() != "true":
        reasons.append(_explain_file(cli_file, environ, _explain_cli_profile))
    reasons.append(_explain_file(credentials_file, environ, _explain_section))
    if own_file and not _is_file(credentials_file):
        reasons.append(f"{_FILE} does not name a file")
    if environ.get(_URI):
        reasons.append(f"the address in {_URI} gave none")
    name = environ.get(_PROFILE)
    if name and not (_is_file(cli_file) or _is_file(credentials_file)):
        where = "the file of " + _FILE if own_file else str(credentials_file)
        reasons.append(f"{_PROFILE} names a profile, but neither {cli_file} nor {where} can be read")
    names = (*_OIDC, _PROFILE, _FILE, _URI)
    reasons += [f"{name} {flaw}" for name in names if (flaw := describe_flaw(environ.get(name, ""), is_word=False))]
    return reasons


def _is_file(path: Path) -> bool:
    """Return whether it is a file that this process can see."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long, or a folder that may not be entered
        return False


def _explain_variables(environ: Mapping[str, str]) -> str:
    for name, other in (_KEY, _KEY[::-1]):
        if environ.get(name) and not environ.get(other):
            return f"{name} is set, but {other} is not"
    return ""


def _explain_oidc(environ: Mapping[str, str]) -> str:
    missing = [name for name in _OIDC if not environ.get(name)]
    if len(missing) == len(_OIDC) or missing == [*_OIDC[1:]]:  # ROLE_ARN alone is of other uses, too
        return ""
    if missing:
        return f"for an OIDC role {' and '.join(missing)} must be set, too"
    if not _is_file(Path(environ[_OIDC[2]])):
        return f"{_OIDC[2]} does not name a file"
    return f"the OIDC role of {_OIDC[0]} could not be assumed"


def _explain_file(path: Path, environ: Mapping[str, str], explain: Any) -> str:
    """Return what is wrong with a file of profiles, "" where there is no such file."""
    try:
        raw = path.read_bytes() if _is_file(path) else None
    except OSError as error:
        return f"{path} could not be read ({error.strerror})"
    if raw is None:
        return ""
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return f"{path} begins with a byte order mark; save it as UTF-8 without one"
    try:
        return str(explain(raw.decode("utf-8"), path, environ.get(_PROFILE, "")))
    except UnicodeDecodeError:
        return f"{path} cannot be decoded as UTF-8"


def _explain_cli_profile(text: str, path: Path, name: str) -> str:
    """Return what is wrong with the profile of the aliyun CLI's `config.json`."""
    try:
        config = json.loads(text)
        profiles = {str(profile["name"]): profile for profile in config["profiles"]}
        current = name or str(config["current"])
    except json.JSONDecodeError as error:
        return f"{path} is not valid JSON (line {error.lineno}, column {error.colno})"
    except (LookupError, TypeError, ValueError, RecursionError):
        return f"{path} does not have the form of the aliyun CLI's (`current`, `profiles`)"
    if current not in profiles:
        source = _PROFILE if name else "`current`"
        return f"{path} does not have the profile that {source} names; it has {', '.join(profiles) or 'none'}"
    return _explain_mode(profiles, current, path)


def _explain_mode(profiles: Mapping[str, Any], name: str, path: Path) -> str:
    """Return what is wrong with a profile, by its mode."""
    profile = profiles[name]
    found = f"the profile {name} in {path}, mode {profile.get('mode')},"
    needed, why = _MODES.get(str(profile.get("mode")), ((), "the SDK knows no such mode"))
    if missing := [field for field in needed if not profile.get(field)]:
        return f"{found} has no {' and no '.join(missing)}"
    source = str(profile.get("source_profile") or "")
    if source and source not in profiles:
        return f"{found} names the source_profile {source!r}, which does not exist"
    return f"{found} did not work{f': {why}' if why else ''}"


def _explain_section(text: str, path: Path, name: str) -> str:
    """Return what is wrong with a section of `credentials.ini`."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error:
        return f"{path} is not a valid INI file"
    section = name or "default"
    if not parser.has_section(section):
        wanted = f"the section that {_PROFILE} names" if name else "the section [default]"
        return f"{path} does not have {wanted}; it has {', '.join(parser.sections()) or 'none'}"
    return f"the section [{section}] of {path}, type {parser[section].get('type', 'missing')}, did not work"

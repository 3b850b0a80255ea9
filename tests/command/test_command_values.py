"""What the command line and the environment may hold: line ends, other encodings, one thing said twice."""

from __future__ import annotations

import os
from typing import Any

import click
import pytest

from redis_backup_cli.cli import command
from redis_backup_cli.values import decode_argument, describe_flaw

GIVEN = ["r-a", "--function", "f", "--region", "cn-hangzhou"]


def parse(*arguments: str) -> dict[str, Any]:
    """The options as the command gets them."""
    return command.make_context("redis-backup", list(arguments)).params


@pytest.mark.parametrize(
    ("value", "is_word", "flaw"),
    [
        ("LTAI5t-_.$=/+", True, ""),
        ("", True, ""),
        ("LTAI\r", True, "ends in a carriage return (CR)"),
        ("LTAI\r\n", True, "ends in a line feed (LF)"),
        ("\ufeffLTAI", True, "begins with a byte order mark"),
        (" LTAI", False, "begins with a space"),
        ("LTAI\u200b", False, "ends in white space or a control character"),
        ("a\tb", False, "holds a tab"),
        ("a b", True, "holds a space"),
        ("a b 发布", False, ""),
        ("发布", True, "holds a character that is not ASCII"),
    ],
)
def test_what_is_wrong_with_a_value_is_said_without_the_value(value: str, is_word: bool, flaw: str) -> None:
    assert describe_flaw(value, is_word=is_word) == flaw


@pytest.mark.parametrize(
    ("raw", "text"),
    [("发布 42".encode(), "发布 42"), (b"42", "42"), ("发".encode() + b"\xff", None), (b"\xb7\xa2", None)],
)
def test_an_argument_that_the_locale_cannot_decode_is_utf_8_or_refused(raw: bytes, text: str | None) -> None:
    argument = raw.decode("ascii", "surrogateescape")
    if text is None:
        with pytest.raises(UnicodeError):
            decode_argument(argument)
    else:
        assert decode_argument(argument) == text
    assert decode_argument(os.fsdecode("é".encode())) == "é"


@pytest.mark.parametrize("option", ["--function", "--service", "--region", "--account", "--since"])
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", " ", "\x00"])
def test_a_value_that_ends_in_what_cannot_be_seen_is_refused_by_the_options_name(option: str, end: str) -> None:
    with pytest.raises(click.UsageError) as raised:
        parse("r-a", *([] if option == "--function" else ["--function", "f"]), option, f"PLANTED{end}")
    assert raised.value.message.startswith(f"{option} ends in ")
    assert "PLANTED" not in raised.value.message


@pytest.mark.parametrize("name", ["ALIBABA_CLOUD_REGION_ID", "ALIBABA_CLOUD_ACCOUNT_ID", "FC_ACCOUNT_ID"])
def test_a_variable_that_ends_in_a_line_end_is_named_unless_an_option_is_given(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("ALIBABA_CLOUD_REGION_ID", "ALIBABA_CLOUD_ACCOUNT_ID", "FC_ACCOUNT_ID"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "PLANTED\r")
    region = [] if "REGION" in name else ["--region", "cn-hangzhou"]
    with pytest.raises(click.UsageError) as raised:
        parse("r-a", "--function", "f", *region)
    assert raised.value.message == f"{name} ends in a carriage return (CR)."
    assert parse(*GIVEN, "--account", "1")["account"] == "1"


@pytest.mark.parametrize(
    ("option", "value", "other"),
    [
        ("--function", "f", "g"),
        ("--service", "a", "b"),
        ("--region", "cn-hangzhou", "cn-beijing"),
        ("--account", "1", "2"),
        ("--wait", "30m", "2h"),
        ("--max-age", "0m", "2h"),
        ("--since", "2026-11-24T02:00:00Z", "2026-11-24T03:00:00Z"),
        ("--retention-days", "7", "8"),
        ("--reason", "a", "b"),
    ],
)
def test_two_values_for_one_option_are_refused_and_one_value_twice_is_not(option: str, value: str, other: str) -> None:
    with pytest.raises(click.UsageError) as raised:
        parse(*GIVEN, option, value, f"{option}={other}")
    assert raised.value.message == f"{option} is given twice, with different values."
    assert parse(*GIVEN, option, value, option, value)[option[2:].replace("-", "_")] is not None
    assert parse(*GIVEN, "--wait", "1h", "--wait", "60m")["wait"] == 3600


def test_tags() -> None:
    assert parse(*GIVEN, "--tag", "app=shop", "--tag", "a=b=c", "--tag", "app=shop", "--tag", "x=")["tags"] == {
        "app": "shop",
        "a": "b=c",
        "x": "",
    }


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (["env=production", "env=staging"], "--tag env is given twice, with different values"),
        (["env=production\r"], "--tag ends in a carriage return (CR)."),
        (["=x"], "'=x' is not KEY=VALUE"),
    ],
)
def test_tags_that_are_refused(tags: list[str], message: str) -> None:
    with pytest.raises(click.UsageError) as raised:
        parse(*GIVEN, *(part for tag in tags for part in ("--tag", tag)))
    assert raised.value.message.startswith(message)


@pytest.mark.parametrize("name", ["--function", "--region"])
def test_an_empty_name_is_refused(name: str) -> None:
    arguments = ["r-a", "--function", "f", "--region", "r"]
    arguments[arguments.index(name) + 1] = ""
    with pytest.raises(click.UsageError, match=f"{name} is empty"):
        parse(*arguments)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([*GIVEN, "--since", ""], "--since is empty"),
        (["r-a", "--region", "cn-hangzhou", "--function", "../x?y=1"], "--function is not a name"),
    ],
)
def test_values_with_another_meaning_are_refused(arguments: list[str], text: str) -> None:
    with pytest.raises(click.UsageError, match=text):
        parse(*arguments)

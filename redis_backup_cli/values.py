"""Checks of values that come from a command line or the environment. What is wrong is said; the value is not."""

from __future__ import annotations

import os

_NAMES = {
    " ": "a space",
    "\t": "a tab",
    "\r": "a carriage return (CR)",
    "\n": "a line feed (LF)",
    "\ufeff": "a byte order mark",
}


def describe_flaw(value: str, *, is_word: bool = True) -> str:
    r"""Return what is wrong with a value, "" for nothing. A word is printable ASCII without white space.

    `"LTAI\r"` → `"ends in a carriage return (CR)"`; `"a b"` → `"holds a space"` if it is to be a word.
    """
    for where, char in (("ends in", value[-1:]), ("begins with", value[:1])):
        if char and (char.isspace() or not char.isprintable()):
            return f"{where} {_describe(char)}"
    for char in value:
        if not char.isprintable() or (is_word and not "!" <= char <= "~"):
            return f"holds {_describe(char)}"
    return ""


def _describe(char: str) -> str:
    invisible = "white space or a control character"
    return _NAMES.get(char, "a character that is not ASCII" if char.isprintable() else invisible)


def decode_argument(argument: str) -> str:
    r"""Return an argument of the command line as it was typed. Raise ValueError where its bytes are no known text.

    Python keeps bytes that the locale cannot decode as surrogates: `"\udce5\udc8f\udc91"` → `"发"`, by UTF-8.
    """
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(argument).decode("utf-8")
    return argument

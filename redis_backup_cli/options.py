"""Kinds of options: those that take one value, and those whose value is checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from .values import describe_flaw


class SingleOption(click.Option):
    """An option with one value. Given twice with two meanings, it is refused; click alone would take the last."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:  # noqa: ARG002 - click's signature
        """Let the parser collect all values."""
        parser.add_option(obj=self, opts=self.opts, dest=self.name, action="append", nargs=1)

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """Return the value and where it comes from. Raise UsageError where two differ."""
        values = opts.get(self.name or "")
        if isinstance(values, list):
            if len({self.type_cast_value(ctx, value) for value in values}) > 1:
                raise click.UsageError(f"{self.opts[0]} is given twice, with different values.", ctx)
            opts = {**opts, self.name or "": values[-1]}
        return super().consume_value(ctx, opts)


class Line(click.ParamType[str]):
    """A string of one line. `is_word`: without white space inside, and in ASCII."""

    name = "text"

    def __init__(self, *, is_word: bool, can_be_empty: bool = True) -> None:
        self._is_word, self._can_be_empty = is_word, can_be_empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value as it is. Raise UsageError that names the option or the variable, never the value."""
        flaw = describe_flaw(value, is_word=self._is_word)
        if not value and param is not None and (param.required or not self._can_be_empty):
            flaw = "is empty"  # of "$VARIABLE", say, where the variable is not set
        if flaw:
            raise click.UsageError(f"{_source(param, ctx)} {flaw}.", ctx)
        return str(value)


class Name(Line):
    """A name of a function or a service, which becomes a part of a URL's path."""

    def __init__(self) -> None:
        super().__init__(is_word=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value as it is. Raise UsageError that names the option, never the value."""
        name = super().convert(value, param, ctx)
        if any(char in name for char in "/\\?#%"):
            raise click.UsageError(f"{_source(param, ctx)} is not a name: it has a character of a path.", ctx)
        return name


def _source(param: click.Parameter | None, ctx: click.Context | None) -> str:
    """Return the name of what a value comes from: the option, or the variable of the environment."""
    if param is None:
        return "a value"
    if ctx and param.name and ctx.get_parameter_source(param.name) is ParameterSource.ENVIRONMENT:
        names = [param.envvar] if isinstance(param.envvar, str) else param.envvar or ()
        return next((name for name in names if os.environ.get(name)), param.opts[0])
    return param.opts[0]


def parse_tags(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Return tags by key: `["app=shop", "env="]` → `{"app": "shop", "env": ""}`. Raise UsageError."""
    tags: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", ctx, param)
        if flaw := describe_flaw(key, is_word=False) or describe_flaw(value, is_word=False):
            raise click.UsageError(f"--tag {flaw}.", ctx)
        if tags.setdefault(key, value) != value:
            raise click.UsageError(
                f"--tag {key} is given twice, with different values; an instance has one value for a key.", ctx
            )
    return tags

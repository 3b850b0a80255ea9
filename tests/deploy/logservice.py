"""As much of Log Service as the shipped queries need: their search part by hand, their SQL part by sqlite.

A log is its time in seconds and its message; columns of the SQL are the fields of the JSON index, `message.event` say.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Log = tuple[int, str]
Match = Callable[[str, Mapping[str, Any]], bool]
_TOKEN = re.compile(r'\s*(\(|\)|and\b|or\b|not\b|[\w.]+\s*:\s*(?:"[^"]*"|[^\s()]+)|"[^"]*"|[^\s()]+)')


class Index:
    """A log store's index, as CreateIndex takes it."""

    def __init__(self, index: Mapping[str, Any]) -> None:
        self._line = index["line"]["token"]
        self._message = index["keys"]["message"]["token"]
        self.fields = {name: each["type"] for name, each in index["keys"]["message"]["json_keys"].items()}

    def words(self, text: str, *, whole_line: bool) -> list[str]:
        """The words that an index finds a text by."""
        delimiters = "".join(self._line if whole_line else self._message)
        return [word for word in re.split(f"[{re.escape(delimiters)}]+", text.lower()) if word]

    def holds(self, message: str, text: str) -> bool:
        """Return whether a search for words without a field finds a message.

        The documents do not say by whose delimiters a field with an index of its own is split then, those of the whole
        line or its own. So both have to find it.
        """
        return all(
            set(self.words(text, whole_line=each)) <= set(self.words(message, whole_line=each))
            for each in (True, False)
        )

    def run(self, query: str, logs: Iterable[Log], now: float) -> list[dict[str, Any]]:
        """The rows that a query of the form `search | SQL` finds."""
        search, _, sql = query.partition("|")
        found = _Search(self, search).parse()
        kept = [(time, message) for time, message in logs if found(message, fields_of(message))]
        return self._select(sql, kept, now)

    def _select(self, sql: str, logs: list[Log], now: float) -> list[dict[str, Any]]:
        database = sqlite3.connect(":memory:")
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA case_sensitive_like = ON")
        database.create_function("to_unixtime", 1, float)
        database.create_function("from_unixtime", 1, lambda seconds: seconds)
        database.create_function("now", 0, lambda: now)
        database.create_function("concat", -1, lambda *texts: None if None in texts else "".join(texts))
        database.create_aggregate("max_by", 2, _MaxBy)  # type: ignore[arg-type] # typeshed wants int results
        columns = ["__time__", "message", *(f"message.{name}" for name in self.fields)]
        database.execute(f"CREATE TABLE log ({', '.join(f'[{name}]' for name in columns)})")
        for time, message in logs:
            values = [_column(fields_of(message).get(name)) for name in self.fields]
            database.execute(
                f"INSERT INTO log VALUES ({', '.join('?' * len(columns))})",  # noqa: S608
                [time, message, *values],
            )
        return [dict(row) for row in database.execute(sql)]


class _MaxBy:
    """The first argument where the second is greatest."""

    def __init__(self) -> None:
        self._best: tuple[Any, Any] | None = None

    def step(self, value: Any, by: Any) -> None:
        if by is not None and (self._best is None or by >= self._best[0]):
            self._best = (by, value)

    def finalize(self) -> Any:
        return self._best[1] if self._best else None


class _Search:
    """Reads `a: b and not (c: d* or "some words")`; `not` binds tightest, then `and`."""

    def __init__(self, index: Index, text: str) -> None:
        self._index = index
        self._tokens = _TOKEN.findall(text)

    def parse(self) -> Match:
        found = self._either()
        assert not self._tokens, f"not understood: {self._tokens}"
        return found

    def _either(self) -> Match:
        parts = [self._both()]
        while self._next("or"):
            parts.append(self._both())
        return lambda message, fields: any(part(message, fields) for part in parts)

    def _both(self) -> Match:
        parts = [self._single()]
        while self._next("and"):
            parts.append(self._single())
        return lambda message, fields: all(part(message, fields) for part in parts)

    def _single(self) -> Match:
        if self._next("not"):
            inner = self._single()
            return lambda message, fields: not inner(message, fields)
        if self._next("("):
            inner = self._either()
            assert self._next(")"), "a bracket is not closed"
            return inner
        return self._term(self._tokens.pop(0))

    def _term(self, token: str) -> Match:
        name, colon, wanted = token.partition(":")
        if not colon or token.startswith('"'):
            return lambda message, _: self._index.holds(message, token.strip('"'))
        name, wanted = name.strip().removeprefix("message."), wanted.strip().strip('"')
        assert name in self._index.fields, f"{name} is not indexed"

        def found(_: str, fields: Mapping[str, Any]) -> bool:
            value = fields.get(name)
            if value is None or wanted == "*":
                return value is not None
            have = self._index.words(str(value), whole_line=False)
            if wanted.endswith("*"):
                return any(word.startswith(wanted[:-1].lower()) for word in have)
            return all(word in have for word in self._index.words(wanted, whole_line=False))

        return found

    def _next(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == token:
            self._tokens.pop(0)
            return True
        return False


def fields_of(message: str) -> dict[str, Any]:
    """A message's JSON fields; none where it is no JSON object."""
    try:
        value = json.loads(message)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _column(value: Any) -> Any:
    """A field as SQL sees it: arrays are not indexed, true and false are texts."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, (str, int, float)) else None

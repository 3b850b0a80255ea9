"""Standard output and standard error that never raise.

The reader of a pipe goes away (`| head -1`), a disk is full, a stream is closed (`>&-`), or its encoding lacks a
character. None of these says anything about the backups, so the command goes on and its exit code stays true.
"""

from __future__ import annotations

import codecs
import io
import os
from contextlib import suppress
from typing import TextIO

_ASCII = str.maketrans({"…": "...", "·": "-", "─": "-", "►": ">", "→": "->", "✓": "+", "✗": "x"})


class SafeStream(io.TextIOBase):
    """A text stream that drops what cannot be written. `has_failed`: something was dropped, or would be."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream  # None: it was closed when the process began
        self.has_failed = stream is None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the name of the encoding, such as `utf-8`."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def is_utf8(self) -> bool:
        """Return whether every character can be written as it is."""
        return codecs.lookup(self.encoding).name == "utf-8"

    def write(self, text: str, /) -> int:
        """Write a string, with replacements for characters that the encoding lacks. Return the string's length."""
        text_out = replace_unencodable(text, self.encoding)
        if self._stream is not None and not self.has_failed:
            try:
                self._stream.write(text_out)
            except (OSError, ValueError):  # ValueError: it has been closed
                self._discard()
        return len(text)

    def flush(self) -> None:
        """Write out what is buffered."""
        if self._stream is not None and not self.has_failed:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._discard()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream is not None and not self.has_failed and self._stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor. Raise io.UnsupportedOperation where there is none."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def _discard(self) -> None:
        """Send the rest to the null device, or Python fails to flush the buffer at its end and exits with 120."""
        self.has_failed = True
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)


def replace_unencodable(text: str, encoding: str) -> str:
    r"""Return a string that an encoding can write.

    `"r-… 发布"` → `"r-... \\u53d1\\u5e03"` for ASCII.
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text

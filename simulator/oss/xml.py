"""XML of requests and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from simulator.oss import errors


def document(root: str, fields: Mapping[str, Any]) -> bytes:
    """Return a document: strings and numbers as elements, mappings as nested ones, lists as repeated ones."""
    element = ET.Element(root)
    _fill(element, fields)
    text: str = ET.tostring(element, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def parts_of(body: bytes) -> list[tuple[int, str]]:
    """Return the numbers and ETags (without quotes) of a CompleteMultipartUpload. Raise ApiError when it is not one."""
    try:
        root = ET.fromstring(body)  # noqa: S314 the simulator's clients are this project's tests
        return [(int(part.findtext("PartNumber", "")), part.findtext("ETag", "").strip('"')) for part in root]
    except (ET.ParseError, ValueError):
        raise errors.malformed_xml() from None


def _fill(element: ET.Element, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            child = ET.SubElement(element, name)
            if isinstance(each, Mapping):
                _fill(child, each)
            else:
                child.text = str(each).lower() if isinstance(each, bool) else str(each)

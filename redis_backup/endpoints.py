"""Check a service's endpoint: a host or a URL with the placeholders `{account}` and `{region}`."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

FC_ENDPOINT = "{account}.{region}.fc.aliyuncs.com"  # Function Compute's, by default


def parse_endpoint(text: str) -> str:
    """Check a host or URL, and return it without a slash at its end. Raise ValueError if it is neither.

    `"https://{account}.{region}.fc.aliyuncs.com/"` → `"https://{account}.{region}.fc.aliyuncs.com"`.
    """
    try:
        filled = text.format(account="1", region="r")
    except (LookupError, AttributeError) as error:  # another placeholder
        raise ValueError from error
    url = urlsplit(filled if "://" in filled else f"https://{filled}")
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment or url.username:
        raise ValueError
    _ = url.port  # ValueError if it is not a number
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", url.hostname):
        raise ValueError
    return text.rstrip("/")

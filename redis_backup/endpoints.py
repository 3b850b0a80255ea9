"""Check addresses: a service's endpoint with the placeholders `{account}` and `{region}`, and a folder of OSS."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

FC_ENDPOINT = "{account}.{region}.fc.aliyuncs.com"  # Function Compute's, by default


@dataclass(frozen=True)
class Folder:
    """A folder of OSS. `prefix`: what the names of its objects begin with, empty or with a slash at its end."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """Return its address: `oss://BUCKET/PREFIX/`."""
        return f"oss://{self.bucket}/{self.prefix}"


def parse_folder(text: str) -> Folder:
    """Read a folder of OSS: `"oss://backups/redis"` → `Folder("backups", "redis/")`. Raise ValueError for others.

    The names of buckets: https://www.alibabacloud.com/help/en/oss/user-guide/bucket-naming-conventions
    """
    match = re.fullmatch(r"oss://([a-z0-9][a-z0-9-]{1,61}[a-z0-9])((?:/[A-Za-z0-9._=-]+)*)/?", text)
    if not match or any(part in (".", "..") for part in match[2].split("/")) or len(match[2]) > 400:
        raise ValueError
    return Folder(match[1], f"{match[2][1:]}/" if match[2] else "")


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

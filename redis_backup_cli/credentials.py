"""The caller's credentials, from where every Alibaba Cloud tool looks for them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from redis_backup.alibaba import lazy_sdk, sdk
from redis_backup.credentials import Credentials

from .errors import NoAnswerError, RefusedError
from .profiles import explain_failure
from .values import describe_flaw

# The fields of credentials, and the variables that the first provider of the chain reads.
_VARIABLES = {
    "access_key_id": "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "access_key_secret": "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "security_token": "ALIBABA_CLOUD_SECURITY_TOKEN",
}
_HINT = (
    f"set {_VARIABLES['access_key_id']} and {_VARIABLES['access_key_secret']} (and {_VARIABLES['security_token']} for "
    "temporary ones), or name a profile in ALIBABA_CLOUD_PROFILE"
)


class CredentialChain:
    """The SDK's default chain: environment, OIDC role, profile of the aliyun CLI, credentials file, instance role.

    https://github.com/aliyun/credentials-python describes it.
    """

    def __init__(self) -> None:
        sdk.silence()
        self._lock = threading.Lock()
        self._client = lazy_sdk.load("alibabacloud_credentials.client").Client()
        self._has_worked = False

    def __call__(self) -> Credentials:
        """Return credentials that are valid now.

        Raise RefusedError where there are none that work, NoAnswerError where there were some before.
        """
        with self._lock:
            try:
                found = self._client.get_credential()
            except Exception as error:  # noqa: BLE001 - each provider raises its own, with texts that are not shown
                if self._has_worked:
                    raise NoAnswerError(f"the credentials could not be renewed ({type(error).__name__})") from None
                reasons = explain_failure(os.environ, Path(os.path.expanduser("~")))
                if not reasons:
                    raise RefusedError("no credentials were found", _HINT) from None
                raise RefusedError(f"no credentials that work were found: {'; '.join(reasons)}", _HINT) from None
            credentials = Credentials(found.access_key_id, found.access_key_secret, found.security_token or "")
            _check(credentials, str(found.provider_name))
            self._has_worked = True
            return credentials


def _check(credentials: Credentials, provider: str) -> None:
    """Raise RefusedError where a key has a character that no key has, such as a line end that was pasted with it."""
    for field, variable in _VARIABLES.items():
        if flaw := describe_flaw(getattr(credentials, field)):
            source = variable if os.environ.get(variable) == getattr(credentials, field) else f"{field} of {provider}"
            raise RefusedError(f"{source} {flaw}", "no request was sent; set it again without that character")

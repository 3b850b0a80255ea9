"""Create one backup with the standard library only: the minimum for a program in Python."""

import hashlib
import hmac
import http.client
import os
import ssl
import sys
import time
import uuid

scheme, _, host = os.environ["BACKUP_ENDPOINT"].partition("://")
query = f"InstanceId={sys.argv[1]}"
empty = hashlib.sha256(b"").hexdigest()
headers = {
    "host": host,
    "x-acs-action": "CreateBackup",
    "x-acs-content-sha256": empty,
    "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    "x-acs-signature-nonce": uuid.uuid4().hex,
    "x-acs-version": "2015-01-01",
}
names = ";".join(sorted(headers))
signed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
canonical = f"POST\n/\n{query}\n{signed}\n{names}\n{empty}"
string_to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
key = os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"].encode()
signature = hmac.new(key, string_to_sign.encode(), hashlib.sha256).hexdigest()
key_id = os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"]
headers["authorization"] = f"ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={names},Signature={signature}"
connection = http.client.HTTPConnection(host)
if scheme == "https":
    connection = http.client.HTTPSConnection(host, context=ssl.create_default_context())
connection.request("POST", f"/?{query}", headers=headers)
if connection.getresponse().status != 200:
    sys.exit("refused")

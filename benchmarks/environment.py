"""Builds what is measured: the package as it is deployed, the SDK as pip installs it, certificates, a CPU limit."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(__file__).parent / "scripts"
CGROUPS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))


class UnavailableError(Exception):
    """This machine does not have what a measurement needs; the message says what."""


@dataclass(frozen=True)
class Environment:
    """The runtime's Python, the package, the whole SDK as pip installs it (with `.pyc` files), and certificates."""

    python: str
    package: Path
    plain: Path
    certificate: tuple[str, str]
    trusted: str  # the usual bundle of certificates, with the simulator's added

    def run(self, script: str, where: Path, *arguments: str, environ: dict[str, str], group: Path | None = None) -> str:
        """Run one of the scripts, which can import from `where` alone, and return its output. Raise RuntimeError."""
        command = [*self.command(script, where), *arguments]
        if group:
            command = ["/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command]
        environ = {**environ, "SSL_CERT_FILE": self.trusted}
        process = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603
        if process.returncode:
            raise RuntimeError(f"{script} failed\n{process.stderr}")
        return process.stdout

    def command(self, script: str, where: Path) -> list[str]:
        """Return the command that runs one of the scripts, without the script's arguments."""
        code = f"import sys, runpy; sys.path.insert(0, {str(where)!r}); sys.argv = sys.argv[1:]; "
        code += "runpy.run_path(sys.argv[0], run_name='__main__')"
        return [self.python, "-I", "-S", "-B", "-c", code, str(SCRIPTS / script)]


def prepare(build: Path) -> Environment:
    """Build everything in the folder. Raise UnavailableError without a Python of the runtime's version."""
    package = load_package_script()
    python = package.find_python()
    if python is None:
        raise UnavailableError(f"this machine has no Python {package.PYTHON}")
    package.build(build / "package")
    plain = build / "plain"
    shutil.rmtree(plain, ignore_errors=True)
    pins = package.read_pins(PROJECT / "deploy" / "constraints.txt")
    hashes = package.read_hashes(PROJECT / package.HASHES)
    for name, content in package.contents(package.downloads(pins, hashes, package.BUILD / "downloads"), ()):
        (plain / name).parent.mkdir(parents=True, exist_ok=True)
        (plain / name).write_bytes(content)
    package.compile_all(plain)
    package.write_zip(plain)
    certificate, key, trusted = (build / name for name in ("certificate.pem", "key.pem", "trusted.pem"))
    make_certificate(certificate, key)
    usual = ssl.get_default_verify_paths().cafile or str(plain / "certifi" / "cacert.pem")
    trusted.write_text(Path(usual).read_text() + certificate.read_text())
    return Environment(python, build / "package", plain, (str(certificate), str(key)), str(trusted))


def load_package_script() -> ModuleType:
    """Import deploy/package.py, which is a script and not in a package."""
    spec = importlib.util.spec_from_file_location("deploy_package", PROJECT / "deploy" / "package.py")
    if spec is None or spec.loader is None:
        raise UnavailableError("deploy/package.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_certificate(certificate: Path, key: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1, valid for a day, and its key, as PEM files."""
    import ipaddress
    from datetime import datetime, timedelta, timezone

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulator")])
    now = datetime.now(timezone.utc)
    signed = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))


@contextmanager
def cpu_limit(share: float) -> Iterator[Path]:
    """Make a cgroup (version 1 or 2) with that share of one core. Raise UnavailableError where that is not allowed."""
    group, period = None, 100_000  # microseconds
    for root in CGROUPS:
        group = root / f"redis-backup-bench-{os.getpid()}"
        try:
            group.mkdir()
            if (group / "cpu.cfs_quota_us").exists():
                (group / "cpu.cfs_period_us").write_text(str(period))
                (group / "cpu.cfs_quota_us").write_text(str(int(period * share)))
            else:
                (group / "cpu.max").write_text(f"{int(period * share)} {period}")
            break
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            group = None
    if group is None:
        raise UnavailableError("this machine does not allow a cgroup, which limits the CPU")
    try:
        yield group
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()

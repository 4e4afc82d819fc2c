"""A real nginx with the shipped configuration: only ports, paths and times are the test's own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.e2e.server import CLOCK, PATIENCE, ROOT, free_port

SHIPPED = ROOT / "deploy" / "nginx"
MAIN = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
worker_processes 2;
events {{ worker_connections 1000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/conf.d/*.conf;
}}
"""


class Front:
    """nginx before the given ports, from ``with`` to its end."""

    def __init__(
        self, folder: Path, upstreams: Sequence[int], changes: Mapping[str, str] | None = None
    ) -> None:
        if shutil.which("nginx") is None:
            pytest.skip("nginx is not installed")
        self.folder = folder
        self.certificate = folder / "freellmapi.crt"
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        (folder / "conf.d").mkdir(parents=True)
        write_certificate(self.certificate, folder / "freellmapi.key")
        servers = "\n".join(f"server 127.0.0.1:{p} max_fails=2 fail_timeout=5s;" for p in upstreams)
        own = "server 127.0.0.1:3001 max_fails=2 fail_timeout=5s;"
        self._write("upstream.conf", {own: servers})
        given = {
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "/etc/nginx/tls/freellmapi.": f"{folder}/freellmapi.",
        }
        self._write("freellmapi.conf", given | dict(changes or {}))
        self.main = folder / "nginx.conf"
        # Started by root it would give its workers to nobody, who may not read the folder.
        is_root = Path("/proc/self").stat().st_uid == 0
        self.main.write_text(MAIN.format(folder=folder, user="user root;" if is_root else ""))
        self._process: subprocess.Popen[bytes] | None = None

    def _write(self, name: str, changes: Mapping[str, str]) -> None:
        text = (SHIPPED / name).read_text()
        for old, new in changes.items():
            assert old in text, f"{name} has no {old!r} any more"
            text = text.replace(old, new)
        (self.folder / "conf.d" / name).write_text(text)

    def tested(self) -> subprocess.CompletedProcess[str]:
        """``nginx -t``."""
        return subprocess.run([*self._command(), "-t"], capture_output=True, text=True)

    def __enter__(self) -> Front:
        self._process = subprocess.Popen(self._command(), stderr=subprocess.DEVNULL)
        give_up = CLOCK.monotonic() + PATIENCE
        while not (self.folder / "nginx.pid").exists():
            assert self._process.poll() is None, (self.folder / "error.log").read_text()
            assert CLOCK.monotonic() < give_up
            CLOCK.sleep(0.02)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(PATIENCE)

    def _command(self) -> list[str]:
        return ["nginx", "-p", str(self.folder), "-c", str(self.main), "-e", "stderr"]


def write_certificate(certificate: Path, key_file: Path) -> None:
    """One for this machine, signed by itself, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.fromtimestamp(CLOCK.now(), timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    form = PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))

"""Certificates: only one that is valid, in time and for this host is spoken to."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from freellmapi.core.cancel import Cancellation
from freellmapi.core.clock import SystemClock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.transport import Endpoint, Transport
from tests.fakes.raw_server import ok

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Served:
    port: int
    heard: list[bytes]
    """What was sent over connections that got through."""


def certificate(folder: Path, host: str, days: tuple[int, int]) -> Path:
    """A self-signed certificate and its key in one file, valid from and to so many days off."""
    now = datetime.datetime.now(datetime.timezone.utc)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    path = folder / f"{host}.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem)
    )
    return path


@contextmanager
def serving(pem: Path | None) -> Iterator[Served]:
    """A TLS server with this certificate; without one, a server that speaks no TLS."""
    listener = socket.create_server(("127.0.0.1", 0))
    served = Served(listener.getsockname()[1], [])

    def serve() -> None:
        with suppress(OSError):
            sock, _ = listener.accept()
            sock.settimeout(5)
            with sock:
                if pem is None:
                    sock.recv(65_536)
                    sock.sendall(ok(b"{}"))
                    return
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(pem)
                with context.wrap_socket(sock, server_side=True) as tls:
                    served.heard.append(tls.recv(65_536))
                    tls.sendall(ok(b"{}"))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        thread.join(10)
        listener.close()


@pytest.mark.parametrize(
    ("host", "days"),
    [
        pytest.param("localhost", (-1, 1), id="self-signed"),
        pytest.param("localhost", (-9, -1), id="expired"),
        pytest.param("other.example", (-1, 1), id="another host's"),
    ],
)
def test_nothing_is_sent_to_a_server_that_cannot_prove_who_it_is(
    tmp_path: Path, host: str, days: tuple[int, int]
) -> None:
    with serving(certificate(tmp_path, host, days)) as served:
        error = refused(served.port)
    assert error.kind is ErrorKind.UNREACHABLE
    assert error.message == "its TLS certificate is not valid"
    assert served.heard == []


def test_a_server_that_speaks_no_tls_is_unreachable() -> None:
    with serving(None) as served:
        assert refused(served.port).kind in (ErrorKind.UNREACHABLE, ErrorKind.SERVER_ERROR)


def refused(port: int) -> UpstreamError:
    transport = Transport(SystemClock())
    try:
        with pytest.raises(UpstreamError) as caught:
            transport.post(
                Endpoint(f"https://localhost:{port}/v1", {"Authorization": "Bearer secret"}),
                "/chat/completions",
                b"{}",
                connect_timeout=5,
                first_byte_timeout=5,
                cancel=Cancellation(),
            )
    finally:
        transport.close()
        gevent.sleep(0.001)
    return caught.value

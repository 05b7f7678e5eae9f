"""Both event loops, a certificate for TLS, and clients of resumable uploads for HTTP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.web.rufh_talk import Rufh
from tests.web.running import House
from tests.web.serving import Serving
from towpath.protocol.rufh.versions import VERSIONS
from towpath.web.limits import WireLimits

Serve = Callable[..., Serving]


@pytest.fixture(params=["asyncio", "uvloop"])
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serve]:
    """Start a server: `serve(direct=..., tls=..., header_bytes=...)`."""
    with ExitStack() as stack:

        def start(*, direct: bool = True, tls: Any = None, **limits: Any) -> Serving:
            serving = Serving(request.param, tmp_path, WireLimits(**limits), direct=direct, tls=tls)
            return stack.enter_context(serving.running())

        yield start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@pytest.fixture(params=[*VERSIONS, None])
def rufh(house: House, request: pytest.FixtureRequest) -> Rufh:
    """A client of every version."""
    return Rufh(house.get("direct"), request.param)


@pytest.fixture(params=["direct", "direct chunked", "plain", "granian", "tls", "tls chunked"])
def newest(house: House, request: pytest.FixtureRequest) -> Rufh:
    """A client of version 8 of every kind of server."""
    kind, _, coding = request.param.partition(" ")
    return Rufh(house.get(kind), 8, chunked=bool(coding))


@pytest.fixture
def eight(house: House) -> Rufh:
    """A client of version 8 of the server that most people run."""
    return Rufh(house.get("direct"), 8)

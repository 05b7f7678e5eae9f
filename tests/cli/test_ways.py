"""Ways to a server: proxies, authorities and client certificates, by flag and environment."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer, serving
from tests.web.certificate import make_certificate


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "tls").mkdir()
    return make_certificate(tmp_path / "tls")


@pytest.fixture
def strict(certificate: tuple[Path, Path]) -> Iterator[FakeServer]:
    """A server that wants to see a certificate: for simplicity its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.load_verify_locations(certificate[0])
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(tls=context) as server:
        server.add("a", b"")
        yield server


def test_a_client_shows_its_certificate(
    run: Run, strict: FakeServer, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate
    there = ("--url", strict.url, "--ca", cert)
    assert run("ls", *there, "--cert", cert, "--cert-key", key).out == "a\n"
    monkeypatch.setenv("TOWPATH_CERT", str(cert))
    monkeypatch.setenv("TOWPATH_CERT_KEY", str(key))
    assert run("ls", *there).out == "a\n"
    together = cert.with_name("both.pem")
    together.write_text(cert.read_text() + key.read_text())
    monkeypatch.delenv("TOWPATH_CERT_KEY")
    assert run("ls", *there, "--cert", together).out == "a\n"


def test_without_its_certificate_a_client_is_not_let_in(
    run: Run, strict: FakeServer, certificate: tuple[Path, Path]
) -> None:
    ran = run("ls", "--url", strict.url, "--ca", certificate[0])
    assert (ran.code in (5, 10), ran.out) == (True, "")


def test_a_certificate_without_its_key_is_refused(
    run: Run, strict: FakeServer, certificate: tuple[Path, Path]
) -> None:
    ran = run("ls", "--url", strict.url, "--cert", certificate[0])
    assert (ran.code, "the key that belongs to it" in ran.err) == (2, True)


def test_a_proxy_is_taken_from_flag_and_environment(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server itself answers in the proxy's place: it sees the whole address."""
    server.add("a", b"")
    far = ("--url", "http://up.invalid:9000")
    assert run("ls", *far, "--proxy", server.url).out == "a\n"
    assert server.requests[-1][1].startswith("http://up.invalid:9000/api/v1/names")
    monkeypatch.setenv("TOWPATH_PROXY", server.url)
    assert run("ls", *far).out == "a\n"
    monkeypatch.delenv("TOWPATH_PROXY")
    monkeypatch.setenv("HTTP_PROXY", server.url)
    assert run("ls", *far).out == "a\n"


def test_none_goes_straight_whatever_the_environment_says(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    ran = run("ls", "--url", "http://up.invalid:9000", "--proxy", "none")
    assert (ran.code, server.requests) == (10, [])


def test_a_proxys_password_does_not_stand_on_the_command_line(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run("ls", "--proxy", "http://me:secret@127.0.0.1:1")
    assert (ran.code, "TOWPATH_PROXY" in ran.err, server.requests) == (2, True, [])
    monkeypatch.setenv("TOWPATH_PROXY", "http://me:secret@127.0.0.1:1")
    assert run("ls").code == 10


def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWPATH_PROXY", "https://me:secret@proxy.invalid:1")
    ran = run("ls")
    assert (ran.code, "The proxy at proxy.invalid cannot be used." in ran.err) == (2, True)
    assert "secret" not in ran.err


def test_a_timetable_has_an_option_of_its_own_name(run: Run) -> None:
    ran = run("put", "x", "--limit-schedule", "25:00,1M")
    assert (ran.code, "Invalid value for '--limit'" in ran.err) == (2, True), ran.err
    assert run("put", "missing", "--limit-schedule", "08:00,512k 23:00,off").code == 4

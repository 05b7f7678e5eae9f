"""`towpath doctor`: what is in the way is found, and nothing where nothing is."""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.collecting import collecting
from tests.cli.conftest import Ran, Run
from tests.client.fake import FakeServer, serving
from tests.web.certificate import make_certificate
from tests.web.running import Served, running
from tests.web.tokens import token, write_tokens
from towpath.cli import doctor, doctor_wire, findings
from towpath.cli.findings import Finding
from towpath.client.dial import Origin
from towpath.client.peer import Reply
from towpath.store.datadir import DataDir

Snapshot = Callable[[str, str], None]


def found(ran: Ran, check: str) -> list[tuple[str, str]]:
    """Level and what of each finding of a check, except the fine ones."""
    records = ran.records("finding")
    return [
        (record["level"], record["what"])
        for record in records
        if record["check"] == check and record["level"] != "fine"
    ]


def masked(text: str) -> str:
    """Without what differs from machine to machine: ports, times, disks."""
    text = re.sub(r"^\[.\] disk.*\n(?: .*\n)*", "", text, flags=re.MULTILINE)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:54321", text)
    text = re.sub(r"Towpath \d+\S*", "Towpath 1.2.3", text)
    text = re.sub(r"[\d.]+ m?s after", "9 s after", text)
    return re.sub(r"\d+(\.\d+)? (s|ms)\b", r"9 \2", text)


def test_a_server_that_is_well_has_nothing_in_its_way(
    run: Run, live: Served, snapshot: Snapshot
) -> None:
    ran = run("doctor")
    assert ran.code == 0
    snapshot("doctor", masked(ran.out))
    ran = run("doctor", "--json")
    (summary,) = ran.records("summary")
    assert (summary["troubles"], summary["notes"]) == (0, 0)
    assert {record["check"] for record in ran.records("finding")} == {
        "reach", "clock", "server", "version", "token", "bodies", "events", "disk"
    }  # fmt: skip


def test_looking_leaves_nothing_at_the_server(run: Run, live: Served) -> None:
    run("doctor")
    assert run("transfers").out == ""
    assert run("ls").out == ""


def test_a_server_that_is_not_there_is_found_with_why(run: Run, snapshot: Snapshot) -> None:
    ran = run("doctor", "--url", "http://127.0.0.1:1")
    assert ran.code == 10
    snapshot("doctor-nobody", masked(ran.out))
    ran = run("doctor", "--url", "http://no-such-name.invalid", "--json")
    assert (ran.code, found(ran, "reach")[0][0]) == (10, "trouble")


def test_what_answers_and_is_no_towpath_is_found(run: Run, server: FakeServer) -> None:
    ran = run("doctor", "--json")
    ((level, what),) = found(ran, "server")
    assert (ran.code, level, "is not a Towpath" in what) == (1, "trouble", True)


@contextmanager
def by_tls(folder: Path, **made: object) -> Iterator[tuple[FakeServer, Path]]:
    """A server with such a certificate."""
    folder.mkdir()
    certificate, key = make_certificate(folder, **made)  # type: ignore[arg-type]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(tls=context) as server:
        yield server, certificate


@pytest.mark.parametrize(
    ("made", "trusted", "what"),
    [
        ({}, False, "The certificate is signed by itself alone"),
        ({"days": -1}, True, "The certificate has expired"),
        ({"host": "192.0.2.1"}, True, "The certificate is for another address"),
    ],
)
def test_a_certificate_that_cannot_be_trusted_is_told_apart(
    run: Run, tmp_path: Path, made: dict[str, object], trusted: bool, what: str
) -> None:
    with by_tls(tmp_path / "tls", **made) as (server, certificate):
        more = ("--ca", certificate) if trusted else ()
        ran = run("doctor", "--url", server.url, "--json", *more)
    ((level, said),) = found(ran, "tls")
    assert (ran.code, level, said.startswith(what)) == (1, "trouble", True), said


def test_a_certificate_that_ends_soon_is_a_warning(run: Run, tmp_path: Path) -> None:
    with running("tls", tmp_path / "server") as served:
        ran = run("doctor", "--url", served.url, "--ca", served.trust, "--json")
    ((level, what),) = found(ran, "tls")
    assert (ran.code, level) == (0, "warning")
    assert re.search(r"ends on \d{4}-\d\d-\d\d\.", what)


def test_a_port_that_speaks_no_tls_is_found(run: Run, live: Served) -> None:
    ran = run("doctor", "--url", live.url.replace("http:", "https:"), "--json")
    ((level, what),) = found(ran, "tls")
    assert (ran.code, level, what.startswith("No TLS can be agreed on")) == (1, "trouble", True)


def test_a_way_that_is_not_encrypted_is_a_warning_unless_it_stays_here() -> None:
    reached = doctor_wire.Reached(0.1, {})
    (finding,) = doctor_wire.encryption(Origin("http", "up.example.org", 80), reached)
    assert finding.level == "warning"
    assert list(doctor_wire.encryption(Origin("http", "127.0.0.1", 80), reached)) == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_wire, "_PATIENCE", 1.5)


@pytest.mark.usefixtures("impatient")
def test_a_proxy_that_collects_bodies_and_answers_is_found(
    run: Run, live: Served, snapshot: Snapshot
) -> None:
    with collecting(live.address) as proxy:
        ran = run("doctor", "--url", proxy.url)
    assert ran.code == 1
    lines = re.search(r"^\[-\] bodies.*\n(?: .*\n)+", ran.out, re.MULTILINE)
    assert lines, ran.out
    snapshot("doctor-bodies", masked(lines[0]))
    assert re.search(r"^\[!\] events", ran.out, re.MULTILINE)
    assert run("transfers").out == ""


def test_who_may_not_write_finds_a_collecting_proxy_too(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWPATH_TOKEN", token("reader"))
    tokens = write_tokens(tmp_path / "tokens.toml")
    with running("direct", tmp_path / "server", tokens=tokens) as served:
        ran = run("doctor", "--url", served.url, "--json")
        ((level, what),) = found(ran, "token")
        assert (ran.code, level, what) == (0, "warning", "You may not write or remove there.")
        assert found(ran, "bodies") == []
        monkeypatch.setattr(doctor_wire, "_PATIENCE", 1.5)  # nothing is to come in it
        monkeypatch.setattr(doctor_wire, "_MOMENT", 10)  # something is
        with collecting(served.address) as proxy:
            ran = run("doctor", "--url", proxy.url, "--json")
    assert [level for level, _ in found(ran, "bodies")] == ["trouble"]
    assert [level for level, _ in found(ran, "expect")] == ["note"]


def test_a_token_that_is_not_taken_or_missing_is_found(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = write_tokens(tmp_path / "tokens.toml")
    with running("direct", tmp_path / "server", tokens=tokens) as served:
        ran = run("doctor", "--url", served.url, "--json")
        assert (ran.code, found(ran, "token")) == (7, [("trouble", "The server wants a token.")])
        monkeypatch.setenv("TOWPATH_TOKEN", "tow_alice_wrong")
        ran = run("doctor", "--url", served.url, "--json")
        assert found(ran, "token") == [("trouble", "The server does not take the token.")]
        monkeypatch.setenv("TOWPATH_TOKEN", token("team"))
        ran = run("doctor", "--url", served.url, "--json")
        assert (ran.code, found(ran, "token"), found(ran, "bodies")) == (0, [], [])


def test_a_disk_that_is_full_there_is_found(run: Run, tmp_path: Path) -> None:
    with running("direct", tmp_path / "server", min_free=1 << 60) as served:
        ran = run("doctor", "--url", served.url, "--json")
    (full, *_) = found(ran, "server")
    assert ran.code == 9
    assert re.fullmatch(r"At the server: store is full: \d+ bytes are free\.", full[1])


def test_a_disk_without_free_inodes_there_is_found(
    run: Run, live: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = DataDir.room

    def room(self: DataDir) -> os.statvfs_result:
        values = list(plain(self))
        values[5], values[7] = 1000, 3  # all inodes, and those that are free
        return os.statvfs_result(values)

    monkeypatch.setattr(DataDir, "room", room)
    ran = run("doctor", "--json")
    what = "At the server: store is full: 3 more files can be made."
    assert (ran.code, found(ran, "server")) == (9, [("trouble", what)])


def test_a_part_of_the_server_that_is_not_well_is_found() -> None:
    text = (
        b"[+] server ok\n[!] memory warning: 85 % of it is in use\n[-] ledger does not answer: x\n"
    )
    levels = [finding.level for finding in doctor._parts(Reply(503, {}, text))]
    assert levels == ["warning", "trouble"]


@pytest.mark.parametrize(
    ("late", "level"), [(0, "fine"), (25, "fine"), (90, "warning"), (-90, "warning")]
)
def test_clocks_that_differ_are_found(late: int, level: str) -> None:
    now = time.time()
    reply = Reply(200, {"date": formatdate(now + late, usegmt=True)}, b"")
    (finding,) = doctor_wire.clock(reply, now - 0.1, now)
    assert finding.level == level
    if level == "warning":
        assert ("ahead of" if late > 0 else "behind") in finding.what
    assert list(doctor_wire.clock(Reply(200, {}, b""), now, now)) == []


def test_a_server_that_is_older_is_a_warning(
    run: Run, live: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.__version__", "99.0", raising=False)
    ran = run("doctor", "--json")
    assert (ran.code, found(ran, "version")[0][0]) == (0, "warning")


def test_a_proxy_that_is_used_is_told_of_without_its_password(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{server.port}")
    ran = run("doctor", "--url", "http://up.invalid", "--json")
    ((level, what),) = found(ran, "proxy")
    assert (level, what) == ("note", f"Requests go by way of the proxy 127.0.0.1:{server.port}.")
    assert "secret" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("free", "level"), [(1 << 40, "fine"), (500 << 20, "warning"), (1 << 20, "trouble")]
)
def test_a_disk_that_is_nearly_full_here_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    made = list(findings.disks([("files", tmp_path / "not" / "there"), ("notes", tmp_path)]))
    assert [each.level for each in made if "files can be made" not in each.what] == [level]


@pytest.mark.parametrize(
    ("left", "total", "level"), [(0, 100, "trouble"), (9, 100, "warning"), (0, 0, "")]
)
def test_a_disk_without_free_inodes_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, total: int, level: str
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_favail=left, f_files=total))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 40))
    made = [each for each in findings.disks([("files", tmp_path)]) if "more files" in each.what]
    assert [each.level for each in made] == ([level] if level else [])


def test_a_finding_says_what_why_and_what_to_do_within_the_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from towpath.cli.output import Output  # noqa: PLC0415 - beside its use

    monkeypatch.setenv("COLUMNS", "60")
    finding = Finding("clock", "warning", "What " * 20, "Why " * 20, "Do " * 20)
    doctor._show(Output(), finding)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 60
    assert lines[0].startswith("[!] clock    What")
    assert all(line.startswith(" " * 13) for line in lines[1:])

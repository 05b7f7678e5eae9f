"""Proxies, mounts and the base path: who asks, from where, and where things live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web.running import House
from tests.web.talk import TUS, Answer, Fields, Tus, metadata, require_problem
from tests.web.tokens import token, write_tokens
from towpath.asgi import app
from towpath.assemble import edge, gate_of
from towpath.core.caller import ANONYMOUS
from towpath.errors import Forbidden, Malformed, NotFound, SettingsError
from towpath.protocol.forwarded import UNKNOWN, read_forwarded
from towpath.settings import Settings
from towpath.web.edge import Edge, Trusted

KINDS = ["direct", "plain", "granian", "tls"]
STRANGER = "203.0.113.9"


@pytest.fixture(params=KINDS)
def behind(house: House, request: pytest.FixtureRequest) -> Tus:
    """A server that takes the word of a proxy on this machine."""
    return Tus(house.get(request.param, proxies="127.0.0.1"))


# Behind a proxy


def test_who_asks_is_whom_the_trusted_proxy_names(behind: Tus) -> None:
    create = {**TUS, "Upload-Length": 1}
    answer = behind.ask("POST", "/files/", {**create, "X-Forwarded-For": STRANGER})
    require_problem(answer, 403, "forbidden")
    answer = behind.ask("POST", "/files/", {**create, "X-Forwarded-For": f"127.0.0.1, {STRANGER}"})
    require_problem(answer, 403, "forbidden")
    answer = behind.ask("POST", "/files/", {**create, "X-Forwarded-For": f"{STRANGER}, 127.0.0.1"})
    require_problem(answer, 403, "forbidden")
    for local in ("127.0.0.1", "::1", "127.0.0.1, 127.0.0.1"):
        answer = behind.ask("POST", "/files/", {**create, "X-Forwarded-For": local})
        assert answer.status == 201, local


def test_whoever_is_not_named_is_not_on_this_machine(behind: Tus) -> None:
    answer = behind.ask("GET", "/api/v1/names", {"X-Forwarded-Proto": "https"})
    require_problem(answer, 403, "forbidden")
    assert behind.ask("GET", "/api/v1/names").status == 200


def test_the_name_of_this_server_is_the_one_that_the_client_used(behind: Tus) -> None:
    local: Fields = {"X-Forwarded-For": "127.0.0.1"}
    fields = {**local, "X-Forwarded-Host": "localhost:4711"}
    assert behind.ask("GET", "/api/v1/names", fields, host="inner").status == 200
    require_problem(behind.ask("GET", "/api/v1/names", local, host="inner"), 403, "forbidden")
    fields = {**local, "X-Forwarded-Host": "files.example"}
    require_problem(behind.ask("GET", "/api/v1/names", fields), 403, "forbidden")


def test_addresses_have_the_path_that_the_proxy_took_off(behind: Tus) -> None:
    proxied: Fields = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Prefix": "/up/"}
    name = metadata(name=f"prefixed-{behind.served.kind}")
    fields = {**TUS, **proxied, "Upload-Length": 0, "Upload-Metadata": name}
    location = behind.ask("POST", "/files/", fields).fields["location"]
    assert location.startswith("/up/files/")
    record = behind.ask("GET", f"/api/v1/names/prefixed-{behind.served.kind}", proxied).document
    assert record["href"] == location
    sent = behind.ask("POST", "/v1/uploads?name=p", proxied, b"hello").document
    assert sent["url"].startswith("/up/files/")
    assert behind.ask("GET", sent["url"].removeprefix("/up"), proxied).body == b"hello"


def test_parts_are_found_below_the_path_that_the_proxy_took_off(behind: Tus) -> None:
    proxied: Fields = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Prefix": "/up"}
    part = behind.new(5, b"hello", upload_concat="partial")
    joined = f"final;https://files.example/up{part} /up{part}"
    answer = behind.ask("POST", "/files/", {**TUS, **proxied, "Upload-Concat": joined})
    assert answer.status == 201, answer.body
    body = behind.ask("GET", answer.fields["location"].removeprefix("/up"), proxied).body
    assert body == b"hellohello"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-Prefix", "//evil.example"),
        ("X-Forwarded-Prefix", "/a/../.."),
        ("X-Forwarded-Host", "a b"),
        ("X-Forwarded-Proto", "gopher"),
    ],
)
def test_what_the_proxy_cannot_mean_is_refused(behind: Tus, name: str, value: str) -> None:
    fields = {**TUS, "X-Forwarded-For": "127.0.0.1", name: value, "Upload-Length": 1}
    answer = behind.ask("POST", "/files/", fields)
    assert require_problem(answer, 400, "malformed")["field"] == name


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_believed_who_was_not_named_as_a_proxy(house: House, kind: str) -> None:
    said: Fields = {
        "X-Forwarded-For": STRANGER,
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Proto": "gopher",
        "Forwarded": "garbage",
    }
    for settings in ({}, {"proxies": "10.0.0.0/8,unix"}):
        tus = Tus(house.get(kind, **settings))
        answer = tus.ask("POST", "/files/", {**TUS, **said, "Upload-Length": 1})
        assert answer.status == 201
        assert answer.fields["location"].startswith("/files/")


@pytest.mark.parametrize("kind", KINDS)
def test_the_fields_that_the_proxy_writes_count_and_no_others(house: House, kind: str) -> None:
    tus = Tus(house.get(kind, proxies="127.0.0.0/8", proxy_fields="forwarded"))

    def ask(**fields: str) -> Answer:
        said = {name.replace("_", "-"): value for name, value in fields.items()}
        return tus.ask("GET", "/api/v1/names", said)

    assert ask(Forwarded=f"for=127.0.0.1, for={STRANGER}").status == 403
    assert ask(Forwarded="for=127.0.0.1;host=files.example").status == 403
    assert ask(Forwarded=f"for={STRANGER}, for=127.0.0.1").status == 403
    assert ask(Forwarded="for=127.0.0.1;host=localhost").status == 200
    assert ask(Forwarded="for=").status == 400
    assert ask(X_Forwarded_For=STRANGER).status == 200
    tus = Tus(house.get(kind, proxies="127.0.0.1"))
    assert ask(Forwarded=f"for={STRANGER}").status == 200


@pytest.mark.parametrize("kind", KINDS)
def test_with_tokens_it_is_the_token_that_counts(
    house: House, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "edge"
    folder.mkdir(exist_ok=True)
    tokens = write_tokens(folder / "tokens.toml")
    served = house.get(kind, tokens=tokens, proxies="127.0.0.1")
    stranger: Fields = {"X-Forwarded-For": STRANGER, "X-Forwarded-Host": "files.example"}
    assert Tus(served, token=token("alice")).ask("GET", "/api/v1/names", stranger).status == 200
    local: Fields = {"X-Forwarded-For": "127.0.0.1"}
    assert Tus(served).ask("GET", "/api/v1/names", local).status == 401


# The edge by itself


def placed(around: Edge, headers: dict[str, str] | None = None, **more: Any) -> Any:
    """The scope and the fields as the application gets them."""
    fields = {name.lower(): value for name, value in (headers or {}).items()}
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    scope = {"type": "http", "path": "/files/", "scheme": "http", "headers": raw, **more}
    return around.place(scope, fields)


def test_a_scope_says_what_the_client_saw() -> None:
    around = Edge(base="/in", trusted=Trusted(["10.0.0.1"]))
    headers = {
        "host": "inner",
        "x-forwarded-for": STRANGER,
        "x-forwarded-proto": "https",
        "x-forwarded-host": "files.example",
        "x-forwarded-prefix": "/out",
    }
    scope, fields = placed(
        around, headers, client=("10.0.0.1", 99), root_path="/mount", path="/mount/in/files/a"
    )
    assert scope["client"] == (STRANGER, 0)
    assert scope["scheme"] == "https"
    assert scope["root_path"] == "/out/mount/in"
    assert scope["path"] == "/files/a"
    assert fields["host"] == "files.example"
    assert [value for name, value in scope["headers"] if name == b"host"] == [b"files.example"]


def test_a_socket_of_the_web_keeps_its_kind_of_scheme() -> None:
    around = Edge(trusted=Trusted(["10.0.0.1"]))
    headers = {"x-forwarded-for": STRANGER, "x-forwarded-proto": "https"}
    scope, _ = placed(
        around, headers, client=("10.0.0.1", 99), type="websocket", scheme="ws", root_path=""
    )
    assert scope["scheme"] == "wss"


def test_the_scope_of_the_server_itself_is_left_alone() -> None:
    headers: list[Any] = [(b"host", b"a"), (b"x-forwarded-host", b"b")]
    scope = {"type": "http", "path": "/", "headers": headers, "client": ("10.0.0.1", 1)}
    before = {**scope, "headers": list(headers)}
    fields = {"host": "a", "x-forwarded-host": "b"}
    Edge(trusted=Trusted(["10.0.0.1"])).place(scope, fields)
    assert scope == before
    assert fields == {"host": "a", "x-forwarded-host": "b"}


@pytest.mark.parametrize(
    ("root", "path", "inside"),
    [
        ("", "/files/", "/files/"),
        ("/mount", "/mount/files/", "/files/"),
        ("/mount", "/mount", "/"),
        ("/mount/", "/mount/files/", "/files/"),
        ("/mount", "/files/", "/files/"),  # servers of older versions of ASGI
        ("/mount", "/mounting", "/mounting"),
    ],
)
def test_a_mounted_application_looks_at_the_path_below_it(
    root: str, path: str, inside: str
) -> None:
    scope, _ = placed(Edge(), root_path=root, path=path)
    assert (scope["root_path"], scope["path"]) == (root.rstrip("/"), inside)


@pytest.mark.parametrize("path", ["/", "/files/", "/towpathfiles/", "/other/towpath/files/", ""])
def test_nothing_lives_outside_the_base(path: str) -> None:
    with pytest.raises(NotFound) as caught:
        placed(Edge(base="/towpath"), path=path)
    assert "/towpath/files/" in caught.value.todo


def test_a_peer_without_address_is_trusted_only_by_name() -> None:
    said = {"x-forwarded-for": STRANGER}
    scope, _ = placed(Edge(trusted=Trusted(["127.0.0.1"])), said, client=None)
    assert scope["client"] is None
    scope, _ = placed(Edge(trusted=Trusted(["unix"])), said, client=None)
    assert scope["client"] == (STRANGER, 0)


def test_a_client_that_no_proxy_names_is_let_in_by_nobody() -> None:
    around = Edge(trusted=Trusted(["127.0.0.1"]), read=read_forwarded)
    scope, _ = placed(around, {"forwarded": "for=_hidden"}, client=("127.0.0.1", 1))
    assert scope["client"][0] == UNKNOWN
    with pytest.raises(Forbidden):
        gate_of(Settings()).admit({"host": "localhost"}, scope["client"][0])
    with pytest.raises(Malformed):
        placed(around, {"forwarded": "for="}, client=("127.0.0.1", 1))


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "fd00::7"])
def test_networks_hold_addresses_of_both_families(address: str) -> None:
    trusted = Trusted(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])
    assert trusted(address)


@pytest.mark.parametrize("address", [None, "", "unix", "11.0.0.1", "::1", "localhost", "10.1"])
def test_networks_hold_nothing_else(address: str | None) -> None:
    assert not Trusted(["127.0.0.1", "10.0.0.0/8"])(address)


# Settings


@pytest.mark.parametrize(
    "settings",
    [
        {"proxies": ("proxy.example",)},
        {"proxies": ("10.0.0.0/33",)},
        {"proxies": ("0.0.0.0/0",)},
        {"proxies": ("::/0",)},
        {"cors_origins": ("app.example",)},
        {"cors_origins": ("https://app.example/",)},
        {"cors_origins": ("null",)},
        {"cors_origins": ("*",), "cors_credentials": True},
    ],
)
def test_settings_that_cannot_be_meant_are_refused_before_anything_is_made(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with pytest.raises(SettingsError) as caught:
        app(Settings(data=data, anonymous_anywhere=True, **settings))
    assert caught.value.why
    assert caught.value.todo
    assert not data.exists()


def test_without_tokens_not_every_page_is_answered() -> None:
    with pytest.raises(SettingsError) as caught:
        gate_of(Settings(cors_origins=("*",)))
    assert "cors_origins" in caught.value.todo
    gate = gate_of(Settings(cors_origins=("*",), anonymous_anywhere=True))
    assert gate.admit({"host": "a", "origin": "https://b"}) is ANONYMOUS


def test_without_tokens_pages_of_named_origins_may_ask() -> None:
    gate = gate_of(Settings(cors_origins=("https://App.example:443",)))
    fields = {"host": "localhost"}
    assert gate.admit({**fields, "origin": "https://app.example"}) is ANONYMOUS
    assert gate.admit({**fields, "origin": "http://localhost:8000"}) is ANONYMOUS
    for origin in ("https://app.example.evil", "http://app.example", "null"):
        with pytest.raises(Forbidden):
            gate.admit({**fields, "origin": origin})
    with pytest.raises(Forbidden):
        gate.admit({"host": "evil.example", "origin": "https://app.example"})


@pytest.mark.parametrize("base", ["", "/", "towpath", "/towpath", "/towpath/", "/a/b"])
def test_a_base_is_written_with_or_without_slashes(base: str) -> None:
    plain = base.strip("/")
    assert edge(Settings(base_path=base)).base == (f"/{plain}" if plain else "")

"""The private names of uvicorn that the direct protocol leans on are still what they were."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
from concurrent.futures import ThreadPoolExecutor

import httptools
import pytest
from uvicorn.config import Config
from uvicorn.protocols.http import flow_control, httptools_impl
from uvicorn.server import Server, ServerState

from towpath.web import contract
from towpath.web.direct import DirectProtocol, Door
from towpath.web.limits import WireLimits
from towpath.web.registry import Registry

PROTOCOL = httptools_impl.HttpToolsProtocol
CYCLE = httptools_impl.RequestResponseCycle


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def assigned(cls: type) -> set[str]:
    """The attributes of `self` that a class assigns."""
    return {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(cls)))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }


def used_of(cls: type, owner: str) -> set[str]:
    """The attributes that a class uses of `self.<owner>`."""
    return {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(cls)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == owner
    }


def test_this_uvicorn_is_a_supported_one() -> None:
    assert contract.available() == ""
    registry = Registry(WireLimits(), ThreadPoolExecutor(1))
    made = contract.http_class(registry)
    assert isinstance(made, type)
    assert issubclass(made, DirectProtocol)
    assert made.registry is registry


def test_another_uvicorn_turns_the_protocol_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.55.1")
    assert "0.55.1" in contract.available()
    assert contract.http_class(Registry(WireLimits(), ThreadPoolExecutor(1))) == "auto"


def test_the_protocol_calls_what_we_override() -> None:
    assert parameters(PROTOCOL.__init__) == parameters(DirectProtocol.__init__)
    for name in (
        "_start_asgi_task", "connection_lost", "connection_made", "data_received", "eof_received",
        "on_body", "on_headers_complete", "on_message_begin", "on_message_complete",
        "on_response_complete", "pause_writing", "resume_writing", "send_400_response",
    ):  # fmt: skip
        assert parameters(getattr(PROTOCOL, name)) == parameters(getattr(DirectProtocol, name))
    assert parameters(PROTOCOL._start_asgi_task) == ["self", "cycle", "app"]
    assert parameters(PROTOCOL._unset_keepalive_if_required) == ["self"]
    assert parameters(PROTOCOL.timeout_keep_alive_handler) == ["self"]
    source = inspect.getsource(PROTOCOL)
    for call in (
        "cycle.run_asgi(app)",
        "on_response=self.on_response_complete",
        "self.parser.feed_data(data)",
        "self.send_400_response(msg)",
        "self.pipeline.appendleft((self.cycle, app))",
        "lenient_data_after_close=True",
    ):
        assert call in source


def test_the_protocol_has_the_fields_we_use() -> None:
    fields = {
        "transport", "flow", "parser", "scheme", "url", "cycle", "server_state", "loop",
        "timeout_keep_alive", "timeout_keep_alive_task",
    }  # fmt: skip
    assert fields <= assigned(PROTOCOL)
    assert {"total_requests", "default_headers"} <= assigned(ServerState)
    assert "config.http_protocol_class(" in inspect.getsource(Server.startup)
    assert "self.http_protocol_class" in inspect.getsource(Config)
    assert hasattr(httptools.HttpRequestParser, "set_dangerous_leniencies")


def test_the_cycle_has_the_fields_we_use() -> None:
    fields = {
        "scope", "transport", "message_event", "disconnected", "keep_alive",
        "waiting_for_100_continue", "body", "more_body", "response_started", "response_complete",
        "chunked_encoding", "expected_content_length",
    }  # fmt: skip
    assert fields <= assigned(CYCLE)
    assert (
        "app(  # type: ignore[func-returns-value]\n                self.scope, self.receive,"
        in (inspect.getsource(CYCLE.run_asgi))
    )
    door = {name for name in dir(Door) if not name.startswith("_")} | {"write"}
    assert used_of(CYCLE, "transport") == door
    assert {"HEADER_RE", "HEADER_VALUE_RE", "STATUS_LINE"} <= set(dir(httptools_impl))


def test_flow_control_is_what_it_was() -> None:
    flow = flow_control.FlowControl
    for name in ("drain", "pause_reading", "resume_reading"):
        assert parameters(getattr(flow, name)) == ["self"]
    assert {"read_paused", "write_paused"} <= assigned(flow)

"""Settings come from where they are said first; another system's variables are understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from towpath.cli.options import Size
from towpath.core.limits import MIB
from towpath.core.timetable import parse_rate
from towpath.errors import SettingsError
from towpath.settings import Settings, load


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEMORY", "MAX_LENGTH", "DATA"):
        monkeypatch.delenv(f"TOWPATH_{name}", raising=False)


def test_without_variables_their_defaults_bind_documents_only() -> None:
    settings = load({})
    assert settings == Settings()
    assert (settings.max_length, settings.uploads, settings.memory) == (0, 1024, 256 * MIB)
    assert settings.document_length == 1024 * MIB
    assert (settings.document_chunk, settings.document_uploads) == (8 * MIB, 5)
    assert settings.document_memory == 500 * MIB


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MAX_FILE_SIZE_MB", "2", {"document_length": 2 * MIB, "max_length": 2 * MIB}),
        ("CHUNK_SIZE_MB", "0.5", {"document_chunk": MIB // 2}),
        ("MAX_CONCURRENT_UPLOADS", "3", {"document_uploads": 3, "uploads": 3}),
        ("MEMORY_LIMIT_MB", "100", {"document_memory": 100 * MIB, "memory": 100 * MIB}),
        ("SESSION_TIMEOUT_HOURS", "1.5", {"lifetime": 5400.0}),
        ("CLEANUP_INTERVAL_MINUTES", "2", {"sweep_seconds": 120.0}),
        ("UPLOAD_DIR", "up", {"data": Path("up")}),
        ("STATE_DIR", "facts", {"state": Path("facts")}),
        ("UPLOAD_DIR", "", {"data": Path("towpath-data")}),
    ],
)
def test_a_streaming_variable_that_is_set_binds_all(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: dict[str, object]
) -> None:
    monkeypatch.setenv(f"STREAMING_{variable}", value)
    settings = load({})
    assert {name: getattr(settings, name) for name in said} == said


def test_our_own_variable_and_a_flag_count_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMING_MEMORY_LIMIT_MB", "100")
    monkeypatch.setenv("TOWPATH_MEMORY", "32MiB")
    assert load({}).memory == 32 * MIB
    assert load({"memory": 16 * MIB}).memory == 16 * MIB
    assert load({}).document_memory == 100 * MIB


def test_a_streaming_variable_counts_more_than_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "t.toml").write_text("uploads = 7\n")
    monkeypatch.setenv("STREAMING_MAX_CONCURRENT_UPLOADS", "3")
    assert load({}, file=tmp_path / "t.toml").uploads == 3
    assert load({}, file=tmp_path / "t.toml", environment=False).uploads == 7


def test_what_is_kept_counts_before_the_defaults_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "t.toml").write_text("uploads = 7\n")
    kept = {"uploads": 9, "workers": 3}
    told = load({}, file=tmp_path / "t.toml", kept=kept)
    assert (told.uploads, told.workers) == (7, 3)
    monkeypatch.setenv("STREAMING_MAX_CONCURRENT_UPLOADS", "5")
    assert load({}, kept=kept).uploads == 5


@pytest.mark.parametrize("value", ["many", "-1", "1e9", "0x10", "1_000", "\u0661"])
def test_a_streaming_variable_that_is_no_number_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("STREAMING_MAX_FILE_SIZE_MB", value)
    with pytest.raises(SettingsError, match="STREAMING_MAX_FILE_SIZE_MB"):
        load({})


@pytest.mark.parametrize("name", ["document_chunk", "document_uploads"])
def test_documents_need_room(name: str) -> None:
    with pytest.raises(SettingsError):
        load({name: 0})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_path", "/a b"),
        ("base_path", "/a/../b"),
        ("base_path", "//evil.example"),
        ("base_path", "/%2e"),
        ("base_path", 5),
        ("unix_mode", 660),
        ("unix_mode", "999"),
        ("proxy_fields", "x-real-ip"),
        ("cors_max_age", "a while"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_named(name: str, value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: value}, environment=False)
    assert name in caught.value.what


def test_lists_are_written_with_commas_or_as_lists(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('proxies = ["10.0.0.0/8", "unix"]\ncors_max_age = 60\n')
    told = load({"cors_origins": "https://a.example, https://b.example"}, file=file)
    assert told.proxies == ("10.0.0.0/8", "unix")
    assert told.cors_origins == ("https://a.example", "https://b.example")
    assert told.cors_max_age == 60


@pytest.mark.parametrize(
    "text", ["512k", "512kB", "20M", "20Mi", "20MB", "20MiB", "1.5 g", "7000000"]
)
def test_a_size_means_the_same_as_a_setting_an_option_and_a_rate(text: str) -> None:
    setting = load({"max_length": text}, environment=False).max_length
    assert setting == Size().convert(text, None, None) == parse_rate(text)

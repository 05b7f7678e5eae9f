"""What can be set, as frozen values: read once, at the start, and handed on piece by piece.

Order: flag, then TOWPATH_* of the environment, then STREAMING_*, then the TOML file, then what the
caller found kept elsewhere, then the default. No other file reads the environment. Sizes are
written as `core.amount` says, times as 500ms, 30s, 24h or 7d.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from towpath.core.amount import read_bytes
from towpath.core.limits import KIB, MIB, Limits
from towpath.errors import SettingsError

Durability = Literal["strict", "relaxed"]
LogFormat = Literal["text", "json"]
ProxyFields = Literal["x-forwarded", "forwarded"]
Informational = Literal["asked", "always", "never"]

_PREFIX = "TOWPATH_"

# Variables of another system that is replaced by this one: what they set, and in which unit. They
# count where no TOWPATH_ variable says otherwise, and for all routes.
_MB, _HOURS, _MINUTES = float(MIB), 3600.0, 60.0
_STREAMING: dict[str, tuple[tuple[str, ...], float | None]] = {
    "STREAMING_MAX_FILE_SIZE_MB": (("document_length", "max_length"), _MB),
    "STREAMING_CHUNK_SIZE_MB": (("document_chunk",), _MB),
    "STREAMING_MAX_CONCURRENT_UPLOADS": (("document_uploads", "uploads"), 1.0),
    "STREAMING_MEMORY_LIMIT_MB": (("document_memory", "memory"), _MB),
    "STREAMING_SESSION_TIMEOUT_HOURS": (("lifetime",), _HOURS),
    "STREAMING_CLEANUP_INTERVAL_MINUTES": (("sweep_seconds",), _MINUTES),
    "STREAMING_UPLOAD_DIR": (("data",), None),
    "STREAMING_STATE_DIR": (("state",), None),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a server is told. Sizes in bytes, times in seconds; 0 switches a limit off."""

    # where
    host: str = "127.0.0.1"  # the address to listen on
    port: int = 8000  # 0: any that is free
    unix_socket: Path | None = None  # the file of a Unix socket to listen on, and nowhere else
    unix_mode: str = "660"  # permissions of that file, in octal: who may write may connect
    base_path: str = ""  # the path that all routes live below, such as /towpath
    absolute_locations: bool = False  # with scheme and host, for clients that want it so
    data: Path = Path("towpath-data")  # the folder that holds everything
    state: Path | None = None  # the folder of the ledger; none: the one that holds everything
    # who
    tokens: Path | None = None  # TOML file of hashed bearer tokens
    anonymous_anywhere: bool = False  # serve other machines without tokens
    hosts: tuple[str, ...] = ()  # further names in Host that anonymous callers may use
    proxies: tuple[str, ...] = ()  # addresses and networks of proxies that are trusted; or unix
    proxy_fields: ProxyFields = "x-forwarded"  # or forwarded (RFC 7239): what these proxies write
    cors_origins: tuple[str, ...] = ()  # origins whose pages may ask, as https://app.example; or *
    cors_credentials: bool = False  # these pages may send cookies; not with *
    cors_max_age: float = 7200.0  # that a browser may remember what a page may do
    tls_cert: Path | None = None  # certificate chain, in PEM
    tls_key: Path | None = None  # its private key, in PEM
    # what readers get
    cache_seconds: float = 365 * 86400.0  # that caches keep an object by its id; 0: they ask again
    cache_shared: bool = False  # caches that many use may keep objects too, such as a CDN's
    follow: bool = False  # an upload may be read with ?follow while the rest of it arrives
    link_keys: Path | None = None  # TOML file of keys that sign links; none: one beside the ledger
    link_lifetime: float = 7 * 86400.0  # of a link, at most; 0: none are made
    # how durable
    durability: Durability = "strict"  # or relaxed: survives kill -9, not a power cut
    min_free: int = 256 * MIB  # disk space that uploads never use up
    # limits
    memory: int = 256 * MIB  # for all blocks together
    workers: int = 16  # threads that receive
    settle_bytes: int = 16 * MIB  # received and not yet durable, of one upload, at most
    settle_seconds: float = 0.5  # that a byte waits to be made durable, at most
    uploads: int = 1024  # that receive at once
    max_length: int = 0  # of one upload, in bytes; 0: no limit
    lifetime: float = 24 * 3600.0  # of an upload that nobody goes on with
    listeners: int = 2048  # that hear of uploads at once, by events and WebSockets
    document_length: int = 1024 * MIB  # of a document, by its own routes; 0: no limit
    document_chunk: int = 8 * MIB  # of a document whose client asks for no size
    document_uploads: int = 5  # documents that are uploaded at once
    document_memory: int = 500 * MIB  # that memory-stats compares with
    header_bytes: int = 64 * KIB  # of a request's head
    head_seconds: float = 20.0  # for a request's head
    idle_seconds: float = 60.0  # between two bytes of a body
    slowest_rate: int = 64  # bytes a second, over a minute
    # who is told, and who is asked
    webhooks: tuple[str, ...] = ()  # addresses that are told what happens to uploads
    webhook_events: tuple[str, ...] = ("completed",)  # and created, cancelled, expired, failed
    hook: str = ""  # an address that is asked whether uploads may be
    hook_asks: tuple[str, ...] = ("before_create", "before_complete")  # and while_receiving
    hook_fail_open: bool = False  # an upload goes on when the hook gives no answer
    signing_secrets: Path | None = None  # file of the secrets that sign both, one whsec_ a line
    call_seconds: float = 10.0  # for an address to answer in
    call_public_only: bool = False  # call no address of a private network
    # upkeep
    sweep_seconds: float = 600.0  # between two sweeps
    scrub_every: float = 30 * 86400.0  # after which an object is read again; 0: never
    scrub_rate: int = 50 * MIB  # bytes a second
    shutdown_seconds: float = 10.0  # that connections get to end in
    log_format: LogFormat = "text"  # or json
    log_level: str = "info"  # debug, info, warning or error
    direct: bool = True  # receive bodies straight from the socket where that is possible
    informational: Informational = "asked"  # 104 for who says a version; or always, never
    trailers: bool = True  # read digests behind bodies; no: a proxy in front does not pass them on

    def limits(self) -> Limits:
        """The bounds that the engine works within."""
        return Limits(
            memory=self.memory,
            workers=self.workers,
            settle_bytes=self.settle_bytes,
            settle_seconds=self.settle_seconds,
            uploads=self.uploads,
            length=self.max_length or None,
            lifetime=self.lifetime,
        )


def load(
    flags: Mapping[str, object],
    *,
    file: Path | None = None,
    kept: Mapping[str, object] | None = None,
    environment: bool = True,
) -> Settings:
    """The settings. `flags` that are None were not given. Raises SettingsError.

    `kept`: what files that nobody named say; it counts before the defaults only.
    """
    given: dict[str, object] = dict(kept or {})
    if file is not None:
        given.update(_from_file(file))
    if environment:
        given.update(_from_environment(os.environ))
    given.update({name: value for name, value in flags.items() if value is not None})
    known = {field.name: field for field in fields(Settings)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise SettingsError(
                f"There is no setting “{name}”.",
                why="It is not one of those that `towpath serve --help` lists.",
                todo="Correct its name or leave it out.",
            )
        values[name] = _convert(name, str(known[name].type), value)
    settings = Settings(**values)
    _check(settings)
    return settings


def _from_file(file: Path) -> dict[str, object]:
    try:
        return dict(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The settings file {file} cannot be read.",
            why=f"{str(error).rstrip('.')}.",
            todo="Correct it, or name another with --config.",
        ) from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    """TOWPATH_<SETTING> for the settings there are; other variables belong to the client."""
    return _from_streaming(environment) | {
        field.name: environment[_PREFIX + field.name.upper()]
        for field in fields(Settings)
        if _PREFIX + field.name.upper() in environment
    }


def _from_streaming(environment: Mapping[str, str]) -> dict[str, object]:
    given: dict[str, object] = {}
    for variable, (names, unit) in _STREAMING.items():
        value = environment.get(variable, "").strip()
        if not value:
            continue
        if unit is None:
            given.update(dict.fromkeys(names, Path(value)))
            continue
        if not _NUMBER.match(value):
            raise _bad(variable, value, "a number")
        amount = float(value) * unit
        exact = amount if unit in {_HOURS, _MINUTES} else int(amount)
        given.update(dict.fromkeys(names, exact))
    return given


def _convert(name: str, kind: str, value: object) -> object:
    if not isinstance(value, str):
        if kind == "str":
            raise _bad(name, value, "text")
        if kind in {"Path", "Path | None"} and not isinstance(value, Path):
            raise _bad(name, value, "a path")
        return tuple(value) if isinstance(value, list) else value
    try:
        match kind:
            case "int":
                return read_bytes(value)
            case "float":
                return read_seconds(value)
            case "bool":
                return {
                    "1": True,
                    "true": True,
                    "yes": True,
                    "0": False,
                    "false": False,
                    "no": False,
                }[value.lower()]
            case "Path" | "Path | None":
                return Path(value)
            case "tuple[str, ...]":
                return tuple(filter(None, (part.strip() for part in value.split(","))))
            case "Durability" | "LogFormat" | "ProxyFields" | "Informational":
                choices = _CHOICES[kind]
                if value not in choices:
                    raise _bad(name, value, f"one of {', '.join(choices)}")
    except (ValueError, KeyError) as error:
        raise _bad(
            name, value, {"int": "a number or size", "float": "a time"}.get(kind, kind)
        ) from error
    return value


def _bad(name: str, value: object, wanted: str) -> SettingsError:
    return SettingsError(
        f"The setting {name} cannot be “{value}”.",
        why=f"It must be {wanted}.",
        todo="Correct the flag, the variable or the file that sets it.",
    )


def _check(settings: Settings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SettingsError(
            "TLS needs a certificate and its key.",
            why="Only one of them is set.",
            todo="Set both tls_cert and tls_key.",
        )
    if not _BASE_PATH.match(settings.base_path):
        raise _bad("base_path", settings.base_path, "a plain path such as /towpath")
    if not _MODE.match(settings.unix_mode):
        raise _bad("unix_mode", settings.unix_mode, "three octal digits such as 660, as text")
    limits = settings.limits()
    if settings.document_chunk < 1 or settings.document_uploads < 1:
        raise SettingsError(
            "The limits leave no room for documents.",
            why="document_chunk and document_uploads must not be 0.",
            todo="Raise them.",
        )
    if settings.memory < limits.block_largest or settings.workers < 1 or settings.settle_bytes < 2:
        raise SettingsError(
            "The limits leave no room to receive anything.",
            why="memory must hold one block of 1MiB; workers and settle_bytes must not be 0.",
            todo="Raise them.",
        )


_CHOICES: dict[str, tuple[str, ...]] = {
    "Durability": get_args(Durability),
    "LogFormat": get_args(LogFormat),
    "ProxyFields": get_args(ProxyFields),
    "Informational": get_args(Informational),
}
_BASE_PATH = re.compile(r"/?(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:/(?=.)|/?\Z))*\Z")
_MODE = re.compile(r"[0-7]{3}\Z")
_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?\Z")
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\Z")


def read_seconds(text: str) -> float:
    """Seconds from "500ms", "30s", "10m", "24h", "7d", "2.5". Raises ValueError."""
    match = _TIME.match(text.strip())
    if match is None or match[2].lower() not in _SECONDS:
        raise ValueError(text)
    return float(match[1]) * _SECONDS[match[2].lower()]

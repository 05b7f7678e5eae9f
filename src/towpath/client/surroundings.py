"""What a client takes from where it runs: state folder, secrets, limit, proxies, certificates.

Rules: this is the only file of the client that looks at the environment; nothing is remembered.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from towpath.errors import SettingsError

if TYPE_CHECKING:
    import ssl

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
Location = str | os.PathLike[str]


class Trust(NamedTuple):
    """PEM files: what to trust in place of the system's, and what to show of oneself."""

    ca: Location | None = None
    cert: Location | None = None
    key: Location | None = None  # of `cert`, if it is not in that file


def state_folder() -> Path:
    """Where unfinished transfers are remembered unless the caller says where."""
    if given := os.environ.get("XDG_STATE_HOME"):
        return Path(given) / "towpath"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "towpath" / "state"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "towpath"
    return Path.home() / ".local" / "state" / "towpath"


def config_folder() -> Path:
    """Where settings and tokens of the command line are kept."""
    if given := os.environ.get("XDG_CONFIG_HOME"):
        return Path(given) / "towpath"
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home()) / "towpath"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "towpath"
    return Path.home() / ".config" / "towpath"


def variable(name: str) -> str | None:
    """A variable that sets something of the command line; None if it is not there or empty."""
    return os.environ.get(name) or None


def token() -> str | None:
    """The caller's token, if the environment has one."""
    return os.environ.get("TOWPATH_TOKEN") or None


def without_token() -> dict[str, str]:
    """The environment for a process that is to have no token from it."""
    return {name: value for name, value in os.environ.items() if name != "TOWPATH_TOKEN"}


def speed_limit() -> str | None:
    """Bytes a second of a client, or its timetable, if the environment has one."""
    return os.environ.get("TOWPATH_LIMIT") or None


def secret(name: str) -> str | None:
    """The secret in the environment variable of that name; None if there is none."""
    return os.environ.get(name)


def proxy_for(scheme: str, host: str) -> str | None:
    """The proxy's URL for requests to `host`; None to go straight. Loopback never has one."""
    if host in _LOOPBACK:
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - slow to import

    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return None if not proxy or proxy_bypass(host) else proxy


def tls_context(trust: Trust) -> ssl.SSLContext:
    """What to trust: a file if it is given, else SSL_CERT_FILE, SSL_CERT_DIR or the system."""
    import ssl  # noqa: PLC0415 - slow to import, and not all that look here need it

    file = trust.ca
    try:
        context = ssl.create_default_context(cafile=file)
        if trust.cert is not None:
            file = trust.cert
            context.load_cert_chain(trust.cert, trust.key)
    except OSError as error:
        raise SettingsError(
            f"The certificate file {file} cannot be used.",
            why=f"{error}.",
            todo="Give PEM files: a certificate, and the key that belongs to it.",
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context

"""What a client takes from where it runs: state folder, token, limit, proxies, certificates.

Rules: this is the only file of the client that looks at the environment; nothing is remembered.
"""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path

from towpath.errors import SettingsError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def state_folder() -> Path:
    """Where unfinished transfers are remembered unless the caller says where."""
    if given := os.environ.get("XDG_STATE_HOME"):
        return Path(given) / "towpath"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "towpath" / "state"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "towpath"
    return Path.home() / ".local" / "state" / "towpath"


def token() -> str | None:
    """The caller's token, if the environment has one."""
    return os.environ.get("TOWPATH_TOKEN") or None


def without_token() -> dict[str, str]:
    """The environment for a process that is to have no token from it."""
    return {name: value for name, value in os.environ.items() if name != "TOWPATH_TOKEN"}


def speed_limit() -> str | None:
    """Bytes a second of a client, or its timetable, if the environment has one."""
    return os.environ.get("TOWPATH_LIMIT") or None


def proxy_for(scheme: str, host: str) -> str | None:
    """The proxy's URL for requests to `host`; None to go straight. Loopback never has one."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - slow to import

    if host in _LOOPBACK:
        return None
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return None if not proxy or proxy_bypass(host) else proxy


def tls_context(ca: str | os.PathLike[str] | None) -> ssl.SSLContext:
    """What to trust: the file `ca` if given, else SSL_CERT_FILE, SSL_CERT_DIR or the system."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise SettingsError(
            f"The certificate file {ca} cannot be used.", why=f"{error}.", todo="Give a PEM file."
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context

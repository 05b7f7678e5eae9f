"""From a URL to a connection: origins, proxies, TLS.

Rules: raises ServerUnreachable when nobody answers, which may pass, and TransferError when the
other side cannot be trusted, which will not.
"""

from __future__ import annotations

import base64
import copy
import errno
import socket
import ssl
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

from towpath.client.surroundings import Trust, proxy_for, tls_context
from towpath.client.wire import Connection
from towpath.errors import ServerUnreachable, SettingsError, TransferError

_PORTS = {"http": 80, "https": 443}
_CONNECT_SECONDS = 15.0
_AS_IT_IS = "%/?:@!$&'()*+,;=~[]"  # of an address, besides letters and digits
_OFFLINE = {errno.ENETUNREACH, errno.ENETDOWN}
_WAITING = 512 * 1024  # bytes that wait in a socket for somebody on this machine
STRAIGHT = "none"
"""In place of a proxy's URL: use none, whatever the environment says."""


class Origin(NamedTuple):
    """Scheme, host and port: who is spoken to."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """What stands in the Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def split(url: str) -> tuple[Origin, str]:
    """An http or https URL as its origin and what follows. Raises SettingsError."""
    try:
        url.encode()  # which fails for bytes that are not UTF-8
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{url!r} is no URL.", why=f"{error}.") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise SettingsError(
            f"{url!r} is not the URL of a server.", todo="Give one such as https://up.example.org."
        )
    if parts.username is not None:
        raise SettingsError("The URL holds a password.", todo="Give a token instead.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    origin = Origin(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])
    return origin, quote(target, safe=_AS_IT_IS)


_CHECK = "Check the address, and whether the server runs."
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")  # words of OpenSSL for what is no TLS at all


class Dialer:
    """Opens connections. `proxy`: the URL of one, "none", or None: what the environment says."""

    def __init__(self, trust: Trust, *, timeout: float, proxy: str | None = None) -> None:
        self._trust = trust
        self._proxy = proxy
        self._timeout = timeout
        self._context: ssl.SSLContext | None = None

    def hurried(self, seconds: float) -> Dialer:
        """One that waits for nothing longer than that."""
        other = copy.copy(self)
        other._timeout = min(self._timeout, seconds)  # noqa: SLF001 - a copy of ourselves
        return other

    def dial(self, origin: Origin) -> Connection:
        """A fresh connection to `origin`, by way of a proxy if one is named."""
        proxy = self.proxy(origin)
        try:
            if proxy is None:
                sock, absolute = self._reach(origin.host, origin.port), ""
            else:
                sock, absolute = self._by_proxy(proxy, origin)
            if origin.scheme == "https":
                sock = self._wrapped(sock, origin.host)
        except ssl.SSLCertVerificationError as error:
            raise TransferError(
                f"{origin} cannot be trusted.",
                why=f"Its certificate: {error.verify_message}.",
                todo="If it is your own, give its certificate authority (--ca FILE).",
            ) from error
        except ssl.SSLError as error:
            if error.reason not in _NO_TLS:
                raise _silent(f"{origin}", error, _CHECK) from error
            raise TransferError(
                f"{origin} does not speak TLS.",
                why="What answers there is something else.",
                todo="If the server has no TLS, give its address with http://.",
            ) from error
        except UnicodeError as error:  # as the codec of host names says it
            raise SettingsError(
                f"{origin.host!r} is no name of a machine.", todo="Check the address."
            ) from error
        except OSError as error:
            raise _silent(f"{origin}", error, _CHECK) from error
        return Connection(sock, timeout=self._timeout, absolute=absolute)

    def proxy(self, origin: Origin) -> str | None:
        """The URL of the proxy that leads to `origin`; None: straight there."""
        if self._proxy is not None:
            return None if self._proxy == STRAIGHT else self._proxy
        return proxy_for(origin.scheme, origin.host)

    def _reach(self, host: str, port: int) -> socket.socket:
        sock = socket.create_connection((host, port), min(self._timeout, _CONNECT_SECONDS))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stay_in_cache(sock)
        except BaseException:  # the other side may have reset it already
            sock.close()
            raise
        return sock

    def _wrapped(self, sock: socket.socket, host: str) -> ssl.SSLSocket:
        try:
            if self._context is None:
                self._context = tls_context(self._trust)
            return self._context.wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise

    def _by_proxy(self, proxy: str, origin: Origin) -> tuple[socket.socket, str]:
        """A socket to the proxy, and what requests say before their path."""
        parts, port = proxy_parts(proxy)
        try:
            sock = self._reach(str(parts.hostname), port)
        except OSError as error:
            named = f"the proxy {parts.hostname}:{port}"
            todo = "Check its address, or go without it (--proxy none)."
            raise _silent(named, error, todo) from error
        if origin.scheme == "http" and parts.username is None:
            return sock, f"http://{origin.authority}"
        try:
            _open_tunnel(sock, parts, origin)
        except BaseException:
            sock.close()
            raise
        return sock, ""


def stay_in_cache(sock: socket.socket) -> None:
    """Let few bytes wait in a socket whose other end is on this machine, too.

    No wire has to be filled there, and bytes that wait in megabytes have left the processor's cache
    when the other end takes them.
    """
    if sock.getsockname()[0] == sock.getpeername()[0]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _WAITING)


def proxy_parts(proxy: str) -> tuple[SplitResult, int]:
    """The URL of a proxy, taken apart, and its port. Raises SettingsError."""
    parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    try:
        port = parts.port or 80
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or not port:
        raise SettingsError(
            f"The proxy at {parts.hostname} cannot be used.",
            why="Its address is not as http://proxy.example.org:3128 is.",
            todo="Correct it, or say none.",
        )
    return parts, port


def _silent(who: str, error: OSError, todo: str) -> ServerUnreachable:
    silent = ServerUnreachable(
        f"Nobody answers at {who}.", why=f"{error.strerror or error}.", todo=todo
    )
    silent.offline = _is_offline(error)
    return silent


def _is_offline(error: OSError) -> bool:
    """True if this machine has no way out, whoever is spoken to."""
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN  # nobody could be asked for the name
    return error.errno in _OFFLINE


def _open_tunnel(sock: socket.socket, parts: SplitResult, origin: Origin) -> None:
    """Have the proxy connect to the origin. Raises ServerUnreachable, OSError."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    target = f"{host}:{origin.port}"
    secret = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if parts.username is not None:
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(secret).decode()}")
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    status = _status_of_tunnel(sock)
    if not status.startswith("2"):
        raise ServerUnreachable(
            f"The proxy does not lead to {origin}.", why=f"It answered {status}."
        )


def _status_of_tunnel(sock: socket.socket) -> str:
    """Read the proxy's answer byte by byte: what follows it belongs to the tunnel."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < 16_384:
        byte = sock.recv(1)
        if not byte:
            raise ConnectionResetError("the proxy hung up")
        head += byte
    return head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")[2]

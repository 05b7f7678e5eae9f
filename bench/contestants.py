"""Who takes part, and the command that starts each: all stock settings.

Rules: one that cannot start here is left out and named, never silently.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import certificate
from towpath.testing.server import TOWPATH, Server

HERE = Path(__file__).parent
MODULES = HERE.parent / "tests" / "interop" / "node_modules"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server by its name."""

    name: str
    words: tuple[str, ...]  # with {port} {data} {certificate}
    tls_words: tuple[str, ...] = ()  # added for TLS

    def server(self, directory: Path, pem: Path | None) -> Server:
        """Its process, not yet started."""

        def command(port: int, data: Path) -> Sequence[str]:
            every = self.words + (self.tls_words if pem else ())
            return [word.format(port=port, data=data, certificate=pem) for word in every]

        name = self.name.replace(" ", "-").replace("/", "-") + ("-tls" if pem else "")
        tls = certificate.trusting(pem) if pem else None
        return Server(directory / name, command=command, tls=tls)


def contestants(
    settle: int, program: Sequence[str] = TOWPATH, modules: Path = MODULES
) -> list[Contestant]:
    """Everybody, in the order of a round."""
    loop = (sys.executable, "-m", "bench.loop", "--port", "{port}", "--data", "{data}")
    loop_tls = ("--certificate", "{certificate}")
    towpath = (*program, "serve", "--host", "127.0.0.1", "--port", "{port}", "--data", "{data}")
    towpath_tls = ("--tls-cert", "{certificate}", "--tls-key", "{certificate}")
    node = (shutil.which("node") or "node", str(HERE / "tus_server.mjs"), str(modules))
    synced = (*loop, "--sync", "--settle", str(settle))
    return [
        Contestant("loop", loop, loop_tls),
        Contestant("loop synced", synced, loop_tls),
        Contestant("towpath relaxed", (*towpath, "--durability", "relaxed"), towpath_tls),
        Contestant("towpath strict", (*towpath, "--durability", "strict"), towpath_tls),
        Contestant("@tus/server", (*node, "{port}", "{data}"), ("{certificate}",)),
    ]

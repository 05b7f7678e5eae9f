"""The tokens file of a server that runs: what is added or revoked counts from the next request on.

Rules: the file is looked at before each answer, which one call to the system does, and read only
when it has changed. A file that cannot be used changes nothing and is told in the log, once; one
that could not even be read is tried again, since that may pass without a change of the file.
"""

from __future__ import annotations

import logging
from pathlib import Path

from towpath.errors import SettingsError
from towpath.web.gate import Token, read_tokens

_log = logging.getLogger(__name__)


class TokenFile:
    """Tokens by their ids. Raises SettingsError if the file cannot be used at the beginning."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = self._told = self._stamp()
        self._tokens = read_tokens(file)

    def get(self, key: str, /) -> Token | None:
        """The token of that id, as the file says now."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._read(stamp)
        return self._tokens.get(key)

    def _read(self, stamp: tuple[int, int, int] | None) -> None:
        try:
            self._tokens, self._seen = read_tokens(self._file), stamp
        except SettingsError as error:
            if stamp != self._told:
                _log.error("%s The tokens that were known before still count.", error)
            self._told = stamp
            if not isinstance(error.__cause__, OSError):
                self._seen = stamp

    def _stamp(self) -> tuple[int, int, int] | None:
        """Which file it is, and when it was written; None without one."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

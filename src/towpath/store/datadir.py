"""The data directory: who holds it, how it is laid out, and how its files are opened.

    lock                        held while a process uses the directory; says who
    uploads/<2>/<key>           bytes of an upload
    objects/<2>/<key>           bytes of an object
    objects/<2>/<key>.manifest  what the ledger can be rebuilt from
    lost+found/                 what somebody should look at

Rules: <2> are the first two characters of the key; every folder below the root is opened with
O_NOFOLLOW and every file relative to its open folder, so that a planted link leads nowhere;
methods raise OSError, which the store puts into words.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from towpath.errors import StoreBusy
from towpath.store.keys import OBJECTS, UPLOADS, is_key

LOST = "lost+found"

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # NONBLOCK: a planted pipe must not hang us
_MANIFEST = ".manifest"
_DRAFT = ".manifest.draft"


class DataDir:
    """One local directory, held by one process."""

    def __init__(self, root: Path, *, now: int, durable: bool) -> None:
        """Make the directory if need be and take it. `now`: milliseconds since 1970.

        `durable`: entries are fsynced, so that they live through a power cut. Raises StoreBusy
        when another process holds it, OSError.
        """
        self._durable = durable
        self._entered: set[tuple[str, str]] = set()  # <2> folders whose own entry is durable
        self._make_root(root)
        self._folders: dict[str, int] = {}
        self._lock = -1
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._lock = _take(self._root, now)
            for name in (UPLOADS, OBJECTS, LOST):
                with suppress(FileExistsError):
                    os.mkdir(name, mode=0o700, dir_fd=self._root)
                self._folders[name] = os.open(name, _FOLDER, dir_fd=self._root)
            self._sync(self._root)
        except BaseException:
            self.close()
            raise

    def open(self, kind: str, key: str, flags: int) -> int:
        """A descriptor of a regular file; with O_CREAT its folder is made, too."""
        with self._folder(kind, key, make=bool(flags & os.O_CREAT)) as folder:
            return _open_regular(key, flags, folder)

    def stat(self, kind: str, key: str) -> os.stat_result | None:
        """The facts about a regular file, or None when there is none."""
        try:
            with self._folder(kind, key) as folder:
                found = os.stat(key, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def promote(self, key: str) -> None:
        """Make an upload's file the object's. Not durable before `sync` of both."""
        with self._folder(UPLOADS, key) as source, self._folder(OBJECTS, key, make=True) as target:
            os.rename(key, key, src_dir_fd=source, dst_dir_fd=target)

    def discard(self, kind: str, key: str, *, keep: bool) -> None:
        """Remove a file, or move it to lost+found; what is not there is fine."""
        lost = f"{key}.{'upload' if kind == UPLOADS else 'object'}"
        self._discard(kind, key, key, lost if keep else None)

    def write_manifest(self, key: str, text: bytes) -> None:
        """Put the text beside the object: whole or not at all. Its entry waits for `sync`."""
        with self._folder(OBJECTS, key, make=True) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with open(_open_regular(key + _DRAFT, flags, folder), "wb") as draft:
                draft.write(text)
                draft.flush()
                if self._durable:
                    os.fsync(draft.fileno())
            os.rename(key + _DRAFT, key + _MANIFEST, src_dir_fd=folder, dst_dir_fd=folder)

    def read_manifest(self, key: str, most: int) -> bytes | None:
        """The first `most` bytes of the text, or None when there is none."""
        try:
            with self._folder(OBJECTS, key) as folder:
                descriptor = _open_regular(key + _MANIFEST, os.O_RDONLY, folder)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:
            return file.read(most)

    def discard_manifest(self, key: str, *, keep: bool) -> None:
        """Remove the manifest and its draft, or move it to lost+found."""
        self._discard(OBJECTS, key, key + _MANIFEST, key + _MANIFEST if keep else None)
        self._discard(OBJECTS, key, key + _DRAFT, None)

    def sync(self, kind: str, key: str) -> None:
        """Make the entries in the key's folder durable, and the folder's own."""
        with suppress(FileNotFoundError), self._folder(kind, key) as folder:
            self._sync(folder)
            if (kind, key[:2]) not in self._entered:
                self._sync(self._kind(kind))
                self._entered.add((kind, key[:2]))

    def keys(self, kind: str, after: str) -> Iterator[str]:
        """Keys of this kind behind `after`, in order; memory grows with one <2> folder only."""
        for two in sorted(os.listdir(self._kind(kind))):
            if len(two) == 2 and two >= after[:2]:
                try:
                    with self._folder(kind, two) as folder:
                        names = os.listdir(folder)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                mine = [name for name in names if name > after and name[:2] == two and is_key(name)]
                yield from sorted(mine)

    def room(self) -> os.statvfs_result:
        """What the file system says about its space."""
        return os.fstatvfs(self._root)

    def close(self) -> None:
        """Let the directory go. Idempotent."""
        held = (self._lock, self._root, *self._folders.values())
        self._folders = {}
        self._root = self._lock = -1
        with ExitStack() as stack:  # all of them, whatever one says; the lock at last
            for descriptor in held:
                if descriptor >= 0:
                    stack.callback(os.close, descriptor)

    def _make_root(self, root: Path) -> None:
        made = [folder for folder in (root, *root.parents) if not folder.exists()]
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in made:
            parent = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._sync(parent)
            finally:
                os.close(parent)

    def _kind(self, kind: str) -> int:
        """The open folder of a kind. Never -1, which os.listdir takes for the current one."""
        if kind not in self._folders:
            raise OSError(errno.EBADF, "the directory was let go")
        return self._folders[kind]

    @contextmanager
    def _folder(self, kind: str, key: str, *, make: bool = False) -> Iterator[int]:
        """The open <2> folder of the key."""
        if make:
            with suppress(FileExistsError):
                os.mkdir(key[:2], mode=0o700, dir_fd=self._kind(kind))
        folder = os.open(key[:2], _FOLDER, dir_fd=self._kind(kind))
        try:
            yield folder
        finally:
            with suppress(OSError):  # it was opened to look, so its close can lose nothing
                os.close(folder)

    def _discard(self, kind: str, key: str, name: str, lost: str | None) -> None:
        with suppress(FileNotFoundError), self._folder(kind, key) as folder:
            if lost is None:
                os.unlink(name, dir_fd=folder)
            else:
                os.rename(name, lost, src_dir_fd=folder, dst_dir_fd=self._kind(LOST))
                self._sync(self._kind(LOST))

    def _sync(self, folder: int) -> None:
        if self._durable:
            os.fsync(folder)


def _open_regular(name: str, flags: int, folder: int) -> int:
    descriptor = os.open(name, flags | _FILE, 0o600, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(errno.ENOENT, "no regular file")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _take(root: int, now: int) -> int:
    """Lock the directory and write down who has it; the kernel lets go when the process dies."""
    lock = _open_regular("lock", os.O_RDWR | os.O_CREAT, root)
    try:
        try:
            _lock_whole(lock)
        except (BlockingIOError, PermissionError) as error:
            raise StoreBusy(
                "Another process holds this data directory.",
                why=_described(os.pread(lock, 1000, 0)),
                todo="Stop that process, or use another directory.",
            ) from error
        who = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(who).encode(), 0)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _lock_whole(descriptor: int) -> None:
    """Lock by open file description: closing another descriptor of the file does not unlock it."""
    if hasattr(fcntl, "F_OFD_SETLK"):
        # struct flock: type, whence, start, length (0: all), pid (0: asked for by the kernel)
        request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _described(holder: bytes) -> str:
    try:
        who = json.loads(holder)
        since = datetime.fromtimestamp(who["since"] // 1000, UTC).isoformat()
        return f"It is pid {who['pid']} on {who['host']}, since {since}."
    except (ValueError, KeyError, TypeError, OverflowError):
        return "It has not yet said who it is."

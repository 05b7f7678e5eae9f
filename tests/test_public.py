"""The public names: complete, lazy, and light."""

import subprocess
import sys

import pytest

import towpath


def imported_by(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(' '.join(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_every_public_name_is_there_and_the_same_each_time() -> None:
    for name in towpath.__all__:
        assert getattr(towpath, name) == getattr(towpath, name), name
    assert dir(towpath) == sorted(towpath.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        towpath.nothing  # noqa: B018 - looking at it is the test


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = imported_by("import towpath")
    assert not {"asyncio", "json", "socket", "ssl", "h11", "towpath.client"} & loaded


def test_the_client_starts_without_what_transfers_and_servers_need() -> None:
    loaded = imported_by("import towpath; towpath.AsyncClient, towpath.Client")
    heavy = {"awscrt", "rich", "click", "pydantic", "fastapi", "sqlalchemy", "uvicorn", "uvloop"}
    heavy |= {"cryptography", "backports.zstd", "compression.zstd"}
    assert not heavy & loaded
    assert not {"msvcrt", "resource", "urllib.request"} & loaded


def test_the_command_starts_without_the_client() -> None:
    loaded = imported_by("import towpath.cli.main as m; m.main(['--version'])")
    assert not {"asyncio", "rich", "awscrt", "h11", "towpath.client"} & loaded

"""Layers: the contracts of .importlinter can be broken, and only settings reads the environment."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.tidy import tree

# who may read the environment -> why
READS_ENVIRONMENT = {
    "src/towpath/settings": "it is where flags, environment and files become values",
    "src/towpath/client/surroundings.py": "a client has no settings but what its caller says",
    "src/towpath/testing/program.py": "it hands its environment on to the program it starts",
}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv"}


def reads_environment(module: ast.Module) -> bool:
    """Tell whether a module reaches for the environment in any spelling."""
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT:
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            return bool(ENVIRONMENT & {alias.name for alias in node.names})
    return False


def broken_contracts(source: Path) -> tuple[set[str], str]:
    """Run import-linter over the package below `source`; return what it finds broken, and all."""
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return set(re.findall(r"^(.+?) BROKEN", ran.stdout, re.MULTILINE)), ran.stdout + ran.stderr


def contracts() -> dict[str, str]:
    """Map the id of each contract to its name."""
    config = ConfigParser()
    config.read(tree.ROOT / ".importlinter")
    return {
        section.rpartition(":")[2]: config[section]["name"]
        for section in config.sections()
        if ":" in section
    }


# contract -> a file, and an import that must not stand in it
SINS = {
    "layers": ("core/model.py", "import towpath.settings"),
    "stores": ("store/s3.py", "import towpath.store.local"),
    "dialects": ("protocol/tus/words.py", "import towpath.protocol.rufh"),
    "checks": ("checks/pdf.py", "import towpath.checks.yara"),
    "indexes": ("ingest/index/memory.py", "import towpath.ingest.index.lance"),
    "embedders": ("ingest/embed/remote.py", "import towpath.ingest.embed.hashed"),
    "pure": ("core/plan.py", "import os.path"),
    "sql": ("store/gcs.py", "import sqlite3"),
    "concrete": ("cli/main.py", "from towpath.store.local import LocalStore"),
    "interfaces": ("engine/engine.py", "from towpath.ledger.sql import SqlLedger"),
    "http": ("ledger/base.py", "from starlette.responses import Response"),
    "terminal": ("client/aio.py", "import rich.progress"),
    "client": ("client/transfer.py", "from towpath.engine import engine"),
    "testing": ("cli/admin.py", "import towpath.testing.clock"),
}
# what the sins name has to exist
BYSTANDERS = (
    *("settings.py", "store/local.py", "store/base.py", "protocol/rufh.py", "checks/yara.py"),
    *("ingest/index/lance.py", "ingest/embed/hashed.py", "engine/engine.py", "testing/clock.py"),
)
# allowed, though it looks much like a sin
VIRTUES = {
    "store/memory.py": "from towpath.store.base import Store",
    "protocol/single.py": "from towpath.protocol.fields import Fields\nimport urllib.parse",
    "assemble.py": "import towpath.store.local, towpath.ledger.sql, towpath.engine.engine",
    "ledger/sql.py": "import sqlalchemy, alembic, sqlite3, towpath.ledger.base",
    "cli/output.py": "import rich, click, towpath.client.sync",
    "testing/stores.py": "import towpath.store.base, towpath.ledger.base",
    "__init__.py": "import towpath.store.base, towpath.assemble",
    "client/sync.py": "import asyncio, threading, h11",
}


def package(at: Path, files: dict[str, str]) -> Path:
    """Write a package `towpath` with the files, beside the project's own contracts."""
    shutil.copy(tree.ROOT / ".importlinter", at)
    for name, content in files.items():
        file = at / "towpath" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        for folder in file.relative_to(at).parents[:-1]:
            (at / folder / "__init__.py").touch()
    return at


def skeleton() -> dict[str, str]:
    """Return the files that are named by others, empty, and those that do nothing wrong."""
    named = {"protocol/fields.py": "", "ledger/base.py": "", **dict.fromkeys(BYSTANDERS, "")}
    return named | VIRTUES


def only_settings(modules: Iterator[tuple[str, ast.Module]]) -> list[str]:
    """Name the files that read the environment and must not."""
    return [
        path
        for path, module in modules
        if not path.startswith(tuple(READS_ENVIRONMENT)) and reads_environment(module)
    ]


def test_every_contract_has_its_sin() -> None:
    assert set(SINS) == set(contracts())


def test_a_package_without_sin_breaks_no_contract(tmp_path: Path) -> None:
    broken, said = broken_contracts(package(tmp_path, skeleton()))
    assert (broken, f"{len(SINS)} kept, 0 broken" in said) == (set(), True), said


@pytest.mark.parametrize("contract", SINS)
def test_the_sin_breaks_its_contract(contract: str, tmp_path: Path) -> None:
    path, sinful = SINS[contract]
    broken, said = broken_contracts(package(tmp_path, skeleton() | {path: sinful}))
    assert contracts()[contract] in broken, said


def test_a_folder_in_no_layer_is_seen(tmp_path: Path) -> None:
    broken, said = broken_contracts(package(tmp_path, skeleton() | {"plugins/one.py": ""}))
    assert broken == {contracts()["layers"]}, said


def test_only_settings_reads_the_environment() -> None:
    assert only_settings(tree.python("src")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import os\nx = os.environ['A']",
        "import os as o\nx = o.getenv('A')",
        "from os import environ as e",
        "import asyncio\nfrom os import path, getenv",
    ],
)
def test_a_look_at_the_environment_is_seen(source: str) -> None:
    module = ast.parse(source)
    assert only_settings(iter([("src/towpath/engine/lease.py", module)])) != []
    assert only_settings(iter([("src/towpath/settings.py", module)])) == []
    assert not reads_environment(ast.parse("from os import path"))

"""Locks: every package is an exact version with its hashes, and nobody's registry is named."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.tidy import tree

LOCKS = ("requirements/run.txt", "requirements/dev.txt", "requirements/fuzz.txt")
PIN = re.compile(r"^[a-z0-9-]+==[^ ;]+( ; .+)?$")
EXACT = re.compile(r"(npm:[a-z-]+@)?\d+\.\d+\.\d+(-[a-z0-9]+)?")  # perhaps under a second name
HASH = re.compile(r"^--hash=sha256:[0-9a-f]{64}$")


def faults_of_lock(text: str) -> Iterator[str]:
    """Say which lines pin loosely, lack a hash, or hand an option or an address to pip."""
    entries = [re.sub(r"(^|\s+)#.*", "", line) for line in text.replace("\\\n", "").splitlines()]
    for entry in filter(None, entries):
        pin, *hashes = re.split(r"\s+(?=--hash)", entry.strip())
        if not PIN.match(pin):
            yield f"not an exact version: {pin}"
        elif not hashes or not all(HASH.match(h) for h in hashes):
            yield f"without its hashes: {pin}"
    if "://" in text:
        yield "names an address"


def faults_of_node_lock(lock: dict[str, Any]) -> Iterator[str]:
    """Say which packages come from a named address or cannot be verified."""
    for name, package in lock["packages"].items():
        if "resolved" in package:
            yield f"names an address: {name}"
        if name and "integrity" not in package:
            yield f"without its hash: {name}"


def pins(text: str) -> set[str]:
    """List what a lock pins."""
    return set(re.findall(r"^([a-z0-9-]+==[^ ;]+)", text, re.MULTILINE))


@pytest.mark.parametrize("path", LOCKS)
def test_python_lock_is_exact_hashed_and_without_address(path: str) -> None:
    text = (tree.ROOT / path).read_text()
    assert pins(text)
    assert list(faults_of_lock(text)) == []


def test_what_is_developed_with_includes_what_is_run() -> None:
    run, *others = ((tree.ROOT / path).read_text() for path in LOCKS)
    for other in others:
        assert pins(run) <= pins(other)


def test_node_lock_is_verified_and_without_address() -> None:
    lock = json.loads((tree.ROOT / "tests/interop/package-lock.json").read_text())
    assert list(faults_of_node_lock(lock)) == []


def test_node_packages_are_named_by_exact_versions() -> None:
    package = json.loads((tree.ROOT / "tests/interop/package.json").read_text())
    assert [v for v in package["dependencies"].values() if not EXACT.fullmatch(v)] == []


@pytest.mark.parametrize(
    "text",
    [
        "click>=8 \\\n    --hash=sha256:" + "0" * 64,
        "click==8.5.1\n    # via uvicorn",
        "click==8.5.1 \\\n    --hash=md5:00",
        "click @ file:click.whl",
        "--find-links wheels",
        "# made with https://example.org\n",
    ],
)
def test_a_fault_in_a_lock_is_seen(text: str) -> None:
    assert len(list(faults_of_lock(text))) == 1


def test_a_fault_in_the_node_lock_is_seen() -> None:
    lock = {"packages": {"": {}, "node_modules/x": {"resolved": "http://example.org/x.tgz"}}}
    assert len(list(faults_of_node_lock(lock))) == 2

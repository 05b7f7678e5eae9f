"""CRC64NVME and CRC-32C, called where they lie and imported, beside awscrt's own."""

from __future__ import annotations

import subprocess
import sys

import pytest
from awscrt import checksums
from hypothesis import given
from hypothesis import strategies as st

from towpath.core import crc as ours
from towpath.core.crc import combine, crc, crc32c

words = st.integers(0, 2**64 - 1)


@given(st.binary(), words, words, st.integers(0, 2**40))
def test_the_values_are_those_of_awscrt(data: bytes, before: int, right: int, length: int) -> None:
    assert crc(memoryview(data), before) == checksums.crc64nvme(data, before)
    assert crc32c(bytearray(data), before >> 32) == checksums.crc32c(data, before >> 32)
    assert combine(before, right, length) == checksums.combine_crc64nvme(before, right, length)


@pytest.mark.parametrize("data", [b"", b"123456789", bytes(100_000)])
def test_what_is_no_block_or_no_value_is_an_error_and_no_crash(data: bytes) -> None:
    with pytest.raises(TypeError):
        crc(None)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        crc(data, -1)
    with pytest.raises(OverflowError):
        crc(data, 2**64)
    with pytest.raises(TypeError):
        ours._combine(None, (1, 2))


_SAYS = """
import sys
from towpath.core.crc import combine, crc, crc32c
print(crc(b"123456789"), crc32c(b"123456789"), combine(1, 2, 3), "_awscrt" in sys.modules)
"""
_ANOTHER_VERSION = "import awscrt; awscrt.__version__ = '0.0'"
_NOT_EXPORTED = "import ctypes; own = ctypes.PyDLL(None); ctypes.PyDLL = lambda path: own"
_NOT_LOADABLE = "import ctypes\ndef fail(path): raise OSError(path)\nctypes.PyDLL = fail"


def _said(before: str = "") -> list[str]:
    command = [sys.executable, "-c", before + _SAYS]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems import awscrt as usual")
def test_the_version_that_is_installed_is_called_without_its_import() -> None:
    *values, imported = _said()
    assert imported == "False"
    assert values[:2] == [str(0xAE8B14860A799888), str(0xE3069283)]


@pytest.mark.parametrize("before", [_ANOTHER_VERSION, _NOT_EXPORTED, _NOT_LOADABLE])
def test_awscrt_is_imported_where_its_functions_cannot_be_called(before: str) -> None:
    *values, imported = _said(before)
    assert imported == "True"
    assert values == _said()[:-1]

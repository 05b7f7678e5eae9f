"""CRC64NVME and CRC-32C, by the compiled code of awscrt.

Rules: to import its compiled module starts its TLS as well, which gathers entropy from the timing
of its own loops; that is a fifth of what `towpath put` needs to start, and no checksum needs it. So
the functions are called where they lie in the compiled file. Their calling convention is known of
one version: with any other, or where they are not exported, that module is imported as usual.
docs/decisions/2026-11-26-checksums-by-themselves.md
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from importlib.machinery import PathFinder
from typing import Any, cast

import awscrt

TESTED = "0.38.1"
_NAMES = ("crc64nvme", "crc64nvme_combine", "crc32c")

Block = memoryview | bytes | bytearray
_Function = Callable[[None, tuple[Any, ...]], int]
"""As C has them (METH_VARARGS): of no object, with what is given as a tuple."""


def _found() -> list[_Function]:
    """The functions of _NAMES in the compiled file. Raises LookupError, OSError, AttributeError."""
    spec = PathFinder.find_spec("_awscrt")
    if awscrt.__version__ != TESTED or spec is None or spec.origin is None:
        raise LookupError
    library = ctypes.PyDLL(spec.origin)
    return [_called(library[f"aws_py_checksums_{name}"]) for name in _NAMES]


def _called(function: Any) -> _Function:  # noqa: ANN401 - ctypes tells no more
    """A function of C as one of Python."""
    function.restype = ctypes.py_object
    function.argtypes = [ctypes.py_object, ctypes.py_object]
    return cast("_Function", function)


def _imported() -> list[_Function]:
    from awscrt import checksums  # noqa: PLC0415 - slow, see above

    functions = checksums.crc64nvme, checksums.combine_crc64nvme, checksums.crc32c
    return [partial(_spread, function) for function in functions]


def _spread(function: Callable[..., int], _: None, given: tuple[Any, ...]) -> int:
    return function(*given)


try:
    _crc64nvme, _combine, _crc32c = _found()
except (LookupError, OSError, AttributeError):
    _crc64nvme, _combine, _crc32c = _imported()


def crc(block: Block, before: int = 0) -> int:
    """CRC64NVME of `block` after bytes whose value is `before`."""
    return _crc64nvme(None, (block, before))


def combine(left: int, right: int, right_length: int) -> int:
    """The CRC64NVME of two neighbours, from theirs and the right one's length in bytes."""
    return _combine(None, (left, right, right_length))


def crc32c(block: Block, before: int = 0) -> int:
    """CRC-32C (Castagnoli, RFC 9260 appendix A) of `block` after bytes of the value `before`."""
    return _crc32c(None, (block, before))

"""The suite for a new store: what every store must do, as functions that raise AssertionError.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check):
        check(my_store)  # a function that returns a context manager of an empty store

    @pytest.mark.parametrize("check", LASTING_CHECKS, ids=lambda check: check.__name__)
    def test_my_store_lasts(check):
        check(MyStoreMaker())  # when its bytes outlive it

Rules: the test file of a new store is its configuration; no test framework in here.
"""

from __future__ import annotations

from collections.abc import Callable

from towpath.testing import store_bytes, store_objects
from towpath.testing.store_lasting import LASTING_CHECKS, StoreMaker
from towpath.testing.store_words import Make

__all__ = ["CHECKS", "LASTING_CHECKS", "Make", "StoreMaker"]

CHECKS: tuple[Callable[[Make], None], ...] = store_bytes.CHECKS + store_objects.CHECKS

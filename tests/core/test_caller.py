"""Who may do what."""

from __future__ import annotations

from itertools import product

import pytest

from towpath.core.caller import ANONYMOUS, EVERYTHING, Caller, Scope
from towpath.errors import Forbidden


def caller(*scopes: Scope, tenant: str = "t1", subject: str = "ann", prefix: str = "") -> Caller:
    return Caller(tenant=tenant, subject=subject, scopes=frozenset(scopes), prefix=prefix)


@pytest.mark.parametrize(("has", "needs"), list(product(Scope, Scope)))
def test_a_scope_allows_what_it_says_and_nothing_else(has: Scope, needs: Scope) -> None:
    if has is needs:
        caller(has).require(needs)
        return
    with pytest.raises(Forbidden, match=needs.value):
        caller(has).require(needs)


def test_everything_does_not_include_what_others_own() -> None:
    assert set(Scope) - EVERYTHING == {Scope.ADMIN}


@pytest.mark.parametrize(
    ("name", "reached"),
    [("a/", True), ("a/b", True), ("a", False), ("ab", False), ("b/a/", False), ("", False)],
)
def test_a_caller_reaches_names_below_its_prefix(name: str, reached: bool) -> None:
    assert caller(prefix="a/").reaches(name) == reached
    assert caller().reaches(name)


@pytest.mark.parametrize(
    ("tenant", "owner", "owns", "owns_as_admin"),
    [
        ("t1", "ann", True, True),
        ("t1", "bob", False, True),
        ("t2", "ann", False, False),
        ("t2", "bob", False, False),
    ],
)
def test_a_caller_owns_its_uploads_and_an_admin_those_of_its_tenant(
    tenant: str, owner: str, owns: bool, owns_as_admin: bool
) -> None:
    assert caller(*EVERYTHING).owns(tenant, owner) == owns
    assert caller(Scope.ADMIN).owns(tenant, owner) == owns_as_admin


def test_anonymous_may_do_all_on_this_machine() -> None:
    for scope in Scope:
        ANONYMOUS.require(scope)
    assert ANONYMOUS.owns(ANONYMOUS.tenant, "somebody")

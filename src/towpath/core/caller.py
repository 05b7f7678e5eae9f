"""Who asks. Every verb of the engine takes a caller first; anonymous is a caller too."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from towpath.errors import Forbidden


class Scope(StrEnum):
    """What a caller may do."""

    WRITE = "write"  # create uploads and carry on with one's own
    READ = "read"  # download objects
    LIST = "list"  # see names and uploads
    REMOVE = "remove"  # take names away
    ADMIN = "admin"  # act on what other owners of the tenant began


EVERYTHING = frozenset(Scope) - {Scope.ADMIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A tenant's subject with what it may do, below the name prefix it is confined to."""

    tenant: str
    subject: str
    scopes: frozenset[Scope]
    prefix: str = ""

    def require(self, scope: Scope) -> None:
        """Raises Forbidden if the caller lacks `scope`."""
        if scope not in self.scopes:
            raise Forbidden(
                f"You may not {scope.value} here.",
                why=f"The token lacks the scope “{scope.value}”.",
                todo="Use a token that has it, or ask who runs the server for one.",
            )

    def reaches(self, name: str) -> bool:
        """True if `name` lies below the caller's prefix."""
        return name.startswith(self.prefix)

    def owns(self, tenant: str, owner: str) -> bool:
        """True if what `owner` of `tenant` began is this caller's to see and to carry on."""
        return self.tenant == tenant and (self.subject == owner or Scope.ADMIN in self.scopes)


ANONYMOUS = Caller(tenant="local", subject="anonymous", scopes=EVERYTHING | {Scope.ADMIN})
"""Whoever is on this machine, when no tokens are set."""

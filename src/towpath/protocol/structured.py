"""Structured fields, as far as our dialects need them: RFC 9651, sections 3 and 4.2.

Rules: a reader answers None for a value that is not of its type, since such a field is to be
treated as if it were not there; parameters are read past; nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

LARGEST = 10**15 - 1
"""The largest Integer (section 3.3.1); the smallest is its negative."""

_KEY = r"[a-z*][a-z0-9_.*-]*"
_BARE_KINDS = (
    r"\?[01]",  # Boolean
    r"-?[0-9]{1,12}\.[0-9]{1,3}",  # Decimal
    r"-?[0-9]{1,15}(?![0-9.])",  # Integer
    r'"(?:[ !#-\[\]-~]|\\["\\])*"',  # String
    r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*",  # Token
    r":[A-Za-z0-9+/=]*:",  # Byte Sequence
    r"@-?[0-9]{1,15}(?![0-9.])",  # Date
    r'%"(?:[ !#$&-~]|%[0-9a-f]{2})*"',  # Display String
)
_BARE = "|".join(_BARE_KINDS)
_PARAMETERS = rf"(?:; *{_KEY}(?:=(?:{_BARE}))?)*"
_ITEM = rf"(?:{_BARE}){_PARAMETERS}"
_LIST = rf"\( *(?:{_ITEM}(?: +{_ITEM})*)? *\){_PARAMETERS}"
_WHOLE = re.compile(rf"({_BARE}){_PARAMETERS}")
_MEMBER = re.compile(rf"({_KEY})(?:=(?:({_BARE}){_PARAMETERS}|({_LIST}))|{_PARAMETERS})")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_INTEGER = re.compile(r"-?[0-9]{1,15}")

Value = bool | int | str
"""A Boolean, an Integer, or the text of anything else."""


def read_boolean(text: str | None) -> bool | None:
    """An Item that is a Boolean (section 3.3.6): ?1 or ?0."""
    value = _item(text)
    return value if isinstance(value, bool) else None


def read_integer(text: str | None) -> int | None:
    """An Item that is an Integer (section 3.3.1): at most 15 digits."""
    value = _item(text)
    return value if type(value) is int else None


def read_dictionary(text: str | None) -> dict[str, Value] | None:
    """A Dictionary (section 3.2). Of a repeated key the last value counts."""
    if text is None:
        return None
    text, at = text.strip(" "), 0
    members: dict[str, Value] = {}
    while at < len(text):
        member = _MEMBER.match(text, at)
        if member is None:
            return None
        key, bare, inner = member.groups()
        members.pop(key, None)
        members[key] = inner or (_value(bare) if bare else True)
        at = member.end()
        if at == len(text):
            return members
        comma = _COMMA.match(text, at)
        if comma is None or comma.end() == len(text):
            return None
        at = comma.end()
    return members


def write_boolean(value: bool) -> str:
    """A Boolean."""
    return "?1" if value else "?0"


def write_dictionary(members: Mapping[str, int]) -> str:
    """A Dictionary of Integers; what is larger than any of them is written as the largest."""
    return ", ".join(f"{key}={min(value, LARGEST)}" for key, value in members.items())


def _item(text: str | None) -> Value | None:
    found = None if text is None else _WHOLE.fullmatch(text.strip(" "))
    return None if found is None else _value(found[1])


def _value(bare: str) -> Value:
    if bare in {"?0", "?1"}:
        return bare == "?1"
    return int(bare) if _INTEGER.fullmatch(bare) else bare

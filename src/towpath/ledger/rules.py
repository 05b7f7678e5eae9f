"""What holds in every ledger: which rows and questions it takes, and how it words a refusal.

Rules:
- Checked before a place is touched, so that every kind of place refuses the same.
- Text is Unicode without NUL and without lone surrogates: no database keeps those everywhere.
- An int is what 64 bits with a sign hold; a field called `crc` what 64 bits without one hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from types import MappingProxyType, NoneType
from typing import NamedTuple, get_args, get_type_hints

from towpath.core.model import KINDS, Row
from towpath.errors import Duplicate, LedgerError, Stale
from towpath.ledger.base import Add, Change, Expect, Key, Query, Update, Value

_TODO = "This is a mistake in the program that asks."


class Field(NamedTuple):
    """What one field of a row may hold."""

    type: type  # str, int, bool, bytes or an enum of words
    optional: bool  # None too
    unsigned: bool  # 0 <= value < 2**64

    def takes(self, value: object) -> bool:
        """Tell whether the field can hold the value. An enum's field takes its words as well."""
        return self.optional if value is None else _TAKES[self.form](value)

    @property
    def form(self) -> str:
        """What its values are: "text", "int", "crc", "bool" or "bytes"."""
        if self.unsigned:
            return "crc"
        return "text" if issubclass(self.type, str) else self.type.__name__


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


_TAKES: dict[str, Callable[[object], bool]] = {
    "text": _is_text,
    "int": lambda value: type(value) is int and -(2**63) <= value < 2**63,
    "crc": lambda value: type(value) is int and 0 <= value < 2**64,
    "bool": lambda value: type(value) is bool,
    "bytes": lambda value: type(value) is bytes,
}


def _fields(kind: type[Row]) -> Mapping[str, Field]:
    hints = get_type_hints(kind)
    found = {}
    for name in (field.name for field in fields(kind)):
        types = get_args(hints[name]) or (hints[name],)
        (one,) = (type_ for type_ in types if type_ is not NoneType)
        found[name] = Field(one, NoneType in types, name == "crc")
    return MappingProxyType(found)


FIELDS: Mapping[type[Row], Mapping[str, Field]] = MappingProxyType(
    {kind: _fields(kind) for kind in KINDS}
)
_WORDS: Mapping[type[Row], Mapping[str, type[StrEnum]]] = {
    kind: {name: field.type for name, field in known.items() if issubclass(field.type, StrEnum)}
    for kind, known in FIELDS.items()
}
_CHECKS = {
    kind: [(name, field.optional, _TAKES[field.form]) for name, field in known.items()]
    for kind, known in FIELDS.items()
}


_KEY_CHECKS = {
    kind: [(name, _TAKES[FIELDS[kind][name].form]) for name in kind.KEY] for kind in KINDS
}


def check_changes(changes: Sequence[Change]) -> None:
    """Raise LedgerError unless a ledger can do changes of this form."""
    for change in changes:
        if isinstance(change, (Add, Update)):
            _check_row(change.row)
        elif isinstance(change, Expect):
            _check_keys(change.kind, change.keys)
        else:
            check_key(change.kind, change.key)
            if change.version is not None:
                _check_value(change.kind, "version", change.version)


def check_key(kind: type[Row], key: Key) -> None:
    """Raise LedgerError unless `key` has the form of this kind's keys."""
    _check_keys(kind, (key,))


def _check_keys(kind: type[Row], keys: Sequence[Key]) -> None:
    known(kind)
    checks = _KEY_CHECKS[kind]
    for key in keys:
        if len(key) != len(checks):
            raise LedgerError(
                f"{key!r} is no key of {_a(kind)}.",
                why=f"A key has the fields {', '.join(kind.KEY)}.",
                todo=_TODO,
            )
        for (name, takes), value in zip(checks, key, strict=True):
            if not takes(value):
                raise _unfit(kind, name, value)


def check_query(kind: type[Row], query: Query) -> None:
    """Raise LedgerError unless `query` asks for what this kind has."""
    fields_ = known(kind)
    for name, wanted in query.where.items():
        for value in wanted if isinstance(wanted, tuple) else (wanted,):
            if value is not None or name not in fields_:
                _check_value(kind, name, value)
    if query.prefix is not None:
        _check_form(kind, query.prefix[0], "text")
        _check_value(kind, *query.prefix)
    if query.below is not None:
        _check_form(kind, query.below[0], "int")
        _check_value(kind, *query.below)
    if query.after is not None:
        check_key(kind, query.after)
    if not 0 <= query.limit < 2**63:
        raise LedgerError("A limit is 0 or more.", why=f"It was {query.limit}.", todo=_TODO)


def known(kind: type[Row]) -> Mapping[str, Field]:
    """Return the fields of a kind. Raises LedgerError for what no ledger keeps."""
    try:
        return FIELDS[kind]
    except KeyError:
        raise LedgerError(f"A ledger keeps no {kind.__name__}.", todo=_TODO) from None


def stale(kind: type[Row], key: Key) -> Stale:
    """Word that a row is not there in the version that was expected."""
    return Stale(
        f"The {_called(kind)} {_shown(key)} has moved since it was read.",
        why="Somebody else changed or removed it.",
        todo="Read it again and decide again.",
    )


def lost() -> Stale:
    """Word that a transaction lost against another one."""
    return Stale(
        "Another commit on the same rows came first.", todo="Read them again and decide again."
    )


def duplicate(kind: type[Row], key: Key) -> Duplicate:
    """Word that a row with this key exists."""
    return Duplicate(
        f"There is {_a(kind)} {_shown(key)} already.",
        todo="Read it, or take another key.",
    )


def closed() -> LedgerError:
    """Word that nothing more can be asked of a ledger."""
    return LedgerError("The ledger is closed.", todo="Open it again.")


def _check_row(row: Row) -> None:
    known(type(row))
    words = _WORDS[type(row)]
    for name, optional, takes in _CHECKS[type(row)]:
        value = getattr(row, name)
        if value is None and optional:
            continue
        if not takes(value) or (name in words and not isinstance(value, words[name])):
            raise _unfit(type(row), name, value)


def _check_value(kind: type[Row], name: str, value: Value) -> None:
    field = known(kind).get(name)
    if field is None:
        raise LedgerError(f"{_a(kind).capitalize()} has no field {name!r}.", todo=_TODO)
    if not field.takes(value):
        raise _unfit(kind, name, value)


def _check_form(kind: type[Row], name: str, form: str) -> None:
    field = known(kind).get(name)
    if field is not None and field.form != form:
        raise LedgerError(f"The field {name!r} of {_a(kind)} is no {form}.", todo=_TODO)


def _unfit(kind: type[Row], name: str, value: object) -> LedgerError:
    return LedgerError(
        f"The field {name!r} of {_a(kind)} cannot hold {value!r:.80}.",
        why="It is of another type, too large a number, or text that no database keeps.",
        todo=_TODO,
    )


def _called(kind: type[Row]) -> str:
    return kind.__name__.lower()


def _a(kind: type[Row]) -> str:
    called = _called(kind)
    return f"{'an' if called[0] in 'aeiou' else 'a'} {called}"


def _shown(key: Key) -> str:
    return " ".join(str(part) for part in key)

"""What the arguments of a client may be.

Rules: what could only hang or do nothing is refused when the client is made; None says nothing.
"""

from __future__ import annotations

from towpath.errors import SettingsError


def insist_on(least: int, **said: object) -> None:
    """Raise SettingsError for a number that is less than `least`."""
    for name, value in said.items():
        if isinstance(value, (int, float)) and not value >= least:  # so NaN is refused
            raise _cannot_be(name, value, f"{least} or more")


def insist_on_time(**said: float | None) -> None:
    """Raise SettingsError for seconds that are no time at all."""
    for name, value in said.items():
        if value is not None and not value > 0:
            raise _cannot_be(name, value, "more than 0 seconds")


def _cannot_be(name: str, value: float, wanted: str) -> SettingsError:
    return SettingsError(
        f"{name} cannot be {value!r}.", why=f"It must be {wanted}.", todo="Correct the argument."
    )

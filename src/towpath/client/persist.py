"""One thing that is tried until it works."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from towpath.client.control import Control
from towpath.client.progress import Meter
from towpath.client.retry import Patience
from towpath.errors import TowpathError

T = TypeVar("T")


def persist(act: Callable[[], T], patience: Patience, control: Control, meter: Meter) -> T:
    """What `act` returns, once it does. Raises its error when patience ends, and Stopped."""
    while True:
        try:
            found = act()
        except TowpathError as error:
            wait = patience.after(error)
            meter.retry()
            control.sleep(wait)
        else:
            patience.progress()
            return found

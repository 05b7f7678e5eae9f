"""What readers get, put together from the settings."""

from __future__ import annotations

from collections.abc import Mapping

from towpath.engine.engine import Engine
from towpath.engine.shelf import Shelf
from towpath.settings import Settings
from towpath.web.downloads import Downloads
from towpath.web.links import Links


def reading(
    engine: Engine, shelf: Shelf, link_keys: Mapping[str, bytes], settings: Settings
) -> tuple[Links, Downloads]:
    """What makes and judges links, and what answers to those who read."""
    links = Links(engine, shelf, link_keys, most_seconds=int(settings.link_lifetime))
    downloads = Downloads(
        engine,
        shelf,
        links,
        follow=settings.follow,
        patience=settings.idle_seconds,
        cache_seconds=int(settings.cache_seconds),
        cache_shared=settings.cache_shared,
    )
    return links, downloads

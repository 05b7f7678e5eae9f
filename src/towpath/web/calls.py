"""Other servers and objects that are asked and told, as the settings want it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from towpath.core.ports import Clock, Hooks, Notes
from towpath.engine.hooks import Callables, Several
from towpath.engine.outbox import Work
from towpath.engine.silence import CONSENT, NOTHING
from towpath.errors import Malformed, SettingsError
from towpath.protocol.hooks import ASKS
from towpath.protocol.signing import read_secrets
from towpath.settings import Settings
from towpath.web.courier import Courier, check_address
from towpath.web.hooks import HttpHooks
from towpath.web.webhooks import EVENTS, KIND, Webhooks


@dataclass(frozen=True)
class Calls:
    """Other servers and objects that are asked and told."""

    hooks: Hooks = CONSENT
    notes: Notes = NOTHING
    work: Mapping[str, Work] = field(default_factory=dict)  # by kind of outbox row


def calls_of(settings: Settings, clock: Clock, hooks: object | None = None) -> Calls:
    """What settings and whoever embeds us want asked and told. Raises SettingsError."""
    asked: list[Hooks] = []
    secrets = _secrets(settings)
    courier = Courier(seconds=settings.call_seconds, public_only=settings.call_public_only)
    if settings.hook:
        check_address(settings.hook, "hook")
        asked.append(
            HttpHooks(
                settings.hook,
                _among(settings.hook_asks, ASKS, "hook_asks"),
                secrets,
                courier,
                clock,
                fail_open=settings.hook_fail_open,
            )
        )
    if hooks is not None:
        asked.append(Callables(hooks))
    told = _among(settings.webhook_events, EVENTS, "webhook_events")
    urls = [check_address(url, "webhooks") for url in settings.webhooks]
    webhooks = Webhooks(urls, told, secrets, courier, clock)
    return Calls(
        hooks=Several(*asked) if asked else CONSENT,
        notes=webhooks,
        # without addresses, too: rows of earlier ones end
        work={KIND: webhooks.deliver},
    )


def _secrets(settings: Settings) -> tuple[bytes, ...]:
    """What signs webhooks and hooks. Raises SettingsError."""
    if not settings.webhooks and not settings.hook:
        return ()
    if settings.signing_secrets is None:
        raise SettingsError(
            "Webhooks and hooks need a secret.",
            why="What is told and asked is signed, so that others cannot forge it.",
            todo='Make one, echo "whsec_$(openssl rand -base64 32)" > FILE, '
            "and name the file in signing_secrets.",
        )
    try:
        return read_secrets(settings.signing_secrets.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, Malformed) as error:
        raise SettingsError(
            f"The secrets in {settings.signing_secrets} cannot be read.",
            why=f"{str(error).rstrip('.')}.",
            todo="Write one whsec_ secret a line.",
        ) from error


def _among(said: tuple[str, ...], known: tuple[str, ...], setting: str) -> tuple[str, ...]:
    """What was said, if all of it is known. Raises SettingsError."""
    for word in said:
        if word not in known:
            raise SettingsError(
                f"{setting} cannot have “{word}”.",
                why=f"It has some of {', '.join(known)}.",
                todo="Correct it.",
            )
    return said

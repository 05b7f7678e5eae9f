"""Towpath beside a Django application, with Django's users and sessions.

    python main.py 9000     then: sign in, and upload by tus to http://127.0.0.1:9000/in/files/

Django has no mounts of ASGI applications and no lifespan, so a few lines here share the requests
out. A real project has settings, urls and views in files of their own; here they are in one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import django
import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.http import HttpRequest, JsonResponse
from django.urls import path

from towpath.asgi import Caller, Object, Scope, Settings, app

DATA = Path(os.environ.get("DATA", "towpath-data"))
DATA.mkdir(parents=True, exist_ok=True)
ALL = frozenset({Scope.WRITE, Scope.READ, Scope.LIST, Scope.REMOVE})
PLACE = "/in"

settings.configure(
    SECRET_KEY=os.environ.get("SECRET_KEY", "for this example only"),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "django.db"}},
)
django.setup()

from django.contrib.auth import authenticate, get_user_model, login  # noqa: E402  # after setup
from django.contrib.auth import get_user as user_of  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402

arrived: list[dict[str, Any]] = []


def sign_in(request: HttpRequest) -> JsonResponse:
    """Django's sign-in, as a project has it."""
    user = authenticate(request, username=request.GET["name"], password=request.GET["word"])
    if user is None:
        return JsonResponse({"signed_in": False}, status=403)
    login(request, user)
    return JsonResponse({"signed_in": True})


def list_arrived(_request: HttpRequest) -> JsonResponse:
    """What has arrived since the start."""
    return JsonResponse(arrived, safe=False)


urlpatterns = [path("sign-in", sign_in), path("arrived", list_arrived)]


def who(scope: Mapping[str, Any]) -> Caller | None:
    """The user of Django's session. It asks the database, so it is not async: a thread runs it."""
    cookies = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
    request = HttpRequest()
    request.COOKIES = dict(
        pair.strip().partition("=")[::2] for pair in cookies.split(";") if "=" in pair
    )
    request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = user_of(request)
    if not user.is_authenticated:
        return None
    return Caller(tenant="ours", subject=user.get_username(), scopes=ALL)


def done(made: Object) -> None:
    """Called at least once for each complete upload, in a thread."""
    arrived.append({"id": made.id, "owner": made.owner, "bytes": made.length})


towpath = app(Settings(data=DATA), authorize=who, on_complete=done)
pages = get_asgi_application()

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """What lies below PLACE is Towpath's, the rest Django's; the lifespan is Towpath's alone."""
    if scope["type"] == "lifespan":
        await towpath(scope, receive, send)
    elif scope["path"].startswith(PLACE + "/"):
        await towpath({**scope, "root_path": scope.get("root_path", "") + PLACE}, receive, send)
    else:
        await pages(scope, receive, send)


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    users = get_user_model().objects
    for name in ("ann", "bob"):
        if not users.filter(username=name).exists():
            users.create_user(name, password=f"word of {name}")
    uvicorn.run(application, port=int(sys.argv[1]), http="httptools", access_log=False)

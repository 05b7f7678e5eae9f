"""Folders of names: pages of what lies in one, and forms whose file goes there.

Rules: a form says where its file goes before the file comes; a folder is listed as JSON, or as HTML
to who wants that or does not say what it wants; who cannot ask for a next page gets no half one.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from towpath.core.command import Create, NewUpload
from towpath.core.model import OnConflict
from towpath.core.names import check_name
from towpath.core.transfer import Write
from towpath.errors import Malformed
from towpath.protocol.fields import write_name
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem
from towpath.protocol.values import size, text, write_json, write_time

NAME = "names"
FILE = "file"
"""The part of the form that is a file even without a file name."""

PLACES = ("name", "on_conflict")
"""Fields of a form that say where its file goes."""

MOST_LISTED = 1000
"""Entries of one page."""

MOST_SHOWN = 10_000
"""Entries of one page of HTML."""

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 0 auto; padding: 2rem 1.25rem; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
ul { list-style: none; padding: 0; } li { padding: .25rem 0; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An entry of a folder. A folder below it has a label alone, which ends with a slash."""

    label: str
    id: str | None = None
    length: int | None = None
    media_type: str | None = None
    tag: str | None = None
    updated_at: int | None = None

    def as_json(self) -> dict[str, object]:
        """For programs."""
        if self.id is None:
            return {"name": self.label, "kind": "folder"}
        return {
            "name": self.label,
            "kind": "object",
            "id": self.id,
            "length": self.length,
            "media_type": self.media_type,
            "etag": self.tag,
            "updated_at": write_time(self.updated_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A page of a folder."""

    after: str | None = None
    limit: int = MOST_LISTED
    as_html: bool = False
    whole: bool = False  # it must not be cut: who asks will not ask for more


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A page of a folder, as it was answered. `next`: where the rest begins; None: it was all."""

    folder: str
    entries: tuple[Shown, ...]
    next: str | None


def parse_form(
    folder: str, fields: Mapping[str, str], filename: str | None, media_type: str | None
) -> Create:
    """Where the file of a form goes; how long it is will be seen. Raises Malformed."""
    last = text(fields, "name") or filename
    if not last:
        raise Malformed(
            "The file has no name.",
            field="name",
            why="Neither a field before the file nor its part of the form says one.",
            todo="Put a field called name before the file.",
        )
    word = text(fields, "on_conflict") or OnConflict.KEEP_BOTH.value
    if word not in list(OnConflict):
        raise Malformed(
            "on_conflict cannot be read.",
            field="on_conflict",
            why=f"It is none of {', '.join(OnConflict)}.",
            todo="Leave it out, or send one of these.",
        )
    rest = {name: value for name, value in fields.items() if name not in PLACES}
    new = NewUpload(
        length=None,
        name=check_name(folder + last, longest=4096),
        on_conflict=OnConflict(word),
        media_type=media_type,
        metadata=json.dumps(rest) if rest else "",
        dialect=NAME,
    )
    return Create(new=new, write=Write(offset=0, length=None))


def check_behind(fields: Iterable[str]) -> None:
    """Raises Malformed if a field behind the file says where the file should have gone."""
    for name in PLACES:
        if name in fields:
            raise Malformed(
                f"{name} comes too late.",
                field=name,
                why="It stands behind the file, whose bytes have gone where they were to go.",
                todo="Put it before the file in the form.",
            )


def render_form(head: Head, path: str, made: Shown) -> Reply:
    """The answer to a form: the folder again for a browser, else the object."""
    where = f"{head.base}/{write_name(path)}"
    if prefers_html(head):
        folder = f"{head.base}{quote(head.path, safe='/')}"
        return Reply(status=303, fields=(("location", folder), ("content-length", "0")))
    fields = (("location", where), *((("etag", made.tag),) if made.tag else ()))
    return write_json({"path": path, **made.as_json(), "href": where}, status=201, fields=fields)


def parse_look(head: Head, query: Mapping[str, object]) -> Look:
    """What page of a folder is asked for. Raises Malformed."""
    as_html = "accept" not in head.fields or prefers_html(head)
    most = MOST_SHOWN if as_html else MOST_LISTED
    limit, after = size(query, "limit"), text(query, "after", most=4096)
    if limit is not None and not 0 < limit <= most:
        raise Malformed(
            "limit cannot be read.",
            field="limit",
            why=f"It is not from 1 to {most}.",
            todo="Ask for fewer entries at once.",
        )
    return Look(
        after=after,
        limit=limit or most,
        as_html=as_html,
        whole="accept" not in head.fields and not query,
    )


def prefers_html(head: Head) -> bool:
    """True if the request names HTML and does not name JSON before it."""
    kinds = [
        each.partition(";")[0].strip().lower() for each in head.fields.get("accept", "").split(",")
    ]
    html_at = kinds.index("text/html") if "text/html" in kinds else None
    json_at = kinds.index("application/json") if "application/json" in kinds else len(kinds)
    return html_at is not None and html_at < json_at


def render_folder(look: Look, listed: Listed, *, writes: bool) -> Reply:
    """The page. `writes`: the caller may upload here."""
    if look.whole and listed.next is not None:
        return problem(
            400,
            "The folder has more entries than one page.",
            why=f"It has more than {look.limit}, and the request does not ask for pages.",
            todo="Ask with ?limit= and go on with ?after=, or put fewer files into one folder.",
            code="too-many",
        )
    if not look.as_html:
        entries = [each.as_json() for each in listed.entries]
        return write_json({"folder": listed.folder, "entries": entries, "next": listed.next})
    return Reply(
        status=200,
        fields=(
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", _POLICY),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ),
        body=_page(listed, writes=writes).encode(),
    )


def _page(listed: Listed, *, writes: bool) -> str:
    title = html.escape(f"/{listed.folder}")
    rows = "".join(_row(each) for each in listed.entries)
    more = ""
    if listed.next is not None:
        more = f'<p><a href="?after={quote(listed.next, safe="")}">More</a></p>'
    form = (
        '<form method="post" enctype="multipart/form-data"><input type="file" name="file" required>'
        " <button>Upload</button></form>"
    )
    up = '<li><a href="../">..</a></li>' if listed.folder else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title}</h1><ul>{up}{rows}</ul>{more}{form if writes else ''}</html>\n"
    )


def _row(entry: Shown) -> str:
    slash = "/" if entry.id is None else ""
    href = quote(entry.label.removesuffix("/"), safe="") + slash
    told = "" if entry.length is None else f" {entry.length} bytes"
    return f'<li><a href="{href}">{html.escape(entry.label)}</a>{told}</li>'

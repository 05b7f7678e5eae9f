"""Which names take part: patterns that say what is in and what is out.

Rules: a name is taken if a pattern of `include` fits it, or there are none, and no pattern of
`exclude` does. A pattern without a slash is held against every segment of a name, one with a slash
against the name from its beginning; what fits a folder fits all below it. `*` and `?` stand for
anything but a slash, `[abc]` for one of these, `**` for any number of folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


class Choice:
    """Says of a name whether it takes part."""

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        """Raises ValueError for a pattern that cannot be read."""
        self._include = [_pattern(text) for text in include]
        self._exclude = [_pattern(text) for text in exclude]

    def takes(self, name: str) -> bool:
        """Whether a file of that name takes part."""
        wanted = not self._include or any(each.match(name) for each in self._include)
        return wanted and self.enters(name)

    def enters(self, folder: str) -> bool:
        """Whether anything below the folder may take part."""
        return not any(each.match(folder) for each in self._exclude)


def _pattern(text: str) -> re.Pattern[str]:
    segments = text.strip("/").split("/")
    if "" in segments:
        raise ValueError(f"{text!r} has an empty segment")
    anywhere = "" if text.startswith("/") or len(segments) > 1 else "(?:.*/)?"
    body = "".join(
        "(?:[^/]+/)*" if segment == "**" else _segment(segment) + "/" for segment in segments[:-1]
    )
    last = ".*" if segments[-1] == "**" else _segment(segments[-1])
    try:
        return re.compile(rf"{anywhere}{body}{last}(?:/.*)?\Z", re.DOTALL)
    except re.error as error:
        raise ValueError(f"{text!r}: {error}") from error


def _segment(text: str) -> str:
    found, at = [], 0
    while at < len(text):
        letter, at = text[at], at + 1
        if letter == "*":
            found.append("[^/]*")
        elif letter == "?":
            found.append("[^/]")
        elif letter == "[" and (end := text.find("]", at + 1)) > 0:
            inside, at = text[at:end], end + 1
            negated = inside[:1] in ("!", "^")
            inside = re.sub(r"([\\\[\]&~|^])", r"\\\1", inside[1:] if negated else inside)
            found.append(f"[{'^/' if negated else ''}{inside}]")
        else:
            found.append(re.escape(letter))
    return "".join(found)

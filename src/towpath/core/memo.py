"""What dialects keep with an upload, each for itself, in the one text that the upload has for it.

Rules: the first line belongs to the dialect that created the upload, each further one to the
dialect whose name stands before it; no dialect reads another's; a text has no line break.
"""

from __future__ import annotations

from dataclasses import replace

from towpath.core.model import Upload


def recall(upload: Upload, dialect: str) -> str:
    """What the dialect keeps with the upload; "" if nothing."""
    own, *others = upload.memo.split("\n")
    if upload.dialect == dialect:
        return own
    lines = (line.partition(" ") for line in others)
    return next((text for name, _, text in lines if name == dialect), "")


def memorize(upload: Upload, dialect: str, text: str) -> Upload:
    """The upload with what the dialect keeps with it from now on."""
    own, *others = upload.memo.split("\n")
    if upload.dialect == dialect:
        return replace(upload, memo="\n".join([text, *others]))
    kept = [line for line in others if line.partition(" ")[0] != dialect]
    return replace(upload, memo="\n".join([own, *kept, f"{dialect} {text}"]))

"""Which fields behind a body are waited for."""

from __future__ import annotations

import pytest

from towpath.errors import Malformed
from towpath.protocol.message import Head
from towpath.protocol.trailers import announced

CHUNKED = {"transfer-encoding": "chunked"}


def head(fields: dict[str, str], *, trailers: bool = True) -> Head:
    return Head(method="PATCH", path="/a", fields=fields, trailers=trailers)


@pytest.mark.parametrize(
    "text", ["Upload-Checksum", "upload-checksum", " Expires , UPLOAD-CHECKSUM,"]
)
def test_a_field_is_waited_for_if_the_head_says_so(text: str) -> None:
    assert announced(head({"trailer": text, **CHUNKED}), "upload-checksum") == {"upload-checksum"}


@pytest.mark.parametrize("text", ["", "Expires", "Upload-Checksum-2", "X Upload-Checksum"])
def test_no_other_field_is_waited_for(text: str) -> None:
    for able in (True, False):
        asked = head({"trailer": text, **CHUNKED}, trailers=able)
        assert announced(asked, "upload-checksum") == frozenset()


@pytest.mark.parametrize(
    "asked",
    [
        head({"trailer": "upload-checksum", **CHUNKED}, trailers=False),
        head({"trailer": "upload-checksum"}),
        head({"trailer": "upload-checksum", **CHUNKED, "upload-checksum": "sha1 x"}),
    ],
    ids=["server", "length", "twice"],
)
def test_a_field_that_cannot_come_is_refused(asked: Head) -> None:
    with pytest.raises(Malformed) as caught:
        announced(asked, "upload-checksum")
    assert caught.value.field == "Trailer"
    assert caught.value.why
    assert caught.value.todo

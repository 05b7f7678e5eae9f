"""A refusal reaches a client that is still sending what nobody will read."""

from __future__ import annotations

import pytest

from tests.web.running import House, Served
from tests.web.talk import CHUNK, Fields, Line, Tus

LENGTH = 7 * 1024 * 1024


@pytest.mark.parametrize("kind", ["direct", "plain", "tls"])  # Granian closes when it likes
def test_who_sends_all_of_a_body_before_it_reads_is_not_torn_down(house: House, kind: str) -> None:
    """A close on what still comes makes the kernel send RST: then sending fails, and no answer."""
    served = house.get(kind)
    path = Tus(served).new(50_000_000)
    for _ in range(5):
        line = Line(served)
        line.send_head("PATCH", path, {**CHUNK, "Upload-Offset": 7, "Content-Length": LENGTH})
        for _ in range(LENGTH // 65536):
            line.socket.sendall(bytes(65536))
        answer = line.answer()
        assert answer.status == 409
        assert answer.number("upload-offset") == 0
        line.close()


def test_who_waits_for_our_word_is_refused_without_it(served: Served) -> None:
    path = Tus(served).new(10)
    line = Line(served)
    waits: Fields = {"Upload-Offset": 5, "Content-Length": 3, "Expect": "100-continue"}
    line.send_head("PATCH", path, {**CHUNK, **waits})
    answer = line.answer()
    assert (answer.status, answer.interim) == (409, ())
    line.close()

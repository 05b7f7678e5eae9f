"""Writes vectors.json: coded files and records, with all that is needed to read them.

Rules: what is written once stays; a new version of the format gets new vectors beside the old ones.
Sealed bytes have a random salt, so that a second run writes others, which are as good.

    python -m tests.codec.vectors
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.codec.sample import FILE, KEY, TEXT, Sample
from towpath.codec.keys import Identity, KeyFile, Passphrase
from towpath.codec.record import KeyRecord

PATH = Path(__file__).with_name("vectors.json")
PLAIN = {
    "empty": [],
    "one byte": [b"x"],
    "three chunks": [b"first " * 20, bytes(range(64)), TEXT[:1000]],
}
IDENTITY, KEY_FILE = Identity(bytes(range(64, 96))), KeyFile(bytes(range(32, 64)))
WORDS = "correct horse battery staple"


def main() -> None:
    """Write the file."""
    files = [
        {
            "name": f"{name}{', sealed' if sealed else ''}{', compressed' if packs else ''}",
            "sealed": sealed,
            "compressed": packs,
            "file_id": FILE.hex(),
            "file_key": KEY.hex() if sealed else None,
            "plain": [cut.hex() for cut in cuts],
            "stored": Sample(cuts, sealed, packs).stored.hex(),
        }
        for name, cuts in PLAIN.items()
        for sealed in (False, True)
        for packs in (False, True)
    ]
    locks = (KEY_FILE, Passphrase(WORDS, work=12), IDENTITY.recipient)
    record = KeyRecord(file_id=FILE).added(KEY, locks)
    found = {
        "format": 1,
        "files": files,
        "record": {
            "file_key": KEY.hex(),
            "key_file": KEY_FILE.text(),
            "passphrase": WORDS,
            "identity": IDENTITY.text(),
            "recipient": IDENTITY.recipient.text(),
            "stored": record.render().decode(),
        },
    }
    PATH.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

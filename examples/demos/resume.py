"""Kill an upload half way, and go on with it in another process. In process, always.

python resume.py --size 200
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sample import MB, Watch, arguments, check, place, sample

from towpath.uds3 import StreamingManager, format_bytes

CHUNK = 1 * MB


def child(folder: Path, half: int) -> None:
    """What the process that is killed does: upload, and stop in the middle."""

    def told(progress: Any) -> None:  # noqa: ANN401 - a number with the progress in it
        print(json.dumps([progress.operation_id, progress.transferred_bytes]), flush=True)
        if progress.transferred_bytes >= half:
            time.sleep(60)

    carrier = StreamingManager(data=folder / "data", chunk_size=CHUNK)
    carrier.upload_file(folder / "large.bin", "documents/large.bin", told)
    time.sleep(60)


def main() -> None:
    """The one that kills, and goes on."""
    found = arguments(__doc__, 200, child={"default": "", "help": "for the demo itself"})
    if found.child:
        child(Path(found.child), found.size // 2)
        return
    with place() as folder:
        sample(folder / "large.bin", found.size)
        words = [sys.executable, __file__, "--size", str(found.size / MB), "--child", str(folder)]
        key, acknowledged = "", 0
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this file
            assert process.stdout is not None  # noqa: S101
            for line in process.stdout:
                key, acknowledged = json.loads(line)
                if acknowledged >= found.size // 2:
                    break
            process.send_signal(signal.SIGKILL)
        print(f"killed after {format_bytes(acknowledged)} of {format_bytes(found.size)}")

        with StreamingManager(data=folder / "data", chunk_size=CHUNK) as carrier:
            first: list[float] = []
            began = time.perf_counter()

            def tell(_percent: float) -> None:
                first.append(time.perf_counter() - began)

            result = carrier.resume_upload(
                operation_id=key,
                file_path=folder / "large.bin",
                destination="documents/large.bin",
                progress_callback=tell,
            )
            check(good=bool(result), what=f"it went on ({result['error']})")
            print(f"resumed from chunk {result['resumed_from_chunk']} of {result['chunks_total']}")
            print(f"first news after {first[0]:.3f} s")
            again = max(0, acknowledged - result["resumed_from_bytes"])
            print(f"acknowledged bytes that were sent again: {again}")
            with Watch() as watch:
                good = carrier.verify_upload(key)
            check(good=good, what=f"what is stored is what was sent ({watch.seconds:.2f} s)")


if __name__ == "__main__":
    main()

"""How to upload for good: what to set, what to catch, what to check, when to clean up.

python best_practices.py --size 50
"""

from __future__ import annotations

import sys

from sample import arguments, check, manager, place, sample

from towpath.codec.keys import KeyFile
from towpath.errors import TowpathError
from towpath.uds3 import SagaRollbackRequired, calculate_chunk_size, format_bytes


def main() -> None:
    """The same steps as in docs/guide/best-practices.md."""
    size = arguments(__doc__, 50).size
    with place() as folder:
        source = sample(folder / "contract.pdf", size)

        # 1. Make one manager for the whole program, and let it end by a `with`.
        # 2. Take the chunk size from the file's, not from a guess.
        chunk = calculate_chunk_size(size)
        print(f"1-2. chunks of {format_bytes(chunk)} for {format_bytes(size)}")
        with manager(folder, chunk_size=chunk, max_retries=5, retry_delay_seconds=1) as carrier:
            # 3. Keep the id at once: it is what you resume by.
            key = carrier.upload_file(source, "contracts/2024/", metadata={"customer": "4711"})
            print(f"3. operation {key}")

            # 4. Wait for it, and tell "it was undone" from "it never began".
            try:
                carrier.wait_for_operations([key])
            except SagaRollbackRequired as error:
                sys.exit(f"{error.message} {error.reason} (tried {error.retry_count} times again)")
            except TowpathError as error:
                sys.exit(str(error))
            print("4. it is complete")

            # 5. Prove it before you delete the original.
            check(good=carrier.verify_upload(key), what="5. what is stored is what was sent")

            # 6. A name is replaced in one step: readers see the old file or the new one.
            carrier.wait_for_operations([carrier.upload_file(source, "contracts/2024/")])
            print("6. the same name again")

            # 7. A mistake is refused before a byte moves, and says what to do.
            try:
                carrier.upload_file(source, "nostore://bucket/contract.pdf")
            except TowpathError as error:
                print(f"7. refused: {error}")

            # 8. Clean up from time to time; documents stay.
            forgotten = carrier.cleanup_old_operations(retention_days=7)
            done = carrier.cleanup_completed_operations()
            print(f"8. forgotten: {forgotten} old operations, {done} complete ones")
            carrier.wait_for_operations(
                [carrier.download_file("contracts/2024/contract.pdf", folder / "copy")]
            )
            check(good=(folder / "copy").stat().st_size == size, what="the document is there")

        # 9. Encrypt what is secret before it leaves, and keep the key where it is not lost.
        with manager(folder, encryption_key=KeyFile.new().text()) as carrier:
            key = carrier.upload_file(source, "secret/", encrypt=True)
            check(
                good=carrier.verify_upload(key), what="9. it was encrypted, and can be read again"
            )


if __name__ == "__main__":
    main()

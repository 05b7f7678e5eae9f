"""Fuzzes the readers of what strangers send, guided by coverage.

    make fuzz ARGS=-max_total_time=3600

Words are libFuzzer's. Inputs that reach new code are kept in build/corpus and used again; one that
breaks a reader is written to build/ and shown, and the run ends with another exit code than 0.
"""

import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "tests" / "fuzz" / "corpus"
KEPT = ROOT / "build" / "corpus"
WORDS = ROOT / "tests" / "fuzz" / "words.dict"


def main() -> None:
    """Run until told to stop."""
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    with atheris.instrument_imports(include=["towpath"]):
        from tests.fuzz.targets import every  # noqa: PLC0415  # it is imported to be watched
    KEPT.mkdir(parents=True, exist_ok=True)
    told = [f"-dict={WORDS}", f"-artifact_prefix={ROOT / 'build'}/", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *told, *sys.argv[1:], str(KEPT), str(SEEDS)], every)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

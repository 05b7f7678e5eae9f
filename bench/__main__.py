"""Runs measurements by name: `python -m bench NAME [its flags]`; without a name it lists them.

A measurement is a module of this folder with `main(arguments) -> int`. It prints its numbers with
the command that makes them again, the machine and the date; the first line of the module says what
it measures.
"""

import ast
import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def listed() -> dict[str, str]:
    """Map each measurement to the first line of its docstring."""
    return {
        path.stem: (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
        for path in sorted(FOLDER.glob("[a-z]*.py"))
    }


def main(arguments: list[str]) -> int:
    """Run the measurement that is named first."""
    known = listed()
    if not arguments or arguments[0] not in known:
        for name, says in known.items():
            print(f"  {name:16} {says}")
        return 0 if not arguments else 2
    measurement = importlib.import_module(f"bench.{arguments[0]}")
    code: int = measurement.main(arguments[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs measurements by name: `python -m bench NAME [its flags]`; without a name, the comparison.

A measurement is a module of this folder with `main(arguments) -> int`. It prints its numbers with
the command that makes them again, the machine and the date; the first line of the module says what
it measures. `python -m bench list` lists them.
"""

import ast
import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
COMPARISON = "compare"


def listed() -> dict[str, str]:
    """Map each measurement to the first line of its docstring."""
    modules = {path.stem: ast.parse(path.read_text()) for path in sorted(FOLDER.glob("[a-z]*.py"))}
    return {
        name: (ast.get_docstring(module) or "").partition("\n")[0]
        for name, module in modules.items()
        if any(isinstance(node, ast.FunctionDef) and is_main(node) for node in module.body)
    }


def is_main(function: ast.FunctionDef) -> bool:
    """Tell a measurement's entry from that of a process which a measurement starts."""
    return function.name == "main" and bool(function.args.args)


def main(arguments: list[str]) -> int:
    """Run the measurement that is named first, or the comparison."""
    if not arguments or arguments[0].startswith("-"):
        arguments = [COMPARISON, *arguments]
    known = listed()
    if arguments[0] not in known:
        for name, says in known.items():
            print(f"  {name:16} {says}")
        return 0 if arguments[0] == "list" else 2
    measurement = importlib.import_module(f"bench.{arguments[0]}")
    code: int = measurement.main(arguments[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

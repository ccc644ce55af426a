"""Where the process begins: nothing is imported before an interrupt would be met with one line."""

import gc
import sys

_NEW_OBJECTS = 20_000
"""between two looks for garbage: imports make none, and looking for it took a tenth of them"""


def main() -> None:
    """The process: runs the command line given and exits with its code."""
    gc.set_threshold(_NEW_OBJECTS)
    try:
        from intelforge.interfaces.cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        if "--json" in sys.argv:
            sys.stdout.write('{"error": {"code": "interrupted", "message": "interrupted", "hint": ""}}\n')
        else:
            sys.stderr.write("error: interrupted\n")
        code = 130
    sys.exit(code)

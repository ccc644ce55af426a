"""Where the process begins: nothing is imported before an interrupt would be met with one line."""

import sys


def main() -> None:
    """The process: runs the command line given and exits with its code."""
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

"""How a command that failed ends: one line, or one JSON document, and an exit code."""

import errno
import json
import sys
import traceback
from collections.abc import Sequence

from typer import TyperException

from intelforge.core.errors import ErrorCode, IntelForgeError, InvalidInputError
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.schema import ErrorDetail, ErrorOutput, plain


def report_error(error: BaseException, arguments: Sequence[str]) -> int:
    """Prints the error as the arguments ask for and gives the exit code."""
    asked = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--debug" in asked:
        traceback.print_exception(error, file=sys.stderr)
    known = as_known(error)
    if "--json" in asked:
        _print_json(known)
    else:
        hint = f"; {one_line(known.hint)}" if known.hint else ""
        sys.stderr.write(f"error: {one_line(known.message)}{hint}\n")
    return known.exit_code


def as_known(error: BaseException) -> IntelForgeError:
    """Any error as one of ours: a mistake in the command line, or something unexpected."""
    if isinstance(error, IntelForgeError):
        return error
    if isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        hint = f"see: {context.command_path} --help" if context is not None else ""
        said = error.format_message().rstrip(".").replace(": Value error, ", ": ")  # the framework's own words
        return InvalidInputError(said, hint=hint)
    if isinstance(error, KeyboardInterrupt):
        return IntelForgeError("interrupted", code=ErrorCode.INTERRUPTED)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return IntelForgeError("the disk is full", hint="free some space and run again", code=ErrorCode.DISK_FULL)
    return IntelForgeError(f"unexpected {type(error).__name__}: {error}", hint="run again with --debug")


def _print_json(error: IntelForgeError) -> None:
    detail = ErrorDetail(code=error.error_code.value, message=error.message, hint=error.hint)
    sys.stdout.write(json.dumps(plain(ErrorOutput(error=detail))) + "\n")

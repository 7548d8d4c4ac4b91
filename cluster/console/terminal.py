"""The edge of every command line: our errors become one line and an exit code, never a traceback."""

import sys
from typing import TYPE_CHECKING

from cluster import logs
from cluster.errors import BadRequest, ClusterError, HeliostatError, SettingsError

if TYPE_CHECKING:
    from typer import Typer

EXIT_FAILED = 1
EXIT_USAGE = 2


def run(app: "Typer", arguments: list[str] | None = None, *, program: str = "heliostat") -> None:
    """Run a typer app and exit. `--debug` anywhere on the line lets the traceback of our own errors through."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    logs.configure()
    try:
        app(args=[word for word in words if word != "--debug"], prog_name=program)
    except HeliostatError as error:
        if debug:
            raise
        sys.exit(complain(error))
    except OSError as error:
        # A home or a file that this user cannot use: said by its name. One without a name is a bug, and shows.
        if debug or not isinstance(error.filename, str):
            raise
        hint = "HELIOSTAT_HOME must be a folder that you may write to, and files must be yours to read"
        sys.exit(complain(ClusterError(f"{error.filename}: {error.strerror}", hint=hint)))


def complain(error: HeliostatError) -> int:
    """Print the error as one line on stderr; returns the exit code that goes with it."""
    sys.stderr.write(f"error: {' '.join(error.line().split())} [{error.code}]\n")
    return EXIT_USAGE if isinstance(error, SettingsError | BadRequest) else EXIT_FAILED

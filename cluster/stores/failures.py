"""What databases and their drivers raise, as errors of our own: translated once, here, for every store.

What is left as it came is a mistake in our own SQL.
"""

import logging
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from cluster.errors import BadRequest, DatabaseAway

logger = logging.getLogger(__name__)

RETRY_S = 1.0
SHUT_DOWN = "57P"  # PostgreSQL's class of errors of a server that stops or starts
LOST = "08"  # and that of a lost connection
# Beside them: want of room or connections, a deadlock, a lock, a standby that takes no writes.
AWAY = (SHUT_DOWN, LOST, "53", "40001", "40P01", "55P03", "25006")
SQLITE_AWAY = ("BUSY", "LOCKED", "CANTOPEN", "IOERR", "FULL", "READONLY")
UNSTORABLE = ("22021", "22P05")  # a NUL, or a character that the database's encoding has not


def translate(engine: Engine) -> None:
    """Have all that is done with the engine raise DatabaseAway, or BadRequest for text that cannot be stored."""
    event.listen(engine, "handle_error", _translate)


def _translate(context: ExceptionContext) -> None:
    error = context.original_exception
    state = _state(error)
    if isinstance(error, UnicodeEncodeError) or state in UNSTORABLE:
        raise BadRequest("A text holds a character that cannot be stored", hint="leave NUL and lone surrogates out")
    context.is_disconnect = context.is_disconnect or state.startswith(SHUT_DOWN)
    if context.is_pre_ping:
        return  # the pool connects anew, and fails here again where it cannot
    if context.is_disconnect or context.connection is None or state.startswith(AWAY):
        logger.warning("the database does not answer: %s", error)
        raise DatabaseAway(
            "The database does not answer", hint="try again soon; the server's log says why", retry_after_s=RETRY_S
        ) from error


def _state(error: BaseException) -> str:
    """PostgreSQL's SQLSTATE; LOST for an SQLite that is away; else empty."""
    name = getattr(error, "sqlite_errorname", None)
    if name is not None:
        return LOST if name.removeprefix("SQLITE_").startswith(SQLITE_AWAY) else ""
    fields: Any = error.args[0] if error.args else None
    given = fields.get("C") if isinstance(fields, dict) else getattr(error, "sqlstate", None)  # pg8000, psycopg
    return str(given or "")

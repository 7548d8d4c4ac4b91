"""What is kept for clients: responses, files, batches, conversations and streams."""

from cluster.errors.requests import Conflict, NotFound


class ResponseNotFound(NotFound):
    """No stored response, or item of one, of that id."""

    code = "response_not_found"


class UploadNotFound(NotFound):
    """No stored file of that id, or it has expired."""

    code = "file_not_found"


class BatchNotFound(NotFound):
    """No batch of that id."""

    code = "batch_not_found"


class ConversationNotFound(NotFound):
    """No conversation of that id, or it was deleted."""

    code = "conversation_not_found"


class ConversationBusy(Conflict):
    """A conversation whose last message is still being answered."""

    code = "conversation_busy"


class StreamSessionNotFound(NotFound):
    """No stream session of that id, or it is too old to be kept."""

    code = "stream_session_not_found"

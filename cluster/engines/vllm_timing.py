"""When vLLM has a request's first token, for whole answers too, of which it says nothing before their end.

vLLM's own figures cost every step of every request (`log_stats`). This costs one call a request: the first piece
that its detokenizer is given is its first token, and after that the detokenizer is as it was.
"""

from typing import Any

from cluster.timing import first_token


def watch(processor: Any) -> None:
    """Have an engine's output processor tell the first token of each request to whoever times its call."""
    add = processor.add_request

    def add_request(request: Any, *arguments: Any, **named: Any) -> None:
        add(request, *arguments, **named)
        tell = first_token()  # this runs in the context of the call
        state = processor.request_states.get(request.request_id)
        detokenizer = None if state is None else state.detokenizer
        if tell is None or detokenizer is None or "update" in vars(detokenizer):
            return

        def update(*pieces: Any) -> Any:
            del detokenizer.update
            tell()
            return detokenizer.update(*pieces)

        detokenizer.update = update

    processor.add_request = add_request

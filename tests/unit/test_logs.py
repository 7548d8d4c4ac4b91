import io
import json
import logging

from cluster.logs import configure


def test_json_lines_carry_the_message_and_what_was_added() -> None:
    stream = io.StringIO()
    configure(level="INFO", json_lines=True, stream=stream)
    logging.getLogger("cluster.test").info("routed %s", "a", extra={"model": "spark"})
    line = json.loads(stream.getvalue())
    assert line["message"] == "routed a"
    assert line["model"] == "spark"
    assert line["level"] == "info"
    assert line["time"].endswith("Z")


def test_below_the_level_nothing_is_written_and_a_second_call_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure(stream=first)
    configure(stream=second)
    logging.getLogger("pipelines.test").info("quiet")
    logging.getLogger("pipelines.test").warning("loud")
    assert first.getvalue() == ""
    assert second.getvalue() == "WARNING pipelines.test: loud\n"


def test_an_exception_stays_on_the_records_line() -> None:
    stream = io.StringIO()
    configure(json_lines=True, stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("deployments.test").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(line)["error"]

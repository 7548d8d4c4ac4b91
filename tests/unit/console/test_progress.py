import io

from cluster.console.progress import Progress


def test_plain_lines_where_no_terminal_reads_and_no_repeats() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress.waiting("Ray starting")
        progress.waiting("Ray starting")
        progress.waiting("spark-chat: loading")
        progress.done("ready", 12.34)
    assert stream.getvalue() == "Ray starting\nspark-chat: loading\nready: 12.3 s\n"
    assert progress.phases == {"ready": 12.3}

"""The child process that parses one PDF: bytes on stdin, one JSON object on stdout.

pdfium is not thread-safe and a broken file may crash it: it dies here alone. Its memory is bounded, so that
a small file that unfolds into gigabytes ends this process and not the machine. The object is
`{"pages": [text, …]}` or `{"error": "encrypted" | "broken" | "pages", "detail": …}`.
"""

import json
import resource
import sys

MEMORY_BYTES = 2 * 1024**3  # address space; a 5,000-page report takes about a tenth


def main() -> None:
    """Read stdin, write stdout. argv: the largest number of pages."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    result = parse(sys.stdin.buffer.read(), max_pages=int(sys.argv[1]))
    sys.stdout.write(json.dumps(result))


def parse(content: bytes, *, max_pages: int) -> dict[str, object]:
    """The text of each page, or what is wrong."""
    import pypdfium2
    from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY

    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        locked = getattr(error, "err_code", None) in {FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY}
        return {"error": "encrypted" if locked else "broken", "detail": str(error)}
    try:
        if len(document) > max_pages:
            return {"error": "pages", "detail": str(len(document))}
        return {"pages": [_text(document, number) for number in range(len(document))]}
    except pypdfium2.PdfiumError as error:
        return {"error": "broken", "detail": str(error)}
    finally:
        document.close()


def _text(document: "object", number: int) -> str:
    page = document[number]  # type: ignore[index]  # pypdfium2 has no types here
    try:
        text = page.get_textpage()
        try:
            return str(text.get_text_range())
        finally:
            text.close()
    finally:
        page.close()


if __name__ == "__main__":
    main()

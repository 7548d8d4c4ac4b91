"""Writes field-guide.pdf, the document that the demo ingests: `python docs/demo/field_guide.py`.

The place and its people are invented, so an answer about them can only come from the file.
"""

from pathlib import Path

from reportlab.lib.pagesizes import A5
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer

PAGES = (
    (
        "A field guide to the Tavra valley",
        (
            "The Tavra tower stands in Orvallo. The Tavra tower was built in 1987. It is made of granite.",
            "Four hundred and twelve mirrors stand around it. Each of them turns with the sun, and each of them "
            "sends its light to the top of the tower.",
        ),
    ),
    (
        "The people",
        (
            "Mirela Oskan is a gardener. Mirela Oskan lives in Lumbrava. She waters the ground between the "
            "mirrors in the morning, before they turn.",
            "Teodor Vashti plays the violin. Teodor Vashti was born in Kesmere. He cleans the mirrors on Monday.",
        ),
    ),
    (
        "The year",
        (
            "The festival of Brinday takes place in August. On that day the mirrors write a word on the hill.",
            "In winter the field rests. The mirrors look at the ground, and the snow slides off them.",
        ),
    ),
)


def main() -> None:
    """Write the file beside this script; the same bytes each time."""
    styles = getSampleStyleSheet()
    story: list[object] = []
    for title, paragraphs in PAGES:
        story += [PageBreak()] if story else []
        story += [Paragraph(title, styles["Heading1"]), Spacer(1, 12)]
        for text in paragraphs:
            story += [Paragraph(text, styles["BodyText"]), Spacer(1, 8)]
    path = Path(__file__).with_name("field-guide.pdf")
    document = SimpleDocTemplate(str(path), pagesize=A5, title=PAGES[0][0], author="Heliostat", invariant=1)
    document.build(story)


if __name__ == "__main__":
    main()

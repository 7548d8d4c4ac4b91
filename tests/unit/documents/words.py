"""Word files written for the tests, part by part."""

import io
import zipfile

NAMESPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STYLES = """
<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="Mine"><w:name w:val="My heading"/><w:basedOn w:val="berschrift1"/></w:style>
<w:style w:styleId="Sub"><w:name w:val="heading 2"/></w:style>
<w:style w:styleId="Loop"><w:name w:val="x"/><w:basedOn w:val="Loop"/></w:style>
<w:style w:styleId="Dots"><w:name w:val="List Bullet"/>
<w:pPr><w:numPr><w:numId w:val="3"/></w:numPr></w:pPr></w:style>
"""
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"


def word(body: str, *, document: str = "word/document.xml", before: str = "", **parts: str | bytes) -> bytes:
    """A Word file with that body. before: stands before the root element. parts: other files, `_` for `/`."""
    files: dict[str, str | bytes] = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f'<Relationships><Relationship Type="{RELATION}" Target="{document}"/></Relationships>',
        "word/styles.xml": f'<w:styles xmlns:w="{NAMESPACE}">{STYLES}</w:styles>',
        document: f'{before}<w:document xmlns:w="{NAMESPACE}"><w:body>{body}</w:body></w:document>',
    } | {path.replace("_", "/", 1).replace("_xml", ".xml"): content for path, content in parts.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue()


def paragraph(text: str, *, style: str = "", inside: str = "") -> str:
    """A paragraph of one run. inside: more of its properties."""
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}{inside}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"

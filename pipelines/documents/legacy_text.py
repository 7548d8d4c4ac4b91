"""Which of the encodings before Unicode a text is in, told by the letters that its language uses most.

Any bytes are text in most of them, so that a text decodes is no sign. In the right one a third of it are the most
frequent letters of its language; in a wrong one, next to none.
"""

import codecs
import re

SAMPLE_BYTES = 64 * 1024
LEAST = 16  # characters beyond ASCII: of fewer, nothing can be told
LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
TYPOGRAPHY = "\u00a0\u00ab\u00b7\u00bb\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026".encode("cp1252")
FOREIGN = bytes(set(range(0x80, 0x100)) - set(TYPOGRAPHY))  # what is in any Western text tells nothing
BEYOND = re.compile(r"[^\x00-\x7f]")
HIRAGANA = "".join(map(chr, range(0x3041, 0x3097)))
SIMPLIFIED = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
TRADITIONAL = "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡"
# Encoding, the letters, and the least share of what is not ASCII that they are.
LANGUAGES = (
    ("cp932", HIRAGANA, 0.2),
    ("euc_jp", HIRAGANA, 0.2),
    ("cp949", "이다는에의을를가고하은한지도로기사", 0.15),
    ("gb18030", SIMPLIFIED, 0.08),
    ("big5", TRADITIONAL, 0.08),
    ("cp1251", "оеаинтсрвл", 0.45),
    ("koi8-r", "оеаинтсрвл", 0.45),
    ("cp866", "оеаинтсрвл", 0.45),
    ("iso8859-5", "оеаинтсрвл", 0.45),
    ("cp1253", "αοιετσνηυρ", 0.45),
    ("cp1255", "יוהלאתרבמנ", 0.5),
    ("cp1256", "اليمنوترهب", 0.5),
    ("cp874", "านรกอเงมยล่้", 0.4),
)


def is_western(content: bytes) -> bool:
    """Whether it can be Windows-1252: the languages in it write a few letters beyond ASCII, and more within."""
    foreign = len(content) - len(content.translate(None, FOREIGN))
    return foreign < LEAST or foreign <= len(content) - len(content.translate(None, LETTERS))


def legacy_encoding(content: bytes) -> str | None:
    """The encoding, Python's name of it; None where no language shows."""
    for encoding, letters, least in LANGUAGES:
        try:
            sample = codecs.getincrementaldecoder(encoding)().decode(content[:SAMPLE_BYTES])
        except UnicodeDecodeError:
            continue
        beyond = BEYOND.findall(sample)
        if len(beyond) >= LEAST // 2 and sum(map(set(letters).__contains__, beyond)) >= least * len(beyond):
            return encoding
    return None

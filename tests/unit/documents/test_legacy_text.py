"""Text files from before Unicode, and damaged ones of today."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import BrokenDocument
from pipelines.documents.plain_text import decode

TEXTS = {
    "cp932": "設置の手順について説明します。まず、鏡を取り付け、次にねじを締めてください。",
    "euc_jp": "設置の手順について説明します。まず、鏡を取り付け、次にねじを締めてください。",
    "gbk": "安装之前，请先阅读本手册。这是一个由太阳能驱动的系统，我们可以在任何地方使用它，但是不要在雨中操作。",
    "big5": "安裝之前，請先閱讀本手冊。這是一個由太陽能驅動的系統，我們可以在任何地方使用它，但是不要在雨中操作。",
    "euc_kr": "설치하기 전에 이 설명서를 읽어 주십시오. 이 시스템은 태양 에너지로 움직이는 것입니다.",
    "cp1251": "Перед установкой прочитайте это руководство. Система работает от солнечной энергии.",
    "koi8-r": "Перед установкой прочитайте это руководство. Система работает от солнечной энергии.",
    "cp866": "Перед установкой прочитайте это руководство. Система работает от солнечной энергии.",
    "iso8859-5": "Перед установкой прочитайте это руководство. Система работает от солнечной энергии.",
    "iso8859-7": "Πριν από την εγκατάσταση διαβάστε αυτό το εγχειρίδιο. Το σύστημα λειτουργεί με ηλιακή ενέργεια.",
    "cp1255": "לפני ההתקנה יש לקרוא את המדריך הזה. המערכת פועלת באנרגיית השמש ואין להשתמש בה בגשם.",
    "cp1256": "قبل التركيب يرجى قراءة هذا الدليل. يعمل النظام بالطاقة الشمسية ولا يجوز استخدامه تحت المطر.",
    "cp874": "ก่อนติดตั้งโปรดอ่านคู่มือนี้ ระบบนี้ทำงานด้วยพลังงานแสงอาทิตย์และห้ามใช้งานกลางฝน",
    "cp1252": "Vor der Montage prüfen: Größe, Höhe und Länge. Où est la clé? À côté de l’étagère — 5 €.",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_a_text_is_read_in_the_encoding_that_its_language_shows(encoding: str) -> None:
    """Each of them was stored as Windows-1252's letters, which nobody searches for."""
    text = TEXTS[encoding]
    assert decode("a.txt", text.encode(encoding)) == text
    assert decode("a.txt", (text * 5000).encode(encoding)) == text * 5000


def test_a_few_wrong_bytes_do_not_make_a_text_another_encodings() -> None:
    """One cut character made `Zürich` `ZÃ¼rich` in a whole file."""
    assert decode("a.log", "Zürich, Genève, Neuchâtel".encode() + b"\xe2\x80") == "Zürich, Genève, Neuchâtel\ufffd"
    assert decode("a.txt", "中文文本。".encode() + b"\xff\n") == "中文文本。\ufffd\n"


def test_a_pages_word_counts_though_a_byte_of_it_is_wrong() -> None:
    text = "設置の手順"
    assert decode("a.html", text.encode("cp932") + b"\xff", declared="shift_jis") == f"{text}\ufffd"


def test_what_is_in_no_language_is_refused() -> None:
    with pytest.raises(BrokenDocument, match="neither UTF-8 nor cp1252, and no other encoding shows"):
        decode("a.txt", bytes(range(0xC0, 0x100)) * 3)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_become_text_or_are_refused(content: bytes) -> None:
    try:
        text = decode("a.txt", content)
    except BrokenDocument as error:
        text = error.message
        content = b""
    assert text.startswith("a.txt: ") or content or not text
    text.encode()
    assert "\0" not in text

from cluster.engines import precision


def test_auto_is_float32_where_the_processor_has_no_bfloat16(monkeypatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda: False)
    assert precision.on_cpu("auto") == "float32"


def test_auto_stays_where_the_processor_has_it(monkeypatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda: True)
    assert precision.on_cpu("auto") == "auto"


def test_what_the_operator_says_stays(monkeypatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda: False)
    assert precision.on_cpu("bfloat16") == "bfloat16"

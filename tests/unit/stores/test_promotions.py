"""What sweeps promoted, as all gateways find it."""

from dataclasses import replace
from pathlib import Path

from cluster.stores.database import now, open_database
from cluster.stores.promotions import Promotion, Promotions


def promotion(model: str, **parameters: object) -> Promotion:
    return Promotion(
        model=model,
        parameters=parameters,
        run_id="0123456789ab",
        run_name="hot",
        config_id="c1",
        metric="overall",
        p_best=0.97,
        winner=True,
        promoted_at=now().replace(microsecond=0),
    )


def test_a_promotion_outlives_its_process_and_is_one_for_all(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'db'}"
    one, other = Promotions(open_database(url)), Promotions(open_database(url))
    assert one.all() == {}
    first = promotion("m", temperature=0.2, chat_template_kwargs={"enable_thinking": False})
    one.put(first)
    one.put(elsewhere := replace(promotion("other", top_k=5), p_best=None, winner=False))
    assert other.all() == {"m": first, "other": elsewhere}
    other.put(second := promotion("m", top_p=0.9))
    assert one.get("m") == second
    assert one.remove("m")
    assert not other.remove("m")
    assert other.all() == {"other": elsewhere}


def test_a_promotion_says_where_it_comes_from() -> None:
    told = promotion("m", temperature=0.2).as_json()
    assert (told["parameters"], told["run_id"], told["config_id"]) == ({"temperature": 0.2}, "0123456789ab", "c1")
    assert told["promoted_at"].endswith("Z")

"""docs/models.md says what the catalog says. `python -m tests.unit.settings.test_models_page` writes its table."""

from cluster import catalog
from cluster.engines.source import project_root

PAGE = project_root() / "docs" / "models.md"
BEGIN, END = "<!-- the catalog: begin -->\n", "<!-- the catalog: end -->\n"
HEAD = (
    "| the line | what it is | can | parameters | context | weights, GiB | with cache, GiB | engine | sampling "
    "| revision | licence |\n"
    "|---|---|---|---:|---:|---:|---:|---|---|---|---|\n"
)


def table() -> str:
    """The catalog as a table of Markdown."""
    return HEAD + "".join(_row(entry) for entry in catalog.models().values())


def page(table: str) -> str:
    """The page with that table in it."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def _row(entry: catalog.CatalogModel) -> str:
    from cluster.config import resolve

    [model] = resolve({"models": [{"id": entry.id}]}, {}).models
    assert model.memory is not None
    linked = entry.source if "/" not in entry.source else f"[{entry.source}]({_address(entry)})"
    cells = [
        f"`- id: {entry.id}`" + (f", also {', '.join(entry.aliases)}" if entry.aliases else ""),
        f"{entry.about}: {linked}",
        ", ".join(entry.capabilities),
        f"{entry.parameters / 1e6:,.1f} M" if entry.parameters < 1e9 else f"{entry.parameters / 1e9:.2f} G",
        f"{entry.context_length}" + (f" of {entry.longest}" if entry.longest > entry.context_length else ""),
        f"{entry.weights_gib:.2f}",
        f"{model.memory:.2f}",
        entry.kind,
        ", ".join(f"{name} {value:g}" for name, value in entry.engine.get("generation", {}).items()) or "its own",
        str(entry.engine.get("revision", "newest" if entry.from_hub else "built in"))[:12],
        entry.licence,
    ]
    return f"| {' | '.join(cells)} |\n"


def _address(entry: catalog.CatalogModel) -> str:
    built_in = entry.source.startswith("models/")
    return f"../{entry.source}/README.md" if built_in else f"https://huggingface.co/{entry.source}"


def test_the_page_holds_the_catalog() -> None:
    assert page(table()) == PAGE.read_text(encoding="utf-8"), "python -m tests.unit.settings.test_models_page"


if __name__ == "__main__":
    PAGE.write_text(page(table()), encoding="utf-8")

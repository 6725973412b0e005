"""Generated pages: ``python -m tests.support.reference`` writes them, tests compare them."""

from __future__ import annotations

from pathlib import Path

from attrs import fields

from synnefo_tx.settings import groups

ROOT = Path(__file__).parent.parent.parent


def settings_reference() -> str:
    """docs/settings.md, from the fields of the settings."""
    lines = [
        "# Settings",
        "",
        "Written from the code by `python -m tests.support.reference`. A setting is in the file",
        "as `field` below `[group]`, in the environment as `SYNNEFO_<GROUP>__<FIELD>`.",
    ]
    for name, group in groups().items():
        lines += [
            "",
            f"## {name}",
            "",
            "| field | default | meaning | in the original |",
            "|---|---|---|---|",
        ]
        for each in fields(group):
            default = each.default
            shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
            help = each.metadata["help"]
            lines.append(f"| `{each.name}` | `{shown}` | {help} | {each.metadata['original']} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write every generated page."""
    (ROOT / "docs" / "settings.md").write_text(settings_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""What mails say: Jinja2 templates, one folder for each language.

``<language>/<name>.txt`` begins with the subject, a line of its own; ``<name>.html`` beside it is
optional. A folder of the operator's has precedence, file by file. All are read when the process
starts. Texts of users are values: they are never compiled, and in HTML they are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment

from synnefo_tx.mail.model import Content
from synnefo_tx.mail.rules import one_line
from synnefo_tx.settings import SettingsError

PACKAGED = Path(__file__).with_name("templates")
LANGUAGE = "en"
SUFFIXES = (".txt", ".html")
FILE_MAX_BYTES = 256 * 1024


class Templates:
    """All templates, compiled. Raises SettingsError for a folder or template that is unusable."""

    def __init__(self, folder: str, common: Mapping[str, str]) -> None:
        sources = _read(PACKAGED)
        if folder:
            sources |= _read(Path(folder))
        self._environment = SandboxedEnvironment(
            loader=DictLoader(sources),
            autoescape=lambda name: name is not None and name.endswith(".html"),
            undefined=StrictUndefined,
            auto_reload=False,
            cache_size=-1,
        )
        self._environment.globals.update(common)
        self._names = frozenset(sources)
        for name in sorted(sources):
            try:
                self._environment.get_template(name)
            except TemplateSyntaxError as error:
                raise SettingsError(f"mail template {name}: {error}") from None

    @property
    def names(self) -> list[str]:
        """The mails that there are."""
        suffix = ".txt"
        found = {each.partition("/")[2] for each in self._names if each.endswith(suffix)}
        return sorted(each.removesuffix(suffix) for each in found)

    def content(self, name: str, language: str, values: Mapping[str, Any]) -> Content:
        """A mail in a language, or in English where that lacks it. Raises SettingsError if the
        operator's template fails on the values."""
        text = self._render(self._file(name, language, ".txt"), values)
        subject, _, body = text.partition("\n")
        html = self._file(name, language, ".html")
        return Content(
            one_line(subject),
            body.strip("\n") + "\n",
            self._render(html, values) if html in self._names else "",
        )

    def _file(self, name: str, language: str, suffix: str) -> str:
        wanted = f"{language}/{name}{suffix}"
        return wanted if wanted in self._names else f"{LANGUAGE}/{name}{suffix}"

    def _render(self, file: str, values: Mapping[str, Any]) -> str:
        try:
            return self._environment.get_template(file).render(values)
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise SettingsError(f"mail template {file}: {error}") from None


def _read(folder: Path) -> dict[str, str]:
    """The templates of a folder, by language and name."""
    if not folder.is_dir():
        raise SettingsError(f"mail.template_folder: {folder} is no folder")
    found = {}
    for path in sorted(folder.glob("*/*")):
        if path.suffix in SUFFIXES and path.stat().st_size <= FILE_MAX_BYTES:
            try:
                found[f"{path.parent.name}/{path.name}"] = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"mail template {path}: {error}") from None
    return found

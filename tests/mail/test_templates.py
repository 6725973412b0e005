"""Templates of mails: whose text is what, and what never runs."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.mail.templates import PACKAGED, Templates
from synnefo_tx.settings import SettingsError

COMMON = {"service": "Cloud", "url": "https://cloud.example", "support": "help@cloud.example"}


class TemplateTests(SynchronousTestCase):
    def folder(self, **files: str) -> str:
        folder = Path(self.mktemp())
        for name, text in files.items():
            language, _, rest = name.partition("_")
            path = folder / language / rest.replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(folder)

    def test_all(self) -> None:
        """Every mail is there in English and in Greek, and renders."""
        templates = Templates("", COMMON)
        self.assertEqual(templates.names, ["welcome"])
        for language in ("en", "el"):
            for name in templates.names:
                self.assertTrue((PACKAGED / language / f"{name}.txt").exists())
                content = templates.content(name, language, {"name": "Ann"})
                self.assertTrue(content.subject and "Ann" in content.text)
                self.assertIn("help@cloud.example", content.text)
        self.assertEqual(templates.content("welcome", "xx", {"name": "A"}).subject[:5], "Cloud")

    def test_user_text(self) -> None:
        """What users wrote is never compiled: it stays as it is, and in HTML it is escaped."""
        folder = self.folder(
            en_welcome_txt="Hi {{ name }}\n{{ name }}", en_welcome_html="{{ name }}"
        )
        templates = Templates(folder, COMMON)
        for text in ("{{7*7}}", "{% for a in b %}", "{{ ''.__class__ }}", "${7*7}"):
            content = templates.content("welcome", "en", {"name": text})
            self.assertEqual((content.subject, content.text), (f"Hi {text}", f"{text}\n"))
        content = templates.content("welcome", "en", {"name": "<img onerror=x>"})
        self.assertEqual(content.html, "&lt;img onerror=x&gt;")
        subject = templates.content("welcome", "en", {"name": "a\r\nBcc: b"}).subject
        self.assertEqual(subject, "Hi a")

    def test_overridden(self) -> None:
        """The operator's folder has precedence, file by file, and may add languages."""
        folder = self.folder(en_welcome_txt="Own\nText", fr_welcome_txt="Bienvenue\nTexte")
        templates = Templates(folder, COMMON)
        self.assertEqual(templates.content("welcome", "en", {}).subject, "Own")
        self.assertEqual(templates.content("welcome", "fr", {}).subject, "Bienvenue")
        self.assertIn("Cloud", templates.content("welcome", "el", {"name": "A"}).subject)

    def test_unusable(self) -> None:
        """A folder that is none, a template that does not compile, that asks for what there is
        not, or that reaches for what it must not, is told with its name."""
        with self.assertRaisesRegex(SettingsError, "template_folder"):
            Templates("/nowhere", COMMON)
        with self.assertRaisesRegex(SettingsError, "en/welcome.txt"):
            Templates(self.folder(en_welcome_txt="{{ x"), COMMON)
        for text in ("{{ unknown }}", "{{ ''.__class__.__mro__ }}", "{{ 1 / 0 }}"):
            templates = Templates(self.folder(en_welcome_txt=text), COMMON)
            with self.assertRaisesRegex(SettingsError, "en/welcome.txt"):
                templates.content("welcome", "en", {})

"""Mails."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class MailSettings:
    smtp_host: str = setting(
        "", "Mail server that takes our mails; empty: files in mails below SYNNEFO_HOME",
        original="EMAIL_HOST",
    )  # fmt: skip
    smtp_port: int = setting(
        587, "Its port; it must speak STARTTLS", unit="port", original="EMAIL_PORT"
    )
    smtp_user: str = setting("", "User there; empty: none", original="EMAIL_HOST_USER")
    smtp_password: str = setting(
        "", "That user's password", secret=True, original="EMAIL_HOST_PASSWORD"
    )
    ca_file: str = setting("", "PEM file of the mail server's authority; empty: the system's")
    plain_allowed: bool = setting(False, "Use no TLS; for a mail server on this machine alone")
    sender_address: str = setting(
        "noreply@localhost", "Address that mails come from",
        original="SERVER_EMAIL, DEFAULT_FROM_EMAIL",
    )  # fmt: skip
    service_name: str = setting(
        "Synnefo", "What mails call the cloud, also as their sender",
        original="BRANDING_SERVICE_NAME",
    )  # fmt: skip
    support: str = setting("", "Address that mails name for help", original="CONTACT_EMAIL")
    language: str = setting(
        "en", "Language of mails to users who have not chosen one", original="LANGUAGE_CODE"
    )
    template_folder: str = setting(
        "", "Folder of templates, as en/welcome.txt, that replace those that come along",
        original="TEMPLATE_DIRS",
    )  # fmt: skip
    interval_seconds: float = setting(5.0, "Pause between looks at the outbox")
    connect_limit_seconds: float = setting(10.0, "Longest wait for the mail server to connect")
    total_limit_seconds: float = setting(60.0, "Longest time of handing over one mail")
    attempts_max: int = setting(
        20, "Attempts after which a mail is given up: about two days", unit="attempts"
    )
    kept_days: int = setting(30, "Time that mails are kept after they were sent or given up")

"""Mails: written in the transaction that has a reason, sent afterwards, again until it works."""

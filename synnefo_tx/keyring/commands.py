"""Commands about keys of stored secrets (ASVS 11.1.1, 11.1.2)."""

from __future__ import annotations

import argparse

from synnefo_tx.cli.command import Command, Options
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output
from synnefo_tx.cli.progress import Progress
from synnefo_tx.faults import BadRequest
from synnefo_tx.keyring.model import DATABASE


class SecretRotate(Command):
    """Give all stored secrets a new key while the service runs; cut short, run it again."""

    name = "secret-rotate"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        parser.add_argument(
            "--retire",
            action="store_true",
            help="make no key, but remove for good the older versions that nothing needs; backups "
            "of the database that were made with them need them still",
        )

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Rotate or retire, and tell what was done; raises BadRequest for secrets that do not
        open."""
        if options.retire:
            gone = ", ".join(map(str, await app.rotation.retire()))
            out.note(f"Removed: version {gone}" if gone else "There is no older version")
            return
        progress = Progress(out.errors, "Secrets")
        done = await app.rotation.rotate(progress.tell)
        progress.end()
        how = "made" if done.is_new else "taken up again, the last rotation had not ended"
        out.note(f"Key {DATABASE} version {done.version} ({how}): {done.count} secrets have it now")
        if done.broken:
            raise BadRequest(f"Some do not open and stay as they are: {', '.join(done.broken)}")


class SecretList(Command):
    """List the keys of stored secrets, and how many secrets each version seals."""

    name = "secret-list"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """There are none."""

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """List them, never a key."""
        usage = await app.rotation.usage()
        rows: list[tuple[object, ...]] = []
        keys = (await app.rotation.keyring.load()).of(DATABASE)
        for number, key in enumerate(keys):
            used = [each for each in usage if each.version == key.version]
            where = ", ".join(f"{each.table}: {each.count}" for each in used)
            rows.append((key.name, key.version, key.fingerprint.hex(), number == 0, where))
        strange = [each for each in usage if each.version not in [key.version for key in keys]]
        for each in strange:
            rows.append((DATABASE, "missing", "", False, f"{each.table}: {each.count}"))
        out.table(("name", "version", "fingerprint", "seals", "used"), rows)

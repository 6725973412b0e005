"""Flavors and volume types by command."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

from tests.support.cloud import CloudCommandTestCase


class FlavorTests(CloudCommandTestCase):
    async def names(self, *options: str) -> list[str]:
        return [row["name"] for row in await self.records("flavor-list", "-o", "name", *options)]

    async def test_create(self) -> None:
        """All combinations are made, RAM rounded up to 4 MiB; what exists is named and left."""
        before = await self.names()
        argv = ("flavor-create", "1,8", "1021,4096", "5", "1", "--public", "False")
        ran = await self.command(*argv, "--dry-run", "--output-format", "csv")
        self.assertEqual(ran.lines, ["name", "C1R4096D5file", "C8R1024D5file", "C8R4096D5file"])
        self.assertEqual(ran.err, f"C1R1024D5file exists: flavor {self.flavors[1]}\n")
        self.assertEqual(await self.names(), before)
        made = await self.records(*argv)
        self.assertEqual([each["name"] for each in made], ran.lines[1:])
        rows = await self.records("flavor-list", "--filter-by", f"id={made[0]['id']}")
        self.assertEqual(
            rows,
            [{
                "id": made[0]["id"], "name": "C1R4096D5file", "cpu": "1", "ram": "4096",
                "disk": "5", "template": "file", "volume_type": "1", "allow_create": "True",
                "public": "False", "vms": "0",
            }],
        )  # fmt: skip
        self.assertEqual(await self.records(*argv), [])

    async def test_wrong(self) -> None:
        """A volume type that is not there and sizes that cannot be make nothing; texts that are
        no numbers are wrong use."""
        before = await self.names()
        for sizes in (
            ("1", "512", "5", "9"),
            ("0,1", "512", "7", "1"),
            ("1", str(2**40), "7", "1"),
        ):
            await self.refusal("flavor-create", *sizes)
        for sizes in (("x", "512", "5", "1"), ("1,", "512", "5", "1"), ("1", "512", "5")):
            with redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
                await self.command("flavor-create", *sizes)
        self.assertEqual(await self.names(), before)

    async def test_servers(self) -> None:
        """The list counts live servers per flavor; deleted flavors are listed on demand."""
        await self.built()
        rows = await self.records("flavor-list", "-o", "id,vms", "--filter-by", "vms>0")
        self.assertEqual(rows, [{"id": str(self.flavor), "vms": "1"}])
        self.assertEqual(await self.names("--deleted"), [])
        async with self.database.transaction("test") as tx:
            await tx.run("UPDATE flavors SET deleted = true WHERE id = %(id)s", {"id": self.flavor})
        self.assertEqual(await self.names("--deleted"), ["C1R512D5file"])
        self.assertNotIn("C1R512D5file", await self.names())


class VolumeTypeTests(CloudCommandTestCase):
    async def test_life(self) -> None:
        """A volume type is made and listed with what is of it; a name is taken once."""
        made = await self.records(
            "volume-type-create", "--name", "fast", "--disk-template", "ext_archipelago"
        )
        self.assertEqual(made[0]["id"], "2")
        await self.built()
        self.assertEqual(
            await self.records("volume-type-list"),
            [
                {"id": "1", "name": "file", "disk_template": "file", "flavors": "4",
                 "volumes": "1", "deleted": "False"},
                {"id": "2", "name": "fast", "disk_template": "ext_archipelago", "flavors": "0",
                 "volumes": "0", "deleted": "False"},
            ],
        )  # fmt: skip
        for name, template in (("fast", "file"), ("x", "no-such"), ("x", "ext"), (" ", "file"),
                               ("x", "file_x"), ("a\x1b[2J", "file")):  # fmt: skip
            await self.refusal("volume-type-create", "--name", name, "--disk-template", template)

"""The main journey: what a user does with a machine, on real Ganeti, from end to end."""

import hashlib
import hmac
from base64 import b64encode
from pathlib import Path

from synnefo_tx.console.certificate import CERTIFICATE_FILE
from tests.acceptance.cloud.browser import open_screen
from tests.acceptance.cloud.installed import InstalledCloudTestCase
from tests.support.http import request

FILE = {
    "path": "/root/hello",
    "contents": b64encode(b"canary in a file\n").decode(),
    "owner": "root",
    "group": "root",
    "mode": 0o600,
}


class JourneyTests(InstalledCloudTestCase):
    """One machine from creation to removal."""

    async def test_journey(self):
        """Create, see the screen, stop, resize, start, reboot, delete; quota exact throughout."""
        await self.assert_quota_exact()
        created = await self.built()
        self.server_id = created["id"]
        await self.look_at_disk(created)
        await self.look_at_screen()
        await self.stop_resize_start()
        await self.act(self.server_id, reboot={"type": "HARD"})
        await self.reached(self.server_id, "ACTIVE")
        await self.assert_quota_exact()
        await self.ask("DELETE", f"/compute/v2.0/servers/{self.server_id}", status=204)
        await self.reached(self.server_id, "DELETED")
        self.assertEqual(await self.instances(), {})
        await self.assert_quota_exact()
        await self.assert_reconciled()

    async def built(self):
        """A server with a file, metadata, a public and a private address, as it was accepted."""
        network = await self.private_network()
        created = await self.create(
            personality=[FILE], metadata={"role": "test"}, networks=[{"uuid": network}]
        )
        server = await self.reached(created["id"], "ACTIVE")
        ((_, instance),) = (await self.instances()).values()
        addresses = [each["ipv4"] for each in server["attachments"]]
        self.assertEqual(sorted(instance["nic.ips"]), sorted(addresses))
        self.assertEqual(
            sorted(instance["nic.macs"]),
            sorted(each["mac_address"] for each in server["attachments"]),
        )
        self.assertEqual(len(addresses), 2)
        self.assertEqual(server["metadata"], {"role": "test"})
        await self.assert_quota_exact()
        return created

    async def look_at_disk(self, created):
        """The OS script stamped password and file; what it fetched and the password are nowhere."""
        name, password = f"{self.prefix}{created['id']}", created["adminPass"]
        ((cluster_name, _),) = (await self.instances()).values()
        (cluster,) = [each for each in self.clusters if each.name == cluster_name]
        state = Path(cluster.state)
        (disk,) = (state / "srv" / "file-storage" / name).iterdir()
        with disk.open("rb") as file:
            lines = file.read(65536).split(b"\0", 1)[0].decode().splitlines()
        self.assertEqual(lines[0], f"testos {name} pithosmap://x/1")
        _, iterations, salt, digest = lines[1].removeprefix("password ").split("$")
        computed = hashlib.pbkdf2_hmac(
            "sha256", password.encode(), bytes.fromhex(salt), int(iterations)
        )
        self.assertTrue(hmac.compare_digest(computed.hex(), digest))
        self.assertEqual(lines[2], f"file /root/hello root root 0600 {FILE['contents']}")
        await self.assert_parameters_gone(cluster_name, name)
        self.assert_not_written(state / "lib" / "queue", password)
        self.assert_not_written(state / "log", password)
        self.assert_not_written(self.home / "log", password)

    async def assert_parameters_gone(self, cluster_name, instance):
        """The address in the job file, which was read once, leads nowhere any more."""
        jobs = await self.rapis[cluster_name].jobs_since(0)
        inputs = [op for job in jobs for op in job.ops if op.get("instance_name") == instance]
        (url,) = [op["osparams"]["config_url"] for op in inputs if "osparams" in op]
        self.assertEqual((await request("", "GET", url)).status, 404)

    def assert_not_written(self, folder, secret):
        """No file below ``folder`` holds the text."""
        files = [each for each in folder.rglob("*") if each.is_file()]
        self.assertTrue(files)
        for each in files:
            self.assertNotIn(secret.encode(), each.read_bytes(), str(each))

    async def look_at_screen(self):
        """The guest's screen shows something; the session ends when the server stops."""
        path = f"/compute/v2.0/servers/{self.server_id}/action"
        body = {"console": {"type": "vnc-wss"}}
        console = (await self.ask("POST", path, body))["console"]
        certificate = self.home / "tls" / CERTIFICATE_FILE
        browser, screen = await open_screen(console, certificate, self.cloud.url)
        self.assertGreater(len(await screen.picture()), 1)
        await self.act(self.server_id, shutdown={})
        code, reason = await browser.closing(seconds=60)
        self.assertEqual(code, 4409, reason)
        browser.transport.abortConnection()
        await browser.lost

    async def stop_resize_start(self):
        """Stopped frees CPU and RAM; a larger flavor is there after the start."""
        server = await self.reached(self.server_id, "STOPPED")
        self.assertEqual(server["flavor"]["id"], self.flavors[0])
        await self.assert_quota_exact()
        await self.act(self.server_id, resize={"flavorRef": self.flavors[1]})
        server = await self.reached(self.server_id, "STOPPED")
        self.assertEqual(server["flavor"]["id"], self.flavors[1])
        await self.assert_quota_exact()
        await self.act(self.server_id, start={})
        await self.reached(self.server_id, "ACTIVE")
        ((_, instance),) = (await self.instances()).values()
        self.assertEqual(instance["oper_vcpus"], 2)
        await self.assert_quota_exact()

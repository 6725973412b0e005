"""Instances, for every cluster."""

import json

from synnefo_tx.ganeti import requests
from synnefo_tx.ganeti.memory.installer import password_matches
from synnefo_tx.ganeti.rapi import RapiError
from synnefo_tx.ganeti.requests import DiskSpec, NicSpec
from tests.ganeti.cluster_support import REASON, ClusterSupport


class InstanceCases(ClusterSupport):
    """Instances from creation to removal."""

    async def test_created(self):
        """A created instance runs, with what was asked for, and tells it."""
        tags = ["cyclades:system:intent:abc", "x"]
        disks = [DiskSpec(f"{self.prefix}b", 64), DiskSpec(f"{self.prefix}a", 128)]
        job = await self.settle(await self.creation(tags=tags, disks=disks, vcpus=2))
        nodes = [node["name"] for node in await self.rapi.nodes()]
        self.assertEqual((job.status, job.opresult[0][0] in nodes), ("success", True))
        self.assertEqual(job.ops[0]["tags"], tags)
        instance = await self.rapi.instance(self.name("vm"))
        expected = {
            "name": self.name("vm"),
            "admin_state": "up",
            "oper_state": True,
            "status": "running",
            "pnode": job.opresult[0][0],
            "snodes": [],
            "disk_template": "file",
            "disk.names": [f"{self.prefix}b", f"{self.prefix}a"],
            "disk.sizes": [64, 128],
            "disk_usage": 192,
            "nic.ips": [],
            "oper_ram": 128,
            "oper_vcpus": 2,
            "tags": sorted(tags),
            "os": "snf-image+default",
        }
        self.assertEqual({key: instance[key] for key in expected}, expected)
        self.assertEqual(instance["beparams"]["memory"], 128)
        self.assertEqual(
            instance["custom_beparams"],
            {"minmem": 128, "maxmem": 128, "vcpus": 2, "auto_balance": True},
        )
        self.assertIn(instance["uuid"], [one["uuid"] for one in await self.rapi.instances()])

    async def test_given_mac(self):
        """A NIC has the MAC that it was given, on a network with a prefix of its own too."""
        network = await self.network(mac_prefix="aa:00:77")
        nic = NicSpec(self.name("nic"), network, "10.91.0.4", "aa:00:77:00:00:05")
        instance = await self.created(nics=[nic])
        self.assertEqual(instance["nic.macs"], ["aa:00:77:00:00:05"])

    async def test_log_of_a_creation(self):
        """The log of a creation tells its steps in order, from which progress is read."""
        job = await self.settle(await self.creation())
        texts = [entry[3] for entry in job.oplog[0]]
        self.assertEqual([entry[0] for entry in job.oplog[0]], list(range(1, len(texts) + 1)))
        self.assertEqual({entry[2] for entry in job.oplog[0]}, {"message"})
        self.assertIn("Selected nodes for instance", texts[0])
        self.assertEqual(
            texts[1:],
            [
                "* disk 0, size 64M",
                "* creating instance disks...",
                f"adding instance {self.name('vm')} to cluster config",
                "adding disks to cluster config",
                "* running the instance OS create scripts...",
                "* starting instance...",
            ],
        )

    async def test_creations_refused(self):
        """What cannot be created fails in the job with its code and leaves nothing."""
        for changes, expected in (
            ({"nics": [NicSpec("a", "nonet", "pool")]}, ("OpPrereqError", "unknown_entity")),
            ({"osparams": {"bogus": "1"}}, ("OpExecError", None)),
            ({"os": "nosuch+default"}, ("OpExecError", None)),
            ({"memory_mib": 261_000}, ("OpPrereqError", "insufficient_resources")),
            ({"disk_template": "plain"}, ("OpPrereqError", None)),
            ({"tags": ["bad tag"]}, ("TagError", None)),
            ({"disk_template": "ext"}, ("OpPrereqError", "wrong_input")),
            (
                {"disk_template": "ext", "disks": [DiskSpec("d", 64, "nosuch")]},
                ("OpExecError", None),
            ),
        ):
            self.assertEqual(await self.fail_with(self.creation(**changes)), expected, changes)
            with self.assertRaises(RapiError) as caught:
                await self.rapi.instance(self.name("vm"))
            self.assertEqual(caught.exception.status, 404)
        self.instances.clear()

    async def test_name_in_use(self):
        """A second creation under the same name fails; so a lost creation cannot double."""
        await self.created()
        self.assertEqual(await self.fail_with(self.creation()), ("OpPrereqError", "already_exists"))

    async def test_failed_os_script(self):
        """When the OS script fails the instance is there, down, and can be removed."""
        job = await self.settle(await self.creation(osparams={"os_fail": "boom"}))
        kind, (text,) = job.opresult[0]
        self.assertEqual((job.status, kind), ("error", "OpExecError"))
        self.assertIn(f"Could not add os for instance {self.name('vm')} on node", text)
        self.assertIn("OS create script failed (exited with exit code 1)", text)
        self.assertIn("create was told to fail: boom", text)
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual((instance["status"], instance["oper_state"]), ("ADMIN_down", False))
        self.assertIsNone(await self.succeed(self.rapi.delete_instance(self.name("vm"), REASON)))
        self.instances.clear()

    async def test_one_time_parameters(self):
        """The OS script fetches them and stamps the disk; the password itself is nowhere."""
        personality = [{"path": "/etc/motd", "contents": "aGk=", "mode": 0o644}]
        parameters = {
            "img_id": "debian",
            "img_passwd": "canary-password",
            "img_personality": json.dumps(personality),
        }
        url = await self.serve(parameters)
        job = await self.settle(await self.creation(osparams={"config_url": url}))
        self.assertEqual(job.status, "success", job.opresult)
        lines = (await self.disk_text(self.name("vm"))).splitlines()
        self.assertEqual(lines[0], f"testos {self.name('vm')} debian")
        word, stored = lines[1].split()
        self.assertEqual(word, "password")
        self.assertTrue(password_matches("canary-password", stored))
        self.assertEqual(lines[2], "file /etc/motd root root 0644 aGk=")
        self.assertEqual(lines[3], "end")
        self.assertNotIn("canary-password", str(job))

    async def test_parameters_used_up(self):
        """A second creation with the same address fails in the OS script, and hides it."""
        url = await self.serve({"img_id": "debian"})
        await self.created(osparams={"config_url": url})
        job = await self.settle(await self.creation("other", osparams={"config_url": url}))
        self.assertIn("OS create script failed", str(job.opresult))
        self.assertIn("config_url cannot be read", str(job.opresult))
        self.assertNotIn(url, str(job.opresult))
        other = await self.rapi.instance(self.name("other"))
        self.assertEqual(other["status"], "ADMIN_down")

    async def test_not_started(self):
        """An instance may be created without starting it."""
        instance = await self.created(start=False)
        self.assertEqual((instance["status"], instance["oper_ram"]), ("ADMIN_down", None))

    async def test_external_storage(self):
        """A disk of external storage names its provider, with parameters of its own."""
        disks = [DiskSpec(f"{self.prefix}e", 64, "testext", {"origin": "image"})]
        instance = await self.created(disk_template="ext", disks=disks)
        self.assertEqual((instance["disk_template"], instance["disk.sizes"]), ("ext", [64]))

    async def test_power(self):
        """Stop, start and reboot change the status; repeating one is no error."""
        name = self.name("vm")
        await self.created()
        for action, status in (
            (lambda: self.rapi.startup(name, REASON), "running"),
            (lambda: self.rapi.shutdown(name, REASON, timeout_seconds=0), "ADMIN_down"),
            (lambda: self.rapi.shutdown(name, REASON), "ADMIN_down"),
            (lambda: self.rapi.startup(name, REASON), "running"),
            (lambda: self.rapi.reboot(name, REASON, shutdown_timeout_seconds=0), "running"),
        ):
            self.assertIsNone(await self.succeed(action()))
            instance = await self.rapi.instance(name)
            self.assertEqual(instance["status"], status)
            self.assertEqual(instance["oper_state"], status == "running")
        await self.succeed(self.rapi.shutdown(name, REASON, timeout_seconds=0))
        job = await self.settle(await self.rapi.reboot(name, REASON))
        self.assertIn("was already stopped, starting now", str(job.oplog))
        self.assertEqual((await self.rapi.instance(name))["status"], "running")

    async def test_resize(self):
        """Another size is there after the next start; the job tells what changed."""
        name = self.name("vm")
        await self.created()
        await self.succeed(self.rapi.shutdown(name, REASON, timeout_seconds=0))
        result = await self.succeed(
            self.rapi.modify_instance(name, requests.resize_body(2, 256), REASON)
        )
        self.assertEqual(sorted(result), [["be/maxmem", 256], ["be/minmem", 256], ["be/vcpus", 2]])
        instance = await self.rapi.instance(name)
        self.assertEqual((instance["beparams"]["memory"], instance["oper_ram"]), (256, None))
        await self.succeed(self.rapi.startup(name, REASON))
        instance = await self.rapi.instance(name)
        self.assertEqual((instance["oper_ram"], instance["oper_vcpus"]), (256, 2))

    async def test_resize_refused(self):
        """More processors than the policy allows are refused, and unknown parameters."""
        await self.created(start=False)
        refused = self.change(beparams={"vcpus": 3000})
        self.assertEqual(await self.fail_with(refused), ("OpPrereqError", "wrong_input"))
        refused = self.change(beparams={"bogus": 1})
        self.assertEqual(await self.fail_with(refused), ("TypeEnforcementError", None))
        nothing: list[dict[str, list[str]]] = [{}, {"nics": []}]
        for body in nothing:
            refused = self.change(**body)
            self.assertEqual(await self.fail_with(refused), ("OpPrereqError", "wrong_input"))

    async def test_offline(self):
        """An instance marked offline has a status of its own and cannot be started."""
        await self.created(start=False)
        self.assertEqual(
            await self.succeed(self.change(offline=True)), [["admin_state", "offline"]]
        )
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual(instance["status"], "ADMIN_offline")
        refused = self.rapi.startup(self.name("vm"), REASON)
        self.assertEqual(await self.fail_with(refused), ("OpPrereqError", "wrong_state"))
        self.assertEqual(await self.succeed(self.change(offline=False)), [["admin_state", "down"]])

    async def test_tags(self):
        """Tags are added and removed; a tag that is not there, or not allowed, fails the job."""
        name = self.name("vm")
        await self.created(tags=["first"])
        tags = ["cyclades:user:a/b*c", "z"]
        self.assertIsNone(await self.succeed(self.rapi.set_tags(name, tags, REASON)))
        instance = await self.rapi.instance(name)
        self.assertEqual(sorted(instance["tags"]), sorted([*tags, "first"]))
        await self.succeed(self.rapi.delete_tags(name, ["first"], REASON))
        self.assertNotIn("first", (await self.rapi.instance(name))["tags"])
        refused = self.rapi.delete_tags(name, ["first"], REASON)
        self.assertEqual(await self.fail_with(refused), ("OpPrereqError", "unknown_entity"))
        refused = self.rapi.set_tags(name, ["bad tag"], REASON)
        self.assertEqual(await self.fail_with(refused), ("TagError", None))

    async def test_removed(self):
        """A removed instance is gone, with the memory and addresses it had."""
        network = await self.network()
        await self.created(nics=[NicSpec("a", network, "pool")])
        await self.succeed(
            self.rapi.delete_instance(self.name("vm"), REASON, shutdown_timeout_seconds=0)
        )
        self.instances.clear()
        names = [one["name"] for one in await self.rapi.instances()]
        self.assertNotIn(self.name("vm"), names)
        self.assertEqual((await self.rapi.network(network))["free_count"], 13)

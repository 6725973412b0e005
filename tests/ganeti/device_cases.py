"""NICs and disks of an instance, for every cluster; hotplug and screens by hypervisor."""

from synnefo_tx.ganeti.requests import NicSpec
from tests.ganeti.cluster_support import REASON, ClusterSupport


class DeviceCases(ClusterSupport):
    """NICs and disks of an instance that exists."""

    async def test_nics(self):
        """NICs are added, renamed and removed, by name, UUID or position; a MAC given is kept."""
        network = await self.network()
        await self.created(nics=[NicSpec("a", network, "10.91.0.9", "aa:00:00:91:00:09")])
        made = await self.rapi.instance(self.name("vm"))
        self.assertEqual(made["nic.macs"], ["aa:00:00:91:00:09"])
        added = await self.succeed(
            self.change(nics=[["add", -1, {"name": "b", "network": network, "ip": "pool"}]])
        )
        instance = await self.rapi.instance(self.name("vm"))
        mac, link = instance["nic.macs"][1], self.link
        text = f"add:mac={mac},ip=10.91.0.2,mode=bridged,link={link},network={network}"
        self.assertEqual(added, [["nic.1", text]])
        changed = await self.succeed(self.change(nics=[["modify", "b", {"name": "c"}]]))
        values = [["nic.link/1", link], ["nic.mode/1", "bridged"], ["nic.vlan/1", ""]]
        self.assertEqual(changed, [["nic.name/1", "c"], *values])
        moved = await self.succeed(self.change(nics=[["modify", "c", {"ip": "10.91.0.7"}]]))
        self.assertIn(["nic.ip/1", "10.91.0.7"], moved)
        by_uuid = ["remove", instance["nic.uuids"][0], {}]
        self.assertEqual(await self.succeed(self.change(nics=[by_uuid])), [["NIC/0", "remove"]])
        await self.succeed(self.change(nics=[["add", {"name": "d"}]]))
        self.assertEqual(
            await self.succeed(self.change(nics=[["remove", -1, {}]])), [["NIC/1", "remove"]]
        )
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual((instance["nic.names"], instance["nic.ips"]), (["c"], ["10.91.0.7"]))
        self.assertEqual((await self.rapi.network(network))["map"], "XX.....X.......X")

    async def test_nics_refused(self):
        """Unknown NICs, names twice and addresses in use fail, and nothing changes."""
        network = await self.network()
        mac = "aa:00:00:91:00:09"
        nics = [NicSpec("a", network, "10.91.0.9", mac), NicSpec("b", network, "10.91.0.8")]
        await self.created(nics=nics)
        for change, code in (
            (["remove", "nosuch", {}], "unknown_entity"),
            (["add", -1, {"name": "a"}], "resource_not_unique"),
            (["add", -1, {"mac": mac}], "resource_not_unique"),
            (["modify", "a", {"ip": "10.91.0.8"}], "resource_not_unique"),
            (["add", -1, {"network": "nosuch", "ip": "pool"}], "unknown_entity"),
        ):
            refused = self.change(nics=[change])
            self.assertEqual(await self.fail_with(refused), ("OpPrereqError", code), change)
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual(instance["nic.ips"], ["10.91.0.9", "10.91.0.8"])

    async def test_disks(self):
        """Disks are added, renamed, detached, attached again and removed."""
        await self.created(start=False)
        extra = f"{self.prefix}v2"
        for change, expected in (
            (["add", -1, {"size": 128, "name": extra}], ["disk/1", "add:size=128,mode=rw"]),
            (["detach", extra, {}], ["disk/1", "detach"]),
            (["attach", -1, {"name": extra}], ["disk/1", "attach:size=128,mode=rw"]),
            (["modify", extra, {"name": f"{extra}b"}], ["disk.name/1", f"{extra}b"]),
            (["remove", f"{extra}b", {}], ["disk/1", "remove"]),
        ):
            self.assertEqual(await self.succeed(self.change(disks=[change])), [expected])
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual(instance["disk.names"], [f"{self.name('vm')}-root"])

    async def test_disks_refused(self):
        """Disks without a size, with a name in use, or unknown ones fail."""
        await self.created(start=False)
        root = f"{self.name('vm')}-root"
        for change, code in (
            (["add", -1, {"name": "x"}], "wrong_input"),
            (["add", -1, {"name": root, "size": 64}], "resource_not_unique"),
            (["remove", "nosuch", {}], None),
        ):
            refused = self.change(disks=[change])
            self.assertEqual(await self.fail_with(refused), ("OpPrereqError", code), change)

    async def test_grow(self):
        """A disk grows by what is asked for."""
        await self.created(start=False)
        path = f"/2/instances/{self.name('vm')}/disk/0/grow"
        _, job_id = await self.raw("POST", path, b'{"amount": 64}')
        job = await self.settle(job_id)
        self.assertEqual((job.status, job.opresult), ("success", (None,)))
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual(instance["disk.sizes"], [128])

    async def test_reinstall(self):
        """A reinstallation is one job of three opcodes."""
        await self.created()
        path = f"/2/instances/{self.name('vm')}/reinstall"
        _, job_id = await self.raw("POST", path, b'{"os": "testos+default"}')
        job = await self.settle(job_id)
        self.assertEqual(job.opstatus, ("success",) * 3)
        names = [op["OP_ID"].removeprefix("OP_INSTANCE_") for op in job.ops]
        self.assertEqual(names, ["SHUTDOWN", "REINSTALL", "STARTUP"])
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual((instance["os"], instance["status"]), ("testos+default", "running"))


class FakeHypervisorCases(ClusterSupport):
    """The hypervisor "fake", which has neither screens nor hotplug."""

    async def test_no_hotplug(self):
        """Demanding hotplug fails the job; wishing for it changes the configuration only."""
        await self.created()
        nic = ["add", -1, {"name": "n"}]
        refused = self.change(nics=[nic], hotplug=True)
        self.assertEqual(await self.fail_with(refused), ("OpPrereqError", "wrong_state"))
        job = await self.settle(await self.change(nics=[nic], hotplug_if_possible=True))
        self.assertEqual((job.status, len(job.opresult[0])), ("success", 1))
        self.assertIn("will take place without hotplugging", str(job.oplog))

    async def test_parameters_refused(self):
        """Parameters of other hypervisors are refused otherwise than those that none has."""
        await self.created(start=False)
        for params, kind in (
            ({"bogus": "x"}, "TypeEnforcementError"),
            ({"boot_order": "disk"}, "HypervisorError"),
        ):
            refused = self.change(hvparams=params)
            self.assertEqual((await self.fail_with(refused))[0], kind, params)

    async def test_no_screen(self):
        """There is no port for a screen."""
        self.assertIsNone((await self.created())["network_port"])


class KvmCases(ClusterSupport):
    """The hypervisor "kvm"."""

    hypervisor = "kvm"

    async def test_screen_port(self):
        """Each instance has a port of its own, and keeps it while it is stopped."""
        first = await self.created()
        second = await self.created("other", start=False)
        self.assertGreaterEqual(first["network_port"], 11_000)
        self.assertNotEqual(first["network_port"], second["network_port"])
        await self.succeed(self.rapi.shutdown(first["name"], REASON, timeout_seconds=0))
        stopped = await self.rapi.instance(first["name"])
        self.assertEqual(stopped["network_port"], first["network_port"])
        self.assertIs(stopped["hvparams"]["serial_console"], False)

    async def test_hotplug(self):
        """NICs and disks are changed in the running guest, which the job tells."""
        await self.created()
        disk = f"{self.prefix}hot"
        for body, name in (
            ({"nics": [["add", -1, {"name": "n"}]]}, "nic.0"),
            ({"nics": [["remove", "n", {}]]}, "NIC/0"),
            ({"disks": [["add", -1, {"name": disk, "size": 64}]]}, "disk/1"),
            ({"disks": [["remove", disk, {}]]}, "disk/1"),
        ):
            result = await self.succeed(self.change(**body, hotplug=True))
            self.assertEqual(result[1][0], name)
            # A guest that is still booting does not give a device away; the job succeeds.
            allowed = ["hotplug:done"] if "add" in str(body) else ["hotplug:done", "hotplug:failed"]
            self.assertIn(result[1][1], allowed)

    async def test_hotplug_of_a_stopped_guest(self):
        """A stopped guest is changed in the configuration."""
        await self.created(start=False)
        nic = ["add", -1, {"name": "n"}]
        result = await self.succeed(self.change(nics=[nic], hotplug_if_possible=True))
        self.assertEqual(len(result), 1)

    async def test_parameters_refused(self):
        """Parameters that no hypervisor has, wrong types, and what cannot boot are refused."""
        await self.created(start=False)
        for params, kind in (
            ({"bogus": "x"}, "TypeEnforcementError"),
            ({"acpi": "x"}, "TypeEnforcementError"),
            ({"boot_order": "x"}, "HypervisorError"),
            ({"boot_order": "cdrom"}, "HypervisorError"),
        ):
            refused = self.change(hvparams=params)
            self.assertEqual((await self.fail_with(refused))[0], kind, params)

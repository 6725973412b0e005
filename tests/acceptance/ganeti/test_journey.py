"""The main journey on real Ganeti: a guest is built, seen on its screen, resized and removed."""

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import deferLater

from synnefo_tx.ganeti import requests
from synnefo_tx.ganeti.requests import NicSpec
from tests.acceptance.ganeti import test_real_cluster
from tests.ganeti.cluster_support import REASON
from tests.ganeti.rfb_client import RfbClient

SCREEN_TRIES = 60


class JourneyTests(test_real_cluster.OnRealCluster):
    """One guest from creation to removal."""

    hypervisor = "kvm"

    async def test_journey(self):
        """Create with address and parameters, see pixels, stop, resize, start, remove."""
        name, network = self.name("vm"), await self.network()
        url = await self.serve({"img_id": "debian", "img_passwd": "canary"})
        instance = await self.created(
            nics=[NicSpec("a", network, "10.91.0.5")], osparams={"config_url": url}
        )
        self.assertEqual((instance["status"], instance["nic.ips"]), ("running", ["10.91.0.5"]))
        self.assertTrue((await self.disk_text(name)).startswith(f"testos {name} debian\n"))
        self.assertGreater(await self.colours_on_screen(instance), 1)
        await self.succeed(self.rapi.shutdown(name, REASON, timeout_seconds=0))
        await self.succeed(self.rapi.modify_instance(name, requests.resize_body(2, 256), REASON))
        await self.succeed(self.rapi.startup(name, REASON))
        instance = await self.rapi.instance(name)
        self.assertEqual((instance["oper_ram"], instance["oper_vcpus"]), (256, 2))
        removal = self.rapi.delete_instance(name, REASON, shutdown_timeout_seconds=0)
        await self.succeed(removal)
        self.instances.clear()
        self.assertEqual((await self.rapi.network(network))["free_count"], 13)

    async def colours_on_screen(self, instance):
        """How many colours the guest's screen shows, once it shows more than one."""
        (node,) = [node for node in await self.rapi.nodes() if node["name"] == instance["pnode"]]
        reactor = test_real_cluster.reactor
        endpoint = TCP4ClientEndpoint(reactor, node["pip"], instance["network_port"])
        viewer = await connectProtocol(endpoint, RfbClient())
        (width, height), _ = await viewer.handshake()
        viewer.set_encodings(0)
        colours: set[bytes] = set()
        for _ in range(SCREEN_TRIES):
            viewer.request(width, height)
            for *_, pixels in await viewer.update():
                colours |= {pixels[at : at + 4] for at in range(0, len(pixels), 4)}
            if len(colours) > 1:
                break
            await deferLater(reactor, 0.5)
        viewer.transport.loseConnection()
        lost: Deferred[None] = viewer.lost
        await lost
        return len(colours)

"""RAPI as a web service, for every cluster."""

import json

from twisted.internet.defer import Deferred

from synnefo_tx.ganeti import requests
from synnefo_tx.ganeti.rapi import RapiError
from tests.ganeti.cluster_support import REASON, ClusterSupport


class TransportCases(ClusterSupport):
    """RAPI as a web service."""

    async def test_figures(self):
        """The cluster tells its version and name; nodes their memory, disk and address."""
        self.assertEqual(await self.rapi.version(), 2)
        info = await self.rapi.info()
        self.assertTrue(info["name"])
        self.assertIn("file", info["enabled_disk_templates"])
        self.assertIn("file", info["ipolicy"]["disk-templates"])
        self.assertIn(self.hypervisor, info["enabled_hypervisors"])
        for node in await self.rapi.nodes():
            for figure in ("mtotal", "mfree", "dtotal", "dfree", "ctotal", "cnodes", "pinst_cnt"):
                self.assertIsInstance(node[figure], int, figure)
            self.assertIs(node["vm_capable"], True)
            self.assertEqual((node["drained"], node["offline"]), (False, False))
            self.assertEqual(node["pip"].count("."), 3)
        self.assertIn(self.group, [group["name"] for group in await self.rapi.groups()])

    async def test_refusals(self):
        """Each wrong request has its status, and the form of RAPI's errors."""
        for expected, method, path, content, options in (
            (401, "GET", "/2/info", b"", {"password": "wrong"}),
            (404, "GET", "/2/nosuch", b"", {"password": "wrong"}),
            (501, "PUT", "/2/info", b"", {"password": "wrong"}),
            (401, "GET", "/2/nosuch", b"", {"password": ""}),
            (401, "GET", "/2/info", b"", {"password": ""}),
            (404, "GET", "/2/nosuch", b"", {}),
            (404, "GET", "/2/instances/nosuch.x", b"", {}),
            (404, "GET", "/2/networks/nosuch", b"", {}),
            (404, "GET", "/2/jobs/abc", b"", {}),
            (400, "GET", "/2/instances?bulk=x", b"", {}),
            (501, "PUT", "/2/info", b"{}", {}),
            (501, "DELETE", "/2/instances", b"", {}),
            (415, "POST", "/2/instances", b"{}", {"media": "text/plain"}),
            (400, "POST", "/2/instances", b"{broken", {}),
            (400, "POST", "/2/instances", b"[1]", {}),
            (400, "POST", "/2/instances", b'{"name": "x"}', {}),
            (400, "POST", "/2/networks", b'{"network_name": "x"}', {}),
            (500, "POST", "/2/networks", b'{"network_name":"x","network":"10.8.0.1/29"}', {}),
            (400, "PUT", "/2/instances/x/modify", b'{"bogus": 1}', {}),
            (400, "PUT", "/2/instances/x/modify", b'{"nics": [["bogus", -1, {}]]}', {}),
            (400, "PUT", "/2/instances/x/shutdown", b'{"timeout": "x"}', {}),
            (400, "POST", "/2/instances/x/reboot?type=bogus", b"", {}),
            (400, "POST", "/2/instances/x/reboot", b'{"type": "hard"}', {}),
            (400, "DELETE", "/2/networks/x", b'{"depends": "x"}', {}),
            (400, "PUT", "/2/query/job", b"{}", {}),
            (500, "GET", "/2/jobs/999999/wait", b'{"fields": ["status"]}', {}),
        ):
            status, body = await self.raw(method, path, content, **options)
            self.assertEqual(status, expected, f"{method} {path} {content!r} {body}")
            self.assertEqual(body["code"], expected)
            self.assertIsInstance(body["message"], str)
            self.assertIsInstance(body["explain"], str)

    async def test_wrong_values_of_a_creation(self):
        """A creation with unknown parameters or values of a wrong type is refused at once."""
        right = requests.create_body(self.spec())
        self.instances.clear()
        for wrong in (
            {"bogus": 1},
            {"name": 3},
            {"disks": "x"},
            {"disk_template": "nosuch"},
            {"hypervisor": "nosuch"},
            {"mode": "bogus"},
            {"__version__": 2},
            {"nics": [{"bogus": "x"}]},
            {"depends": [[1, ["bogus"]]]},
        ):
            status, _ = await self.raw("POST", "/2/instances", json.dumps(right | wrong).encode())
            self.assertEqual(status, 400, wrong)

    async def test_messages_are_escaped(self):
        """Texts of errors come HTML-escaped over the wire, and our client undoes it."""
        _, body = await self.raw("PUT", "/2/instances/x/modify", b'{"bo<gus": 1}')
        self.assertIn("&#x27;bo&lt;gus&#x27;", body["message"])
        with self.assertRaises(RapiError) as caught:
            await self.rapi.modify_instance("x", {"bo<gus": 1}, REASON)
        self.assertIn("'bo<gus'", caught.exception.message)

    async def test_too_many_clients(self):
        """Twenty-one clients that wait for a job keep all others waiting, until they leave."""
        job_id = await self.creation(osparams={"os_sleep": "5"})
        job = await self.until(job_id, lambda job: "running the instance OS" in str(job.oplog))
        seen = {
            "fields": ["status"],
            "previous_job_info": ["running"],
            "previous_log_serial": len(job.oplog[0]),
        }
        path, body = f"/2/jobs/{job_id}/wait", json.dumps(seen).encode()
        waiting = [Deferred.fromCoroutine(self.raw("GET", path, body)) for _ in range(21)]
        await self.sleep(1)
        plain = Deferred.fromCoroutine(self.raw("GET", "/version"))
        await self.sleep(1)
        self.assertEqual([plain.called, *(wait.called for wait in waiting)], [False] * 22)
        self.assertEqual(await self.later(plain), (200, 2))
        for wait in waiting:
            self.assertEqual((await self.later(wait))[0], 200)
        await self.settle(job_id)

    async def test_dry_run(self):
        """A dry run is checked and changes nothing."""
        await self.created()
        path = f"/2/instances/{self.name('vm')}/shutdown?dry-run=1"
        status, job_id = await self.raw("PUT", path)
        self.assertEqual((status, (await self.settle(job_id)).status), (200, "success"))
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual(instance["status"], "running")

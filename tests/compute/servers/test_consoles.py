"""Consoles of servers: whose screen a ticket opens, and why a screen was lost."""

from tests.support.cloud import CloudTestCase


class LossTests(CloudTestCase):
    """The screen goes with the guest, before the job that ended it is over."""

    async def test_says_what_is_done_to_the_server(self):
        """A screen lost while the server shuts down or is removed says so, else nothing."""
        id = await self.built()
        target = await self.opened(id)
        self.assertIsNone(await self.app.compute.consoles.explain_loss(target))
        await self.app.compute.actions.shutdown(self.user, id)
        lost = await self.app.compute.consoles.explain_loss(target)
        self.assertEqual((lost.code, lost.reason), (4409, "the server shuts down"))
        await self.settle()
        lost = await self.app.compute.consoles.explain_loss(target)
        self.assertEqual((lost.code, lost.reason), (4409, "the server is not running"))
        await self.app.compute.actions.delete(self.user, id)
        await self.settle()
        self.assertEqual((await self.app.compute.consoles.explain_loss(target)).code, 4404)

    async def opened(self, id):
        """What a fresh ticket of the server leads to."""
        console = await self.app.compute.consoles.issue(self.user, id, "vnc-wss", "127.0.0.1")
        ticket = console["url"].rpartition("/")[2]
        return await self.app.compute.consoles.open(ticket, "127.0.0.1")

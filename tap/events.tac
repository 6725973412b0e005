"""twistd -y tap/events.tac: the cloud, role events."""

from twisted.application.service import Application

from synnefo_tx.tap import Options, makeService

options = Options()
options.parseOptions(["--role", "events"])
application = Application("synnefo")
makeService(options).setServiceParent(application)

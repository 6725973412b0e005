"""twistd -y tap/console.tac: the cloud, role console."""

from twisted.application.service import Application

from synnefo_tx.tap import Options, makeService

options = Options()
options.parseOptions(["--role", "console"])
application = Application("synnefo")
makeService(options).setServiceParent(application)

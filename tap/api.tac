"""twistd -y tap/api.tac: the cloud, role api."""

from twisted.application.service import Application

from synnefo_tx.tap import Options, makeService

options = Options()
options.parseOptions(["--role", "api"])
application = Application("synnefo")
makeService(options).setServiceParent(application)

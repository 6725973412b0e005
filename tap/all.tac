"""twistd -y tap/all.tac: the cloud."""

from twisted.application.service import Application

from synnefo_tx.tap import Options, makeService

options = Options()
options.parseOptions([])
application = Application("synnefo")
makeService(options).setServiceParent(application)

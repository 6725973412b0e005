"""twistd -y tap/eventd.tac: news of a Ganeti master's jobs."""

from twisted.application.service import Application

from synnefo_tx.ganeti.eventd.tap import Options, makeService

options = Options()
options.parseOptions([])
application = Application("synnefo-eventd")
makeService(options).setServiceParent(application)

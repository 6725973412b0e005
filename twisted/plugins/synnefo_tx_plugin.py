"""Makes ``twistd synnefo``, ``synnefo-eventd`` and ``synnefo-memory-ganeti`` known to twistd."""

from twisted.application.service import ServiceMaker

synnefo = ServiceMaker(
    "synnefo", "synnefo_tx.tap", "The cloud: APIs, console, cluster news, timers", "synnefo"
)
synnefo_worker = ServiceMaker(
    "synnefo-worker",
    "synnefo_tx.worker",
    "One process of twistd synnefo --workers N, which starts it",
    "synnefo-worker",
)
synnefo_eventd = ServiceMaker(
    "synnefo-eventd",
    "synnefo_tx.ganeti.eventd.tap",
    "News of a Ganeti master's jobs, sent to a message broker",
    "synnefo-eventd",
)
synnefo_memory_ganeti = ServiceMaker(
    "synnefo-memory-ganeti",
    "synnefo_tx.ganeti.memory.tap",
    "A Ganeti cluster in memory that speaks RAPI, for trials and tests",
    "synnefo-memory-ganeti",
)

"""The source of events on a Ganeti master: watches the job queue and tells a broker."""

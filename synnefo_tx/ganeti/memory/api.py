"""RAPI's resources on a cluster in memory (Ganeti RAPI documentation, ``rapi/rlib2.py``)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from synnefo_tx.ganeti.memory import fields, opcodes, query
from synnefo_tx.ganeti.memory.cluster import Cluster
from synnefo_tx.ganeti.memory.jobs import JobQueue
from synnefo_tx.ganeti.memory.model import Job, Json
from synnefo_tx.ganeti.memory.opcodes import Malformed, Opcode
from synnefo_tx.ganeti.memory.wire import (
    Refused,
    answer,
    body_of,
    error_body,
    number,
    query_value,
)

FEATURES = ["instance-create-reqv1", "node-migrate-reqv1", "instance-reinstall-reqv1"]
WAIT_SECONDS = 10.0


@define(eq=False)
class Api:
    """The routes; ``app.resource()`` of an instance answers requests."""

    cluster: Cluster
    jobs: JobQueue

    app = Klein()

    @app.handle_errors(Refused)
    def refused(self, request: IRequest, failure: Failure) -> bytes:
        refusal: Any = failure.value
        request.setResponseCode(refusal.status)
        request.setHeader(b"Content-Type", b"application/json")
        return error_body(refusal.status, refusal.message)

    @app.handle_errors(NotFound)
    def not_found(self, request: IRequest, failure: Failure) -> bytes:
        return self.refused(request, Failure(Refused(404, "Not Found")))

    @app.handle_errors(MethodNotAllowed)
    def wrong_method(self, request: IRequest, failure: Failure) -> bytes:
        text = f"Method {request.method.decode()} is unsupported for path {request.path.decode()}"
        return self.refused(request, Failure(Refused(501, text)))

    def knows(self, method: str, path: str) -> bool:
        """Whether there is such a resource, and it has the method."""
        try:
            self.app.url_map.bind("").match(path, method)
        except HTTPException:
            return False
        return True

    def _submit(
        self,
        request: IRequest,
        library: str,
        *ops: tuple[Opcode, Mapping[str, Any]],
    ) -> bytes:
        """Check and queue a job; its id."""
        dry = {"dry_run": True} if number(request, "dry-run") else {}
        try:
            inputs = [opcode.build({**values, **dry}) for opcode, values in ops]
        except Malformed as malformed:
            raise Refused(400, str(malformed)) from malformed
        return answer(request, self.jobs.submit(inputs, library, query_value(request, "reason")))

    def _listing(
        self, request: IRequest, values: Sequence[Any], show: Callable[[Any], Json], kind: str
    ) -> bytes:
        if number(request, "bulk"):
            return answer(request, [show(value) for value in values])
        key = "name" if kind in ("networks", "groups") else "id"
        rows = [{key: value.name, "uri": f"/2/{kind}/{value.name}"} for value in values]
        return answer(request, rows)

    def _one(
        self, request: IRequest, table: Mapping[str, Any], name: str, show: Callable[[Any], Json]
    ) -> bytes:
        if name not in table:
            raise Refused(404, "Not Found")
        return answer(request, show(table[name]))

    @app.route("/", methods=["GET"])
    @app.route("/2", methods=["GET"])
    def root(self, request: IRequest) -> bytes:
        return answer(request, None)

    @app.route("/version", methods=["GET"])
    def version(self, request: IRequest) -> bytes:
        return answer(request, 2)

    @app.route("/2/features", methods=["GET"])
    def features(self, request: IRequest) -> bytes:
        return answer(request, FEATURES)

    @app.route("/2/info", methods=["GET"])
    def info(self, request: IRequest) -> bytes:
        return answer(request, fields.cluster_fields(self.cluster))

    @app.route("/2/os", methods=["GET"])
    def operating_systems(self, request: IRequest) -> bytes:
        return answer(request, [f"{name}+default" for name in self.cluster.config.os_names])

    @app.route("/2/nodes", methods=["GET"])
    def nodes(self, request: IRequest) -> bytes:
        return self._listing(request, self._all("nodes"), self._node, "nodes")

    @app.route("/2/nodes/<name>", methods=["GET"])
    def node(self, request: IRequest, name: str) -> bytes:
        return self._one(request, self.cluster.store.nodes, name, self._node)

    @app.route("/2/groups", methods=["GET"])
    def groups(self, request: IRequest) -> bytes:
        return self._listing(request, self._all("groups"), self._group, "groups")

    @app.route("/2/groups/<name>", methods=["GET"])
    def group(self, request: IRequest, name: str) -> bytes:
        return self._one(request, self.cluster.store.groups, name, self._group)

    @app.route("/2/networks", methods=["GET"])
    def networks(self, request: IRequest) -> bytes:
        return self._listing(request, self._all("networks"), self._network, "networks")

    @app.route("/2/networks/<name>", methods=["GET"])
    def network(self, request: IRequest, name: str) -> bytes:
        return self._one(request, self.cluster.store.networks, name, self._network)

    @app.route("/2/instances", methods=["GET"])
    def instances(self, request: IRequest) -> bytes:
        return self._listing(request, self._all("instances"), self._instance, "instances")

    @app.route("/2/instances/<name>", methods=["GET"])
    def instance(self, request: IRequest, name: str) -> bytes:
        return self._one(request, self.cluster.store.instances, name, self._instance)

    def _all(self, table: str) -> Sequence[Any]:
        return list(self.cluster.store.tables[table].values())

    def _node(self, value: Any) -> Json:
        return fields.node_fields(self.cluster, value)

    def _group(self, value: Any) -> Json:
        return fields.group_fields(self.cluster, value)

    def _network(self, value: Any) -> Json:
        return fields.network_fields(self.cluster, value)

    def _instance(self, value: Any) -> Json:
        return fields.instance_fields(self.cluster, value)

    @app.route("/2/networks", methods=["POST"])
    def add_network(self, request: IRequest) -> bytes:
        body = body_of(request)
        try:
            ipaddress.IPv4Network(body.get("network") or "0.0.0.0/0")
        except ValueError as broken:
            if "host bits" in str(broken):
                raise Refused(500, f"{body['network']} has host bits set") from broken
        return self._submit(request, "networks", (opcodes.NETWORK_ADD, body))

    @app.route("/2/networks/<name>", methods=["DELETE"])
    def remove_network(self, request: IRequest, name: str) -> bytes:
        values = {**body_of(request), "network_name": name}
        return self._submit(request, "networks_name", (opcodes.NETWORK_REMOVE, values))

    @app.route("/2/networks/<name>/connect", methods=["PUT"])
    def connect_network(self, request: IRequest, name: str) -> bytes:
        values = {**body_of(request), "network_name": name}
        return self._submit(request, "networks_name_connect", (opcodes.NETWORK_CONNECT, values))

    @app.route("/2/networks/<name>/disconnect", methods=["PUT"])
    def disconnect_network(self, request: IRequest, name: str) -> bytes:
        values = {**body_of(request), "network_name": name}
        library = "networks_name_disconnect"
        return self._submit(request, library, (opcodes.NETWORK_DISCONNECT, values))

    @app.route("/2/instances", methods=["POST"])
    def create_instance(self, request: IRequest) -> bytes:
        body = body_of(request)
        version = body.pop("__version__", 0)
        if version == 0:
            raise Refused(400, "Instance creation request version 0 is no longer supported")
        if version != 1:
            raise Refused(400, f"Unsupported request data version {version}")
        for ours, theirs in (("name", "instance_name"), ("os", "os_type")):
            if ours in body:
                body[theirs] = body.pop(ours)
        for disk in body["disks"] if isinstance(body.get("disks"), list) else []:
            size = disk.get("size") if isinstance(disk, dict) else None
            if isinstance(size, str) and not size.isdigit():
                text = f"Failed to parse request: SubmitJob: Can't parse string '{size}'"
                raise Refused(502, text)
        return self._submit(request, "instances", (opcodes.INSTANCE_CREATE, body))

    @app.route("/2/instances/<name>", methods=["DELETE"])
    def remove_instance(self, request: IRequest, name: str) -> bytes:
        values = {**body_of(request), "instance_name": name}
        return self._submit(request, "instances_name", (opcodes.INSTANCE_REMOVE, values))

    @app.route("/2/instances/<name>/startup", methods=["PUT"])
    def start_instance(self, request: IRequest, name: str) -> bytes:
        values = {**body_of(request), "instance_name": name}
        return self._submit(request, "instances_name_startup", (opcodes.INSTANCE_STARTUP, values))

    @app.route("/2/instances/<name>/shutdown", methods=["PUT"])
    def stop_instance(self, request: IRequest, name: str) -> bytes:
        values = {**body_of(request), "instance_name": name}
        return self._submit(request, "instances_name_shutdown", (opcodes.INSTANCE_SHUTDOWN, values))

    @app.route("/2/instances/<name>/reboot", methods=["POST"])
    def reboot_instance(self, request: IRequest, name: str) -> bytes:
        body = body_of(request)
        if "type" in body:
            text = "Object OpInstanceReboot doesn't support the parameter 'type'"
            raise Refused(400, f"Invalid body parameters: {text}")
        values = {"reboot_type": query_value(request, "type") or "hard", "instance_name": name}
        return self._submit(
            request, "instances_name_reboot", (opcodes.INSTANCE_REBOOT, {**body, **values})
        )

    @app.route("/2/instances/<name>/modify", methods=["PUT"])
    def modify_instance(self, request: IRequest, name: str) -> bytes:
        values = {**body_of(request), "instance_name": name}
        return self._submit(request, "instances_name_modify", (opcodes.INSTANCE_SET_PARAMS, values))

    @app.route("/2/instances/<name>/reinstall", methods=["POST"])
    def reinstall_instance(self, request: IRequest, name: str) -> bytes:
        body, target = body_of(request), {"instance_name": name}
        values = {"os_type": body.get("os"), "osparams": body.get("osparams", {}), **target}
        ops = [(opcodes.INSTANCE_SHUTDOWN, target), (opcodes.INSTANCE_REINSTALL, values)]
        if body.get("start", True):
            ops.append((opcodes.INSTANCE_STARTUP, target))
        return self._submit(request, "instances_name_reinstall", *ops)

    @app.route("/2/instances/<name>/disk/<int:disk>/grow", methods=["POST"])
    def grow_disk(self, request: IRequest, name: str, disk: int) -> bytes:
        values = {**body_of(request), "instance_name": name, "disk": disk}
        library = "instances_name_disk_grow"
        return self._submit(request, library, (opcodes.INSTANCE_GROW_DISK, values))

    @app.route("/2/instances/<name>/tags", methods=["GET"])
    def tags(self, request: IRequest, name: str) -> bytes:
        if name not in self.cluster.store.instances:
            raise Refused(500, f"('Instance name {name} not found', 'unknown_entity')")
        return answer(request, list(self.cluster.store.instances[name].tags))

    @app.route("/2/instances/<name>/tags", methods=["PUT", "DELETE"])
    def change_tags(self, request: IRequest, name: str) -> bytes:
        tags = [tag.decode("utf-8", "replace") for tag in request.args.get(b"tag", [])]
        opcode = opcodes.TAGS_SET if request.method == b"PUT" else opcodes.TAGS_DEL
        values = {"kind": "instance", "tags": tags, "name": name}
        return self._submit(request, "instances_name_tags", (opcode, values))

    @app.route("/2/jobs", methods=["GET"])
    def all_jobs(self, request: IRequest) -> bytes:
        self.jobs.archive_old()
        live = [job for job in self.cluster.store.jobs.values() if not job.archived]
        if not number(request, "bulk"):
            return answer(request, [{"id": job.id, "uri": f"/2/jobs/{job.id}"} for job in live])
        hidden = ("oplog", "opresult", "archived")
        rows = [fields.job_fields(job) for job in live]
        return answer(
            request, [{key: row[key] for key in row if key not in hidden} for row in rows]
        )

    @app.route("/2/jobs/<int:job_id>", methods=["GET"])
    def one_job(self, request: IRequest, job_id: int) -> bytes:
        job = self.jobs.job(job_id)
        values = dict.fromkeys(query.JOB_FIELDS) | {"id": job_id}
        values = fields.job_fields(job) if job else values
        del values["archived"]
        return answer(request, values)

    @app.route("/2/jobs/<int:job_id>", methods=["DELETE"])
    def cancel_job(self, request: IRequest, job_id: int) -> bytes:
        return answer(request, list(self.jobs.cancel(job_id)))

    @app.route("/2/jobs/<int:job_id>/wait", methods=["GET"])
    async def wait_for_job(self, request: IRequest, job_id: int) -> bytes:
        body, job = body_of(request), self.jobs.job(job_id)
        if job is None:
            raise Refused(500, "Can't load job file")
        changed: Deferred[Json | None] = Deferred()

        def look(seen: Job) -> None:
            news = _news(seen, body)
            if seen.id == job_id and news is not None and not changed.called:
                changed.callback(news)

        stop = self.jobs.watch(look)
        late = self.cluster.clock.callLater(WAIT_SECONDS, changed.callback, None)
        try:
            look(job)
            return answer(request, await changed)
        finally:
            stop()
            if late.active():
                late.cancel()

    @app.route("/2/query/<what>", methods=["PUT"])
    def query(self, request: IRequest, what: str) -> bytes:
        body = body_of(request)
        if what != "job":
            text = f"Failed to parse request: Can't parse value '{what}' as neither"
            raise Refused(502, text + "QueryTypeLuxi nor QueryTypeOp")
        if "fields" not in body:
            raise Refused(400, "Missing 'fields' query argument")
        self.jobs.archive_old()
        rows = self._rows(query.named_ids(body.get("qfilter")))
        try:
            return answer(request, query.query_jobs(rows, body["fields"], body.get("qfilter")))
        except query.BadFilter as bad:
            raise Refused(bad.status, str(bad)) from bad

    def _rows(self, named: set[int] | None) -> list[Json]:
        """Job rows by ascending id; only those named, if any are."""
        table = self.cluster.store.jobs
        ids = sorted(int(key) for key in table) if named is None else sorted(named)
        return [fields.job_fields(table[str(job_id)]) for job_id in ids if str(job_id) in table]


def _news(job: Job, body: Json) -> Json | None:
    """What differs from what the waiting client has seen, None if nothing does."""
    row = fields.job_fields(job)
    info = [row.get(name) for name in body.get("fields", [])]
    serial = body.get("previous_log_serial") or 0
    entries = [entry for log in row["oplog"] for entry in log if entry[0] > serial]
    if info == body.get("previous_job_info") and not entries:
        return None
    return {"job_info": info, "log_entries": entries}

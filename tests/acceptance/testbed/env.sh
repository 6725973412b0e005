# Settings shared by ganeti-up, ganeti-down and ganeti-exec (sourced, not run).
#
# One cluster is one NAME with one INDEX (1-25).  Everything a cluster owns is
# derived from these two, so several clusters can live on one machine.

NAME=${NAME:-gnt11}
INDEX=${INDEX:-$(sed 's/[^0-9]//g' <<<"$NAME")}
[[ $NAME =~ ^[a-z][a-z0-9]*$ && $INDEX =~ ^([1-9]|1[0-9]|2[0-5])$ ]] || {
  echo "NAME must be like gnt1, INDEX from 1 to 25" >&2; exit 2; }

RAPI_USER=${GANETI_RAPI_USER:-testbed}
RAPI_PASSWORD=${GANETI_RAPI_PASSWORD:-testbed}
RAPI_PORT=$((5079 + INDEX))                # 5080 for the first cluster

BRIDGE=syntbr0                             # carries every cluster's addresses
NODE_IP=198.18.0.$((10 * INDEX))
MASTER_IP=198.18.0.$((10 * INDEX + 1))
NODE_NAME=node1.$NAME.example
CLUSTER_NAME=$NAME.example

STATE=/var/lib/synnefo-testbed/$NAME        # survives ganeti-down
NS=/run/synnefo-testbed/$NAME               # namespace handles, gone after it
BOOT=/var/lib/synnefo-testbed/boot          # guest kernel and initrd (--kvm)

# Run a command inside the cluster's own mount and host-name namespace.
inside() { nsenter --mount="$NS/mnt" --uts="$NS/uts" -- "$@"; }

# shellcheck shell=bash disable=SC2034,SC2154
# Three private nodes that are one cluster. Sourced by scripts/broker, never run. What is not set here, scripts/broker
# sets.
#
# Each node's inter-node traffic has an address of its own (127.0.0.11, .12 and .13; DIR/N/env names it), so that a packet
# filter can part one node from another: clients use 127.0.0.1. The three share one epmd, which lives as long as the cluster.

cluster_nodes=(1 2 3)
cluster_addresses=(127.0.0.11 127.0.0.12 127.0.0.13)

# --- One node of a cluster ------------------------------------------------------------------------------------------------

in_cluster() { [[ -e $home/in-cluster ]]; }

join_folder() { # from open_folder: makes the folder a node of the cluster that its parent folder is
  cluster=${dir%/*}
  dist_address=${cluster_addresses[${dir##*/} - 1]}
  node=$name@$dist_address
  epmd_pid=$cluster/epmd.pid
  line_file=$cluster/line
}

cluster_config() {
  in_cluster || return 0
  local number at=1
  # A node that is cut off stops serving instead of going its own way. A lost peer is noticed in 8 s, not in 60.
  printf '%s\n' 'cluster_partition_handling = pause_minority' 'net_ticktime = 8'
  [[ ${dir##*/} != "${cluster_nodes[0]}" ]] || return 0
  # A first start with an empty folder joins the first node; any later start knows its peers.
  printf '%s\n' 'cluster_formation.peer_discovery_backend = classic_config' 'cluster_formation.discovery_retry_limit = 200'
  for number in "${cluster_nodes[0]}" "${dir##*/}"; do
    echo "cluster_formation.classic_config.nodes.$at = $(cluster_node_name "$number")"
    at=$((at + 1))
  done
}

cluster_node_name() { # cluster_node_name NUMBER
  echo "$(node_base_name "$cluster/$1")@${cluster_addresses[$1 - 1]}"
}

# --- The cluster ----------------------------------------------------------------------------------------------------------

# Same cookie and password everywhere: nodes let each other in, and a client may go to any.
make_cluster_folders() {
  local number
  for number in "${cluster_nodes[@]}"; do
    (umask 077 && mkdir -p "$cluster/$number/rabbitmq" && : >"$cluster/$number/rabbitmq/in-cluster")
    open_folder "$cluster/$number"
    make_secrets "$cluster/1/rabbitmq"
  done
}

cluster_is_formed() {
  local number
  for number in "${cluster_nodes[@]}"; do [[ -d $cluster/$number/rabbitmq/data ]] || return 1; done
}

open_cluster() {
  mkdir -p "$1"
  cluster=$(cd "$1" && pwd)
}

cluster_up() {
  local number one_by_one=yes
  take_turn
  exit_on_signals
  trap stop_cluster_unless_up EXIT
  SECONDS=0
  make_cluster_folders
  install_broker
  keep_line
  [[ -n ${bin:-} ]] || fail "a cluster needs an installed RabbitMQ: a Docker engine is not enough"
  # Nodes that stopped together wait for each other, so they start together.
  if cluster_is_formed; then one_by_one=no; fi
  for number in "${cluster_nodes[@]}"; do
    open_folder "$cluster/$number"
    read_ports
    broker_is_up && continue
    begin_node
    [[ $one_by_one == no ]] || await_node
  done
  for number in "${cluster_nodes[@]}"; do
    open_folder "$cluster/$number"
    read_ports
    await_node
    write_env
    say "node $number answers on 127.0.0.1:$amqp_port, its console on http://127.0.0.1:$management_port"
  done
  started_here=no
  say "a cluster of ${#cluster_nodes[@]} nodes ($SECONDS s)"
}

begin_node() {
  choose_ports
  write_config
  rm -f "$home"/log/*.log
  started_here=yes
  start_epmd || fail "epmd did not start: see $home/log/epmd.log"
  start_node
}

await_node() {
  wait_until "$ready_deadline_s" answers_or_is_gone || true
  if broker_is_up && answers; then return 0; fi
  show_log
  if broker_is_up; then fail "the node of $dir did not answer in $ready_deadline_s s"; fi
  fail "the node of $dir ended instead of answering; its log is in $home/log"
}

stop_cluster_unless_up() {
  local status=$?
  trap '' HUP INT TERM
  if [[ $status -ne 0 && $started_here == yes ]]; then
    say "stopping what was started" || true
    stop_cluster
  fi
}

# Told at once: one after the other, the last would wait for those that left before it.
stop_cluster() {
  local number
  for number in "${cluster_nodes[@]}"; do
    if find_recorded "$cluster/$number/rabbitmq/node.pid"; then kill -TERM "$recorded_pid" 2>/dev/null || true; fi
  done
  for number in "${cluster_nodes[@]}"; do
    stop_recorded "$cluster/$number/rabbitmq/node.pid" "$stop_deadline_s" 2
    rm -f "$cluster/$number/env"
  done
  stop_recorded "$cluster/epmd.pid" 5
}

cluster_down() {
  take_turn
  stop_cluster
  say "the cluster is stopped"
}

cluster_purge() {
  local number
  cluster_down
  for number in "${cluster_nodes[@]}"; do rm -rf "${cluster:?}/$number"; done
  rm -f "$cluster/epmd.port" "$cluster/line"
}

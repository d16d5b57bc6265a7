# shellcheck shell=bash disable=SC2034,SC2154
# The node from a Docker engine, where no RabbitMQ can be installed. Sourced by scripts/broker, never run. What is not set
# here, scripts/broker sets.

image=rabbitmq:4-management

in_docker() { [[ -e $home/container ]]; }

container_runs() { [[ $(docker inspect -f '{{.State.Running}}' "$name" 2>/dev/null) == true ]]; }

start_docker() {
  choose_ports
  write_config
  : >"$home/container"
  started_here=yes
  docker rm -f "$name" >/dev/null 2>&1 || true
  (umask 077 && printf 'RABBITMQ_DEFAULT_USER=%s\nRABBITMQ_DEFAULT_PASS=%s\n' "$user" "$(cat "$home/password")" >"$home/container.env")
  # The host name is part of the node's name, and so of where its data lies. The console's own health check is asked for the
  # port inside the container, which is why both sides have the same one.
  printf 'listeners.tcp.1 = 0.0.0.0:%s\ndisk_free_limit.absolute = 50MB\n' "$amqp_port" >"$home/container.conf"
  chmod 644 "$home/container.conf" "$home/enabled_plugins"
  child docker run -d --name "$name" --hostname payment-notifier --env-file "$home/container.env" \
    -v "$name:/var/lib/rabbitmq" -v "$home/enabled_plugins:/etc/rabbitmq/enabled_plugins:ro" -v "$home/container.conf:/etc/rabbitmq/conf.d/50-payment-notifier.conf:ro" \
    -p "127.0.0.1:$amqp_port:$amqp_port" -p "127.0.0.1:$management_port:15672" "$image" >/dev/null ||
    fail "the Docker engine could not start $image"
  if wait_until "$ready_deadline_s" answers_or_is_gone && broker_is_up && answers; then return 0; fi
  docker logs --tail 25 "$name" >&2 || true
  fail "RabbitMQ in the container $name did not answer in $ready_deadline_s s"
}

stop_docker() {
  docker stop -t "$stop_deadline_s" "$name" >/dev/null 2>&1 || true
  docker rm -f "$name" >/dev/null 2>&1 || true
  rm -f "$home/container"
}

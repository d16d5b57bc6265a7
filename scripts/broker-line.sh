# shellcheck shell=bash disable=SC2034,SC2154
# RabbitMQ of another line than the one that this system's packages hold: BROKER_LINE=3.10 or 4.0, kept in DIR/line.
# Sourced by scripts/broker, never run. What is not set here, scripts/broker sets.
#
# The line comes as a Debian of its own in a folder (debootstrap), shared by all nodes of this clone. A node runs there by
# chroot, in a mount namespace that ends with it and in which its own folder has the path that it has outside.

line_roots=${BROKER_ROOTS:-$root/.run}

line_suite() { # line_suite LINE: the Debian that ships it
  case $1 in
    3.10) echo bookworm ;;
    4.0) echo trixie ;;
    *) fail "BROKER_LINE is $1: only 3.10 and 4.0 are known" ;;
  esac
}

# Data of one line is not opened by another.
open_line() {
  local line=${BROKER_LINE:-}
  if [[ -r $line_file ]]; then
    line=$(cat "$line_file")
    [[ -z ${BROKER_LINE:-} || $BROKER_LINE == "$line" ]] || fail "$dir holds a node of RabbitMQ $line, not $BROKER_LINE: purge it first"
  elif [[ -n $line && -d $home/data ]]; then
    fail "$dir holds a node of this system's RabbitMQ: purge it first"
  fi
  line_root=''
  if [[ -n $line ]]; then
    [[ $(line_suite "$line") == "$(system_suite)" ]] || line_root=$line_roots/rabbitmq-$line
  fi
  node_line=$line
}

keep_line() { [[ -z $node_line ]] || echo "$node_line" >"$line_file"; }

system_suite() { (. /etc/os-release && echo "${VERSION_CODENAME:-}") 2>/dev/null || true; }

install_line() {
  [[ ! -x $line_root/usr/lib/rabbitmq/bin/rabbitmq-server ]] || return 0
  [[ $EUID -eq 0 ]] || fail "RabbitMQ $node_line is put into a folder by debootstrap and chroot: root is needed"
  need_packages debootstrap unshare -- debootstrap util-linux
  local suite
  suite=$(line_suite "$node_line")
  say "making a Debian $suite with RabbitMQ $node_line in $line_root"
  rm -rf "$line_root.new"
  child debootstrap --variant=minbase --include=rabbitmq-server "$suite" "$line_root.new" >"$line_root.log" 2>&1 ||
    fail "debootstrap failed; its log is $line_root.log"
  mv "$line_root.new" "$line_root"
}

# Replaces the shell, so that the pid stays. The command's folder is the node's, or its crash dumps would lie elsewhere.
become_in_line() { # become_in_line COMMAND...
  [[ -n $line_root ]] || exec "$@"
  mkdir -p "$line_root$home"
  # shellcheck disable=SC2016 # the inner shell expands them
  exec unshare --mount --propagation private bash -euc '
    mount --bind "$1" "$2$1"
    mount -t proc proc "$2/proc"
    mount --rbind /dev "$2/dev"
    exec chroot "$2" sh -c "cd \"\$0\" && exec \"\$@\"" "$1" "${@:3}"' sh "$home" "$line_root" "$@"
}

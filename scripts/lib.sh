# shellcheck shell=bash
# What the scripts beside this file share. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
child_pid=''
child_is_group=no

say() { printf '%s: %s\n' "${0##*/}" "$*"; }

fail() {
  printf '%s: error: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

need() { # need COMMAND WHAT-TO-INSTALL
  command -v "$1" >/dev/null || fail "$1 is missing: install $2"
}

need_cargo() {
  # sudo and bare shells often lack the one PATH entry that rustup adds.
  command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
  need cargo "Rust (rustup, or Debian's packages cargo and rustc)"
  need cc "a C compiler (on Debian: apt-get install gcc libc6-dev)"
}

# Installs Debian packages unless every named command is there already.
need_packages() { # need_packages COMMAND... -- PACKAGE...
  local missing=''
  while [[ $1 != -- ]]; do
    command -v "$1" >/dev/null || missing+=" $1"
    shift
  done
  shift
  [[ -z $missing ]] || install_packages "$@"
}

install_packages() { # install_packages PACKAGE...
  command -v apt-get >/dev/null || fail "there is no apt-get here: install what Debian calls $*"
  child "$root/scripts/apt-install" "$@" || fail "apt-get could not install $*"
}

# --- Children -------------------------------------------------------------------------------------------------------------

# bash runs no trap while a foreground command runs, so whatever takes long runs in the background and is waited for: a signal
# is then served at once. Descriptors 8 and 9 hold locks, which must end with the script and not with what it started.
child() {
  hold_signals
  "$@" <&0 8>&- 9>&- &
  child_pid=$!
  child_is_group=no
  release_signals
  wait_child
}

# The same in a process group of its own, for a command that leaves children of its own behind when it is stopped alone.
child_group() {
  hold_signals
  in_own_session "$@" </dev/null 8>&- 9>&- &
  child_pid=$!
  child_is_group=yes
  release_signals
  wait_child
}

wait_child() {
  local status=0
  wait "$child_pid" || status=$?
  child_pid=''
  return "$status"
}

in_own_session() {
  if command -v setsid >/dev/null; then exec setsid "$@"; else exec "$@"; fi
}

stop_child() {
  [[ -n $child_pid ]] || return 0
  local target=$child_pid
  if [[ $child_is_group == yes ]] && command -v setsid >/dev/null; then target=-$child_pid; fi
  kill -TERM -- "$target" 2>/dev/null || true
  wait "$child_pid" 2>/dev/null || true
  if [[ $target == -* ]] && ! wait_until 10 group_is_gone "$target"; then kill -KILL -- "$target" 2>/dev/null || true; fi
  child_pid=''
}

group_is_gone() { ! kill -0 -- "$1" 2>/dev/null; }

# Makes an end by signal an ordinary exit, so that the trap on EXIT is the one place that cleans up.
exit_on_signals() {
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 141' PIPE
  trap 'exit 143' TERM
}

# Between a start and the note of its pid a signal must wait, or nobody would stop what was started.
hold_signals() {
  held_status=''
  trap 'held_status=129' HUP
  trap 'held_status=130' INT
  trap 'held_status=143' TERM
}

release_signals() {
  exit_on_signals
  [[ -z $held_status ]] || exit "$held_status"
}

# --- Waiting, processes, ports --------------------------------------------------------------------------------------------

wait_until() { # wait_until DEADLINE_S COMMAND...
  local deadline_s=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline_s)) || return 1
    sleep 0.1
  done
}

# A process is recorded as its pid and its start: the pid alone may have been given to another process since.
# In builtins alone: a Ctrl-C goes to every process of the terminal, and would end a helper process in the middle of it.
find_start() { # find_start PID: sets process_start; fails if there is no such process, or only its zombie
  local stat=''
  process_start=''
  if [[ ! -d /proc/self ]]; then
    process_start=$(ps -o lstart= -p "$1" | tr -s ' ' '_') && [[ -n $process_start ]]
    return
  fi
  # Its file can vanish between the look and the read.
  [[ -r /proc/$1/stat ]] && { read -r stat <"/proc/$1/stat"; } 2>/dev/null && [[ -n $stat ]] || return 1
  # The fields after the command's name, which is in brackets and may hold anything: state first, start as the 20th.
  read -ra stat <<<"${stat##*) }"
  [[ ${stat[0]} != [ZX] ]] || return 1
  process_start=${stat[19]}
}

record_process() { # record_process FILE PID
  find_start "$2" || true
  echo "$2 $process_start" >"$1"
}

find_recorded() { # find_recorded FILE: sets recorded_pid if that very process still lives
  local start
  recorded_pid=''
  [[ -r $1 ]] && { read -r recorded_pid start <"$1"; } 2>/dev/null || return 1
  [[ -n $start ]] && find_start "$recorded_pid" && [[ $process_start == "$start" ]]
}

is_gone() { ! find_recorded "$1"; }

stop_recorded() { # stop_recorded FILE DEADLINE_S [AGAIN_S]: asks, waits, kills; forgets the file. AGAIN_S: asks again so often
  local deadline_s=$((SECONDS + $2)) again_s=${3:-$2}
  while find_recorded "$1" && ((SECONDS < deadline_s)); do
    kill -TERM "$recorded_pid" 2>/dev/null || true
    wait_until "$again_s" is_gone "$1" || true
  done
  if find_recorded "$1"; then
    say "process $recorded_pid did not stop in $2 s: killing it" || true
    kill -KILL "$recorded_pid" 2>/dev/null || true
    wait_until 10 is_gone "$1" || true
  fi
  rm -f "$1"
}

port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

port_is_open() { port_is_taken "$1"; }

free_port() { # free_port USUAL: the usual port or one of the 99 above it
  local port
  for ((port = $1; port < $1 + 100; port++)); do
    port_is_taken "$port" || { echo "$port" && return 0; }
  done
  fail "no free port between $1 and $((port - 1))"
}

random_hex() { # random_hex BYTES
  od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

# --- Locks and the broker of a command ------------------------------------------------------------------------------------

only_once() { # only_once LOCK-FILE WHAT [WHERE]
  command -v flock >/dev/null || return 0
  exec 9>"$1"
  flock -n 9 || fail "$2 already runs ${3:-in this folder}"
}

load_env() { # load_env FILE
  set -a
  # shellcheck source=/dev/null
  . "$1"
  set +a
}

# A node that was up before is left up. The mark outlives a kill -9 of the script, so that its next run still stops the node.
own_broker_up() { # own_broker_up DIR
  mkdir -p "$1"
  "$root/scripts/broker" status "$1" >/dev/null || : >"$1/broker-is-ours"
  child "$root/scripts/broker" up "$1"
}

own_broker_down() { # own_broker_down DIR
  [[ -e $1/broker-is-ours ]] || return 0
  "$root/scripts/broker" down "$1" && rm -f "$1/broker-is-ours"
}

# The same for PostgreSQL.
own_postgres_up() { # own_postgres_up DIR
  mkdir -p "$1"
  "$root/scripts/postgres" status "$1" >/dev/null || : >"$1/postgres-is-ours"
  child "$root/scripts/postgres" up "$1"
}

own_postgres_down() { # own_postgres_down DIR
  [[ -e $1/postgres-is-ours ]] || return 0
  "$root/scripts/postgres" down "$1" && rm -f "$1/postgres-is-ours"
}

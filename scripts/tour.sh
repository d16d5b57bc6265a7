# shellcheck shell=bash disable=SC2154
# The other half of a merchant for make demo: a fake payment provider and the worker that queries it. Sourced by scripts/run,
# after lib.sh; never run.

provider_wait_s=20

tour_needs() {
  need_packages node npm curl -- nodejs npm curl
  [[ $(node -p 'process.versions.node.split(".")[0]') -ge 20 ]] || fail "node 20 or newer is needed for make demo; this is $(node --version)"
  [[ -e $root/examples/inquiry/node/node_modules/.package-lock.json ]] && return 0
  say "installing the packages of examples/inquiry/node (npm ci)"
  child npm ci --prefix "$root/examples/inquiry/node" --no-audit --no-fund --loglevel=error || fail "npm ci failed in examples/inquiry/node"
}

# Before the service, which tells its page where the provider is.
provider_up() {
  local port
  port=$(free_port 9400)
  hold_signals
  in_own_session node "$root/examples/inquiry/fake-provider/fake-provider.mjs" --port "$port" --keys "$state/provider-keys" \
    </dev/null >"$state/provider.log" 2>&1 9>&- &
  record_process "$state/provider.pid" "$!"
  release_signals
  provider=http://127.0.0.1:$port
  wait_until "$provider_wait_s" provider_answers_or_is_gone || true
  provider_answers || fail "the fake provider did not start: see ${state#"$root/"}/provider.log"
  export PAYMENT_NOTIFIER__DEMO__PROVIDER_URL=$provider
}

provider_answers() { curl -fs --noproxy '*' --max-time 5 -o /dev/null "$provider/fake"; }
provider_answers_or_is_gone() { provider_answers || is_gone "$state/provider.pid"; }

# The merchant of the demo page, with the keys that the provider made.
worker_settings() {
  curl -fsS --noproxy '*' --max-time 5 "$provider/fake" | node -e '
    const { wechat_pay } = JSON.parse(require("fs").readFileSync(0, "utf8"))
    const { mchid, serial_no, private_key_file, platform_keys, base_url } = wechat_pay
    const account = { provider: "wechat_pay", mchid, serial_no, private_key_file, platform_keys, base_url }
    console.log(JSON.stringify({ merchants: { [process.argv[1]]: [account] } }))' \
    "${PAYMENT_NOTIFIER__PAYMENTS__DEFAULT_MERCHANT:-demo}" >"$state/worker.json"
}

worker_up() {
  local url=$AMQP_URL
  # The worker makes its queue itself, which the publisher of the definitions may not.
  if [[ $has_own_broker == yes ]]; then url=$(amqp_url_of "$RABBITMQ_USER" "$RABBITMQ_PASSWORD"); fi
  worker_settings
  hold_signals
  AMQP_URL=$url in_own_session node "$root/examples/inquiry/node/worker.mjs" "$state/worker.json" \
    </dev/null >"$state/worker.log" 2>&1 9>&- &
  record_process "$state/worker.pid" "$!"
  release_signals
  wait_until "$provider_wait_s" worker_works_or_is_gone || true
  if is_gone "$state/worker.pid" || ! worker_works; then fail "the worker did not start: see ${state#"$root/"}/worker.log"; fi
}

worker_works() { grep -q consuming "$state/worker.log"; }
worker_works_or_is_gone() { worker_works || is_gone "$state/worker.pid"; }

tour_down() {
  stop_recorded "$state/worker.pid" 15
  stop_recorded "$state/provider.pid" 5
}

# shellcheck shell=bash disable=SC2154
# Gives a private broker what operators give theirs: config/rabbitmq/definitions.json, with a password of one's own. Sourced
# after lib.sh and with the broker's settings loaded, never run.

import_definitions() { # import_definitions FOLDER PASSWORD: for each user of the file that password
  local hash
  hash=$("$root/scripts/rabbitmq-password-hash" <<<"$2")
  (umask 077 && sed "s|\"password_hash\": \"[^\"]*\"|\"password_hash\": \"$hash\"|" "$root/config/rabbitmq/definitions.json" >"$1/definitions.json")
  say "importing config/rabbitmq/definitions.json, with a password of this folder's own"
  console POST definitions "@$1/definitions.json"
  # So that the console's own login sees the messages of that vhost too.
  console PUT "permissions/payments/$RABBITMQ_USER" '{ "configure": ".*", "write": ".*", "read": ".*" }'
}

console() { # console METHOD PATH BODY
  curl -fsS --noproxy '*' --max-time 20 -o /dev/null -K - -X "$1" -H 'content-type: application/json' --data-binary "$3" \
    "$MANAGEMENT_URL/api/$2" <<<"user = \"$RABBITMQ_USER:$RABBITMQ_PASSWORD\"" || fail "RabbitMQ did not take $1 /api/$2"
}

amqp_url_of() { # amqp_url_of USER PASSWORD: the same broker for a user of the definitions
  local authority=${AMQP_URL##*@}
  echo "amqp://$1:$2@${authority%%/*}/payments"
}

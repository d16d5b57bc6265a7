"""Publishes one payment result and ends well only when RabbitMQ has it in a queue.

usage: python3 publish.py MERCHANT ORDER STATUS        (pika, in a virtual environment)
AMQP_URL, EXCHANGE and ROUTING_KEY in the environment say where to.
"""

import json
import os
import sys
import threading
import uuid
from datetime import datetime, timezone

import pika
from pika import exceptions

DEADLINE_S = 10


def cloud_event(merchant, order, status):
    """A CloudEvent in the structured form: everything is in the body."""
    return {
        "specversion": "1.0",
        # Of this event. Whoever sends it again, after a crash, say, sends the same id, and it counts once.
        "id": str(uuid.uuid4()),
        "source": f"/merchants/{merchant}",
        "type": "payment.result",
        # When it happened at the payment provider.
        "time": datetime.now(timezone.utc).isoformat(),
        "datacontenttype": "application/json",
        "data": {
            "merchant_id": merchant,
            "order_id": order,
            "status": status,
            "amount": {"value": 1999, "currency": "CNY"},  # minor units: 19.99 yuan
            "provider": "example",
        },
    }


def publish(event):
    parameters = pika.URLParameters(os.environ.get("AMQP_URL", "amqp://127.0.0.1/"))
    parameters.blocked_connection_timeout = DEADLINE_S  # RabbitMQ short of memory or disk
    parameters.heartbeat = DEADLINE_S
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()  # from here on, publishing waits for RabbitMQ's confirm
    channel.basic_publish(
        os.environ.get("EXCHANGE", "payments"),
        os.environ.get("ROUTING_KEY", "payment.result.example"),
        json.dumps(event).encode(),
        pika.BasicProperties(
            content_type="application/cloudevents+json",
            delivery_mode=pika.DeliveryMode.Persistent,
            message_id=event["id"],
        ),
        mandatory=True,  # that no queue takes it is an error
    )
    connection.close()


def give_up():
    """Ends the program, whatever it waits for: pika has no time limit for the confirm itself."""
    print(f"not published: no confirm in {DEADLINE_S} s", file=sys.stderr, flush=True)
    os._exit(1)


if len(sys.argv) != 4:
    sys.exit("usage: python3 publish.py MERCHANT ORDER STATUS")
event = cloud_event(*sys.argv[1:])
deadline = threading.Timer(DEADLINE_S, give_up)
deadline.daemon = True
deadline.start()
try:
    publish(event)
except exceptions.UnroutableError:
    sys.exit("not published: no queue is bound for it")
except (exceptions.AMQPError, OSError) as error:
    sys.exit(f"not published: {error!r}")
except (ValueError, LookupError):
    sys.exit("not published: AMQP_URL is not an AMQP address")
finally:
    deadline.cancel()
print(f"published {event['id']}; look: scripts/pn order show {sys.argv[1]} {sys.argv[2]}")

"""Publishes payment results as merchants who use pika do, in the forms that examples/publishers does not show.

Reads one JSON object from standard input: url, exchange, routing_key and messages, each with its form and its event.
Every message is confirmed and routed, or this ends with an exception.
"""

import json
import sys

import pika

ENVELOPE = ("event_id", "occurred_at")


def split(event):
    """The event without what a CloudEvents envelope carries, and that envelope."""
    data = {name: value for name, value in event.items() if name not in ENVELOPE}
    attributes = {
        "specversion": "1.0",
        "id": event["event_id"],
        "source": "/merchants/" + event["merchant_id"],
        "type": "payment.result",
        "time": event["occurred_at"],
    }
    return data, attributes


def message(form, event):
    """The body and the properties of one form. No properties is pika's own default, and the most common case."""
    if form == "plain":
        return json.dumps(event), None
    if form == "plain-typed":
        return json.dumps(event), pika.BasicProperties(content_type="application/json", delivery_mode=2)
    if form == "cloudevents-binary":
        data, attributes = split(event)
        headers = {"cloudEvents_" + name: value for name, value in attributes.items()}
        return json.dumps(data), pika.BasicProperties(content_type="application/json", headers=headers)
    raise ValueError(form)


def main():
    job = json.load(sys.stdin)
    connection = pika.BlockingConnection(pika.URLParameters(job["url"]))
    channel = connection.channel()
    channel.confirm_delivery()
    for item in job["messages"]:
        body, properties = message(item["form"], item["event"])
        channel.basic_publish(job["exchange"], job["routing_key"], body.encode(), properties, mandatory=True)
    connection.close()


main()

"""Mints a ticket for one page: python3 ticket.py MERCHANT ORDER SUB, with the shared secret in TICKET_SECRET."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time

TTL_S = 15 * 60
SECRET_BYTES_MIN = 32


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def mint(secret, merchant, order, sub):
    """A JWT by HMAC-SHA256. `sub` is the payer: openid or user id. For several orders `order_id` is a list, of at most 20."""
    claims = {
        "aud": "payment-notifier",
        "merchant_id": merchant,
        "order_id": order,
        "sub": sub,
        "exp": int(time.time()) + TTL_S,
    }
    header = {"alg": "HS256", "typ": "JWT"}
    signed = b".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    signature = hmac.new(secret, signed, hashlib.sha256).digest()
    return (signed + b"." + base64url(signature)).decode()


def main():
    secret = os.environ.get("TICKET_SECRET", "").encode()
    if len(sys.argv) != 4:
        sys.exit("usage: python3 ticket.py MERCHANT ORDER SUB")
    if len(secret) < SECRET_BYTES_MIN:
        sys.exit(f"TICKET_SECRET must have at least {SECRET_BYTES_MIN} bytes")
    print(mint(secret, *sys.argv[1:]))


main()

"""A thousand invented people and what they do for three weeks: the input of the runs from outside, the same for each seed."""

import csv, itertools, random

from _shop import DAY, MINUTE, Shop, ms, rfc3339

START, DAYS = ms("2026-03-20T00:00:00Z"), 24      # the clocks go forward on 29 March
ZONES = ["Europe/Berlin", "Europe/Berlin", "Europe/Berlin", "Europe/London", "America/New_York"]


def people(count, rng):
    for n in range(count):
        yield {"user_id": f"u{n:05}", "email": "" if n % 40 == 7 else f"person{n}@example.org", "first_name": f"P{n}",
               "locale": rng.choice(["de", "en"]), "timezone": rng.choice(ZONES),
               "consent_marketing_email": rng.choice(["yes", "yes", ""]), "consent_marketing_email_at": "2026-01-05T10:00:00Z"}


def happenings(contacts, rng):
    """Per contact a list of (moment, event, properties); all on whole five minutes, none within minutes of a deadline."""
    for contact in contacts:
        at = lambda lo, hi: START + rng.randrange(int(lo * 288), int(hi * 288)) * 5 * MINUTE + 137_000
        life = []
        if not contact["consent_marketing_email"] and rng.random() < 0.8:
            signed = at(0, 8)
            life.append((signed, "signed_up", {"source": "web", "newsletter": rng.random() < 0.9}))
            if rng.random() < 0.7:
                life.append((signed + rng.randrange(1, 2000) * 5 * MINUTE + 61_000, "optin_confirmed", {}))
        for cart in range(rng.choice([0, 0, 1, 1, 2])):
            begun, cart_id = at(0, 16), f"{contact['user_id']}-{cart}"
            for _ in range(rng.choice([1, 1, 2, 3])):
                life.append((begun, "cart_updated", {"cart_id": cart_id, "value": rng.choice([9.9, 24.9, 61.7, 0]), "items": []}))
                begun += rng.randrange(2, 60) * 5 * MINUTE + 19_000
            if rng.random() < 0.4:
                life.append((begun + rng.randrange(1, 600) * 5 * MINUTE, "order_placed",
                             {"order_id": cart_id, "cart_id": cart_id, "value": 30}))
        if rng.random() < 0.05:
            life.append((at(2, 20), "account_closed", {}))
        yield contact, sorted(life, key=lambda h: h[0])


def open_shop(program, folder, lives):
    """A shop with these people imported, the daemon running, and what will happen as (moment, item) for `Shop.play`."""
    shop = Shop(program, folder, rfc3339(START))
    with open(f"{folder}/people.csv", "w", newline="") as file:
        rows = csv.DictWriter(file, lives[0][0].keys())
        rows.writeheader()
        rows.writerows(contact for contact, _ in lives)
    shop.cli("import", "contacts", f"{folder}/people.csv")
    numbers = itertools.count()
    stream = [(at, {"type": "track", "messageId": f"m{next(numbers)}", "userId": contact["user_id"], "event": name,
                    "timestamp": rfc3339(at), "properties": fields}) for contact, life in lives for at, name, fields in life]
    return shop.serve(), stream


def population(count):
    rng = random.Random(count)
    return list(happenings(list(people(count, rng)), rng))


END = START + DAYS * DAY

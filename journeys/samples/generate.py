#!/usr/bin/env python3
"""Writes contacts.csv and events.jsonl of the sample shop.

Everything is invented: no row stands for a real person, and every address lies in example.org or example.com,
which belong to nobody. The seed is fixed and only `Random.random` is used, whose sequence is the same in every
Python 3, so both files come out byte for byte the same. Standard library only.

    python3 generate.py            writes both files beside this script
    python3 generate.py --check    exit code 1 when they differ from what it would write
"""

import csv
import io
import json
import random
import sys
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

SEED = 20260302
DAY_0 = datetime(2026, 3, 2, tzinfo=timezone.utc)
HISTORY_DAYS, PLAY_DAYS = 60, 90
CONTACTS = 300
RECENT = 60  # so many of them signed up within the history

ATTRIBUTES = ["email", "first_name", "last_name", "locale", "timezone", "birthday", "club", "phone", "postal"]

FIRST_DE = """Anna Ben Björn Clara Dörte Elif Emil Finn Frieda Gül Hannes Hülya Ida Jakob Jörg Jürgen Käthe Kübra Lena
Leon Lukas Mareike Marie Maximilian Mehmet Mia Nele Noah Øyvind Özlem Paul Philipp René Rüdiger Sabine Sören Theo
Thea Ümit Ursula Vera Wiebke Yara Zoë""".split()
LAST_DE = """Albrecht Bäcker Böhm Brückner Çelik Demir Dreßler Eßer Fährmann Fröhlich Großmann Günther Hübner Jäger
Kaya Köhler König Krüger Lüders Maaß Möller Müller Nägele Öztürk Peters Pfeiffer Prüß Richter Schäfer Schröder Schütz
Sommer Süß Thoma Übelacker Vögele Weiß Werner Wünsche Yıldız Zöllner""".split()
FIRST_EN = """Ada Alfie Beatrix Callum Chloë Dylan Eleanor Freya George Harriet Imogen Jack Kiera Liam Matilda Niamh
Oliver Poppy Rhys Siobhán Toby Violet Winston Zadie""".split()
LAST_EN = """Abbott Barlow Carmichael Dunne Ellison Fairweather Grant Hollis Ingram Jarvis Kendrick Lockwood Mercer
Norwood O'Brien Pemberton Quigley Rowntree Sinclair Thackeray Underhill Whitlock Yates""".split()
LONG = [
    ("Maria-Magdalena Theodora", "Freifrau von Tannengrund-Oberwiesenbach"),
    ("Karl-Heinz Friedrich", "Schönhuber-Mühlenbrink-Äpfelstädt"),
    ("Bartholomew Fitzgerald", "Featherwright-Oakhampstead-Barlow"),
    ("Ngọc Ánh", "Nguyễn"),
    ("Łucja", "Wiśniewska-Błaszczyk"),
    ("José", "de la Peña y Muñoz"),
]
STREETS_DE = "Ahornweg Birkenallee Eichenstraße Gartenweg Kirchplatz Lindenstraße Mühlenweg Rosenstraße".split()
STREETS_EN = ["Church Lane", "High Street", "Mill Road", "Orchard Close", "Park View", "Station Road"]
TOWNS_DE = ["10115 Berlin", "20095 Hamburg", "50667 Köln", "01067 Dresden", "04109 Leipzig", "80331 München"]
TOWNS_EN = ["Bath BA1 1AA", "Leeds LS1 1AA", "York YO1 1AA"]
ASCII = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "ae", "Ö": "oe", "Ü": "ue", "ç": "c", "Ç": "c", "ı": "i",
     "ø": "o", "Ø": "o", "é": "e", "ë": "e", "á": "a", "Á": "a", "ọ": "o", "ễ": "e", "ł": "l", "Ł": "l", "ś": "s",
     "ñ": "n", "'": ""}
)

COFFEES = [  # sku, name, price in cents
    ("hb-250", "Hausblend 250 g", 890), ("hb-1000", "Hausblend 1 kg", 2990),
    ("et-250", "Yirgacheffe 250 g", 1090), ("et-1000", "Yirgacheffe 1 kg", 3690),
    ("co-250", "Finca La Loma 250 g", 1190), ("es-500", "Espresso Nachtzug 500 g", 1590),
    ("es-1000", "Espresso Nachtzug 1 kg", 2790), ("de-250", "Entkoffeiniert 250 g", 990),
    ("set-3", "Probierset, drei Sorten", 2490), ("fi-100", "Filterpapier, 100 Stück", 490),
    ("mu-1", "Handmühle", 7900), ("ka-6", "Karaffe für sechs Tassen", 3450),
]
HOURS = [0, 0, 0, 0, 0, 1, 3, 5, 6, 7, 7, 8, 8, 7, 6, 6, 6, 8, 10, 12, 12, 9, 4, 1]  # when people shop, hours of UTC

rng = random.Random(SEED)


def chance(share):
    return rng.random() < share


def below(n):
    return int(rng.random() * n)


def pick(items):
    return items[below(len(items))]


def weighted(items):
    """One of `(value, weight)` pairs."""
    point = rng.random() * sum(weight for _, weight in items)
    for value, weight in items:
        point -= weight
        if point < 0:
            return value
    return items[-1][0]


class Aside:
    """Chances of one person or one kind of happening. What is drawn here changes nothing that is drawn elsewhere."""

    def __init__(self, number):
        self.rng = random.Random(SEED * 100_000 + number)

    def chance(self, share):
        return self.rng.random() < share

    def pick(self, items):
        return items[int(self.rng.random() * len(items))]

    def below(self, n):
        return int(self.rng.random() * n)


def iso(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_on(day):
    """A moment on the n-th day after day 0, more likely in the evening."""
    hour = weighted(list(enumerate(HOURS)))
    return DAY_0 + timedelta(days=day, hours=hour, minutes=below(60), seconds=below(60))


def person(number):
    """Who somebody is: the attributes as the schema of the shop names them."""
    english = chance(0.24)
    if number % 53 == 7:
        first, last = LONG[number // 53 % len(LONG)]
    else:
        first, last = (pick(FIRST_EN), pick(LAST_EN)) if english else (pick(FIRST_DE), pick(LAST_DE))
    if english:
        zone = weighted([("Europe/London", 50), ("America/New_York", 22), ("Europe/Berlin", 20), ("", 8)])
    else:
        zone = weighted([("Europe/Berlin", 90), ("", 7), ("Europe/London", 2), ("America/New_York", 1)])
    born = date(1948, 1, 1) + timedelta(days=below(20600))
    mailbox = f"{first.split()[0]}.{last.split()[-1]}".translate(ASCII).lower()
    return {
        "user_id": f"u{number:04}",
        "email": f"{mailbox}.{number}@{pick(['example.org', 'example.com'])}",
        "first_name": "" if chance(0.04) else first,
        "last_name": last,
        "locale": "en" if english else "de",
        "timezone": zone,
        "birthday": "" if chance(0.3) else born.isoformat(),
        "club": "yes" if chance(0.12) else "no",
        **reached(number, english),
    }


def reached(number, english):
    """Telephone and postal address. The numbers are of ranges that are kept free for stories, and lead to nobody."""
    draw = Aside(number)
    phone = f"+447700900{number % 1000:03}" if english else f"+493023125{number % 1000:03}"
    house = f"{draw.below(90) + 1}"
    street, town = (STREETS_EN, TOWNS_EN) if english else (STREETS_DE, TOWNS_DE)
    address = f"{house} {draw.pick(street)}" if english else f"{draw.pick(street)} {house}"
    return {
        "phone": phone if draw.chance(0.72) else "",
        "postal": f"{address}, {draw.pick(town)}" if draw.chance(0.85) else "",
    }


def contacts():
    """The people whom the shop knows on day 0."""
    rows = []
    for number in range(1, CONTACTS + 1):
        row = person(number)
        recent = number > CONTACTS - RECENT
        if number % 61 == 12:
            row["email"] = ""
        if number in (29, 129):
            row["birthday"] = ("1988", "1996")[number == 129] + "-02-29"
        # Those who signed up lately have answered the mail that asks them; of the older ones not all were ever asked.
        consent = weighted([("yes", 64), ("no", 14), ("", 0 if recent else 22)])
        age = below(HISTORY_DAYS) if recent else HISTORY_DAYS + below(1200)
        asked = moment_on(-1 - age)
        row["consent_marketing_email"] = consent
        row["consent_marketing_email_at"] = iso(asked) if consent else ""
        by_phone = row["phone"] and consent == "yes" and Aside(number + 50_000).chance(0.6)
        # Some want no mail, and like to be called.
        by_phone = by_phone or (row["phone"] and consent == "no" and Aside(number + 70_000).chance(0.3))
        row["consent_marketing_phone"] = "yes" if by_phone else ""
        row["consent_marketing_phone_at"] = iso(asked) if by_phone else ""
        elsewhere = consent == "yes" and Aside(number + 60_000).chance(0.45)
        row["consent_marketing_ads"] = "yes" if elsewhere else ""
        row["consent_marketing_ads_at"] = iso(asked) if elsewhere else ""
        rows.append(row)
    return rows


class Stream:
    """Collects the calls that the shop would make, in the shape of the Segment tracking API."""

    def __init__(self):
        self.calls = []
        self.carts = self.orders = 0
        # How message ids begin: a story that is told aside has its own, and renames none of the others.
        self.series = "shop"

    def track(self, moment, user_id, event, **properties):
        self.add(moment, {"type": "track", "userId": user_id, "event": event, "properties": properties})

    def identify(self, moment, user_id, traits):
        self.add(moment, {"type": "identify", "userId": user_id, "traits": traits})

    def add(self, moment, call):
        self.calls.append((moment, {"series": self.series, **call}))

    def sign_up(self, moment, row):
        traits = {name: row[name] for name in ATTRIBUTES if row[name] != ""}
        traits["club"] = traits["club"] == "yes"
        self.identify(moment, row["user_id"], traits)
        source = weighted([("web", 60), ("checkout", 28), ("app", 12)])
        self.track(moment + timedelta(seconds=1), row["user_id"], "signed_up", source=source, newsletter=chance(0.72))

    def visit(self, moment, user_id):
        """Somebody fills a cart in one to four goes, and then orders, goes away or takes everything out again."""
        self.carts += 1
        cart, items = f"c{self.carts:05}", []
        for _ in range(weighted([(1, 45), (2, 30), (3, 17), (4, 8)])):
            moment += timedelta(seconds=30 + below(1500))
            self.put(items)
            self.cart(moment, user_id, cart, items)
        end = weighted([("order", 34), ("later", 6), ("emptied", 5), ("left", 55)])
        if end == "order":
            self.order(moment + timedelta(minutes=2 + below(50)), user_id, cart, items)
        elif end == "later":  # comes back by itself, after the first reminder would have been due
            self.order(moment + timedelta(hours=4 + below(60)), user_id, cart, items)
        elif end == "emptied":
            self.cart(moment + timedelta(minutes=5 + below(90)), user_id, cart, [])

    def put(self, items):
        sku, name, cents = pick(COFFEES)
        for item in items:
            if item["sku"] == sku:
                item["qty"] += 1
                return
        items.append({"sku": sku, "name": name, "price": cents / 100, "qty": 2 if chance(0.2) else 1})

    def cart(self, moment, user_id, cart, items):
        copies = [dict(item) for item in items]
        self.track(moment, user_id, "cart_updated", cart_id=cart, value=total(items), items=copies)

    def order(self, moment, user_id, cart, items):
        self.orders += 1
        properties = {"order_id": f"o{self.orders:05}", "cart_id": cart, "value": total(items)}
        self.track(moment, user_id, "Order Completed", **properties)
        draw = Aside(100_000 + self.orders)
        there = moment + timedelta(days=1 + draw.below(3), hours=draw.below(6))
        self.track(there, user_id, "Order Delivered", order_id=properties["order_id"])
        if draw.chance(0.06):
            self.complain(there + timedelta(hours=2 + draw.below(90)), user_id, properties["order_id"], draw)

    def complain(self, moment, user_id, order, draw, door=None):
        topic = draw.pick(["the bag was open", "the wrong coffee", "it came too late", "ground too coarse", "tastes of nothing"])
        severity, other = draw.pick(["low", "low", "medium", "medium", "high"]), draw.pick(["web", "web", "cafe"])
        self.track(moment, user_id, "Complaint Received", case_id=f"k-{order}", severity=severity, topic=topic, door=door or other)
        if draw.chance(0.7):
            settled = moment + timedelta(hours=5 + draw.below(90))
            self.track(settled, user_id, "Complaint Resolved", case_id=f"k-{order}")

    def order_in_the_cafe(self, moment, user_id):
        """No cart, and the till has its own name for it."""
        self.orders += 1
        items = []
        self.put(items)
        self.track(moment, user_id, "order_completed", order_id=f"o{self.orders:05}", value=total(items))

    def lines(self):
        end = DAY_0 + timedelta(days=PLAY_DAYS)
        calls = sorted((c for c in self.calls if c[0] < end), key=lambda call: call[0])
        numbers = {}
        for moment, call in calls:
            series, kind, user_id = call.pop("series"), call.pop("type"), call.pop("userId")
            number = numbers[series] = numbers.get(series, 0) + 1
            head = {"type": kind, "messageId": f"{series}-{number:06}", "userId": user_id, "timestamp": iso(moment)}
            yield json.dumps({**head, **call}, ensure_ascii=False, separators=(",", ":")) + "\n"


def total(items):
    return sum(round(item["price"] * 100) * item["qty"] for item in items) / 100


def events(known):
    """Sixty days that have been, ninety that come. What people do because of a mail is left to the demo."""
    stream = Stream()
    since = {row["user_id"]: joined(row) for row in known}

    def somebody(moment):
        """One of those who have an account by then."""
        return pick([user_id for user_id, then in since.items() if then < moment])

    for row in known[-RECENT:]:
        stream.sign_up(joined(row), row)
    number, later = CONTACTS, []
    for day in range(-HISTORY_DAYS, PLAY_DAYS):
        for _ in range(2 + below(5) if day >= 0 else 0):
            number += 1
            row, moment = person(number), moment_on(day)
            if number % 59 == 0:
                row["email"] = ""
            stream.sign_up(moment, row)
            since[row["user_id"]] = moment
            later.append((row, DAY_0 + timedelta(days=day + 1)))
            if chance(0.35):
                stream.visit(moment + timedelta(minutes=3 + below(600)), row["user_id"])
        for _ in range(2 + below(5) if day >= 0 else 1 + below(4)):
            moment = moment_on(day)
            stream.visit(moment, somebody(moment))
        if chance(0.4):
            moment = moment_on(day)
            stream.order_in_the_cafe(moment, somebody(moment))
        if day > 0 and chance(0.15):
            gone, moment = somebody(DAY_0 + timedelta(days=day)), moment_on(day)
            del since[gone]
            reason = pick(["too many accounts", "moving away", "only wanted to look"])
            stream.track(moment, gone, "account_closed", reason=reason)
    invite(stream, since)
    without_mail(stream, [(row, DAY_0) for row in known] + later)
    return stream


def without_mail(stream, people):
    """Who has a telephone and gets no mail. Those without an address for it complain in the café, and hear from the shop by text
    message. Those who have agreed to be called order there, twice, and have it brought: they are asked by telephone how it was."""
    stream.series = "phone"
    by_phone = [(row, day) for row, day in people if row["phone"] and not (row["email"] and wants_mail(row))]
    for number, (row, day) in enumerate(by_phone):
        draw, user_id = Aside(910_000 + number), row["user_id"]
        if not row.get("consent_marketing_phone"):
            if row["email"]:
                continue
            stream.complain(day + timedelta(hours=8 + draw.below(2)), user_id, f"w{number:02}", draw, door="cafe")
            continue
        for parcel in range(2):
            order, ordered = f"w{number:02}{parcel}", day + timedelta(hours=8 + 2 * parcel)
            stream.track(ordered, user_id, "order_completed", order_id=order, value=11.9)
            stream.track(ordered + timedelta(days=1), user_id, "Order Delivered", order_id=order)


def wants_mail(row):
    return row.get("consent_marketing_email") != "no"


def invite(stream, since):
    """An evening in the roastery to which some are asked, and people who would like to give codes away."""
    draw, people = Aside(900_000), sorted(since)
    begins = DAY_0 + timedelta(days=40, hours=17)
    for user_id in people:
        asked = DAY_0 + timedelta(days=19, hours=9, minutes=draw.below(300))
        if since[user_id] < asked and draw.chance(0.12):
            stream.track(asked, user_id, "Tasting Invitation", tasting="Ethiopia in six cups", starts_at=iso(begins))
        wished = DAY_0 + timedelta(days=draw.below(60), hours=8 + draw.below(10))
        if since[user_id] < wished and draw.chance(0.08):
            stream.track(wished, user_id, "Friends Wanted")


def joined(row):
    """Signed up a little before the answer to the mail that asks for consent; some long ago, and nobody asked."""
    asked = row["consent_marketing_email_at"]
    if not asked:
        return DAY_0 - timedelta(days=1000)
    return datetime.fromisoformat(asked.replace("Z", "+00:00")) - timedelta(minutes=4)


def files():
    known = contacts()
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(known[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(known)
    return {"contacts.csv": table.getvalue(), "events.jsonl": "".join(events(known).lines())}


def main():
    here, stale = Path(__file__).parent, []
    for name, text in files().items():
        path, content = here / name, text.encode("utf-8")
        if "--check" not in sys.argv[1:]:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            stale.append(name)
    if stale:
        sys.exit(f"not what generate.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()

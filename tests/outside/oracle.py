"""Who must get which mail when, computed from the input alone and compared with what an SMTP server captured.

usage: oracle.py PROGRAM [CONTACTS]. The shop's journeys, written once more by hand: nothing of the program is used. Which variant of
a split somebody gets hangs on an internal id, so both count as one here, and their shares are looked at.
"""

import heapq, itertools, sys, tempfile
from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from _people import END, open_shop, population
from _shop import HOUR, ms, rfc3339

NEWS_AT = ms("2026-04-01T08:00:00Z")
EITHER = {"welcome_story": "welcome", "welcome_offer": "welcome", "news_beans": "news", "news_people": "news"}


def local(at, zone):
    return datetime.fromtimestamp(at / 1000, zone).replace(tzinfo=None)


def instant(there, zone):
    at = int(there.replace(tzinfo=zone).timestamp() * 1000)
    return at if abs(local(at, zone) - there) < timedelta(minutes=1) else at // HOUR * HOUR     # skipped: first instant after

def days(at, count, zone):
    return instant(local(at, zone) + timedelta(days=count), zone)


class Person:
    """One contact's life as coroutines: a journey yields (until, event name, test) and is sent the event, or None at its time."""

    def __init__(self, contact):
        self.zone, self.address = ZoneInfo(contact["timezone"]), contact["email"]
        self.consent, self.slots, self.mails, self.orders = bool(contact["consent_marketing_email"]), [], [], []

    def send(self, at, template, purpose=None, late=None):
        """Gives (sent?, when): marketing waits for the morning, then consent and caps are looked at."""
        there = local(at, self.zone)
        if purpose and self.address and self.consent and not 8 <= there.hour < 21:
            morning = there.replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=there.hour >= 21)
            at = instant(morning, self.zone)
            yield at, None, None
        recent = [kind for when, kind in self.slots if when > days(at, -7, self.zone)]
        capped = purpose and (len(recent) >= 3 or purpose == "reminders" and recent.count("reminders") >= 2)
        if not self.address or capped or purpose and not self.consent or late and at > late:
            return False, at
        if purpose:
            self.slots.append((at, purpose))
        self.mails.append((self.address, template, at))
        return True, at

    def welcome(self, at, _):
        entered = at
        if not (yield from self.send(at, "confirm_optin"))[0]:
            return
        click = yield days(at, 2, self.zone), "optin_confirmed", None
        if not click:
            _, at = yield from self.send(days(at, 2, self.zone), "confirm_reminder")
            click = yield days(at, 5, self.zone), "optin_confirmed", None
            if not click:
                return
        self.consent = True
        at = days((yield from self.send(click[0], "welcome", "marketing"))[1], 3, self.zone)
        yield at, None, None
        there = local(at, self.zone)
        while there.weekday() > 4 or not 9 <= there.hour < 17:
            there = there.replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=there.hour >= 9)
        if instant(there, self.zone) > at:
            at = instant(there, self.zone)
            yield at, None, None
        if not any(order >= entered for order in self.orders):
            yield from self.send(at, "first_steps", "marketing")

    def cart(self, at, cart):
        entered, same = at, lambda p: p["cart_id"] == cart["cart_id"]
        for _ in range(10):
            change = yield at + 2 * HOUR, "cart_updated", same
            at, cart = change or (at + 2 * HOUR, cart)
            if not change:
                break
        if cart["value"] < 20:
            return at
        sent, at = yield from self.send(at, "cart_reminder", "reminders")
        if not sent:
            return at
        change = yield days(at, 1, self.zone), "cart_updated", same
        if change:
            return change[0]
        _, at = yield from self.send(days(at, 1, self.zone), "cart_last_call", "reminders", days(entered, 4, self.zone))
        yield days(at, 3, self.zone), None, None
        return days(at, 3, self.zone)

    def live(self, life, end):
        inside, left, order = {}, {}, itertools.count()      # key -> [coroutine, until, name, test]; key -> when it was left

        def go(key, coroutine, value=None):
            try:
                inside[key] = [coroutine, *coroutine.send(value)]
            except StopIteration as done:
                left[key] = done.value if done.value else self.now
                inside.pop(key, None)

        happenings = [(at, next(order), name, fields) for at, name, fields in life] + [(NEWS_AT, next(order), "news", {})]
        heapq.heapify(happenings)
        while happenings or inside:
            due = min(((wait[1], key) for key, wait in inside.items()), default=(end + 1, None))
            if happenings and happenings[0][0] <= due[0]:
                self.now, _, name, fields = heapq.heappop(happenings)
                self.orders += [self.now] if name == "order_placed" else []
                for key, (coroutine, _, waits_for, test) in list(inside.items()):
                    if name == "account_closed" or name == "order_placed" and key == ("cart", fields.get("cart_id")):
                        del inside[key]
                        left[key] = self.now
                    elif waits_for == name and (not test or test(fields)):
                        go(key, coroutine, (self.now, fields))
                key = {"signed_up": ("welcome",), "cart_updated": ("cart", fields.get("cart_id")), "news": ("news",)}.get(name)
                may = {"signed_up": fields.get("newsletter"), "news": self.consent}.get(name, self.consent and fields.get("value", 0) >= 20)
                back = key in left and (key[0] == "welcome" or key[0] == "cart" and self.now < days(left[key], 7, self.zone))
                if key and may and key not in inside and not back:
                    go(key, {"signed_up": self.welcome, "news": lambda at, _: self.send(at, "news", "marketing")}.get(name, self.cart)(self.now, fields))
            elif due[0] <= end:
                self.now = due[0]
                go(due[1], inside[due[1]][0])
            else:
                break
        return self.mails


def main(program, count):
    lives = population(count)
    with tempfile.TemporaryDirectory() as folder:
        shop, stream = open_shop(program, folder, lives)
        shop.play(stream, END)
        assert shop.stop() == 0
        shop.close()
        want = Counter(mail for contact, life in lives for mail in Person(contact).live(life, END))
        got = Counter((to, EITHER.get(template, template), at) for to, template, _, at, _ in shop.sink.mails)
        shares = Counter(template for _, template, _, _, _ in shop.sink.mails)
        for to, template, at in sorted((want - got) | (got - want))[:30]:
            print(f"{'missing' if (to, template, at) in want - got else 'too many'}: {template} to {to} at {rfc3339(at)}")
        print(f"{len(lives)} contacts, {len(stream)} events, {got.total()} mails: {dict(shares)}")
        assert want == got, f"{(want - got).total()} missing, {(got - want).total()} too many"
        assert len({mail[2] for mail in shop.sink.mails}) == len(shop.sink.mails), "a Message-ID came twice"
        assert 0.5 < (shares["welcome_story"] + 10) / (shares["welcome_offer"] + 10) < 2, "the split is lopsided"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000)

"""Orders of a synthetic shop: who ordered how, what it cost to the cent, and what became of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

import forecast.synthetic.visits as visits
from forecast.synthetic.people import texts
from forecast.synthetic.settings import Settings

STORE = "Example Store"
PRODUCTS = [
    f"{colour} {thing}"
    for thing in (
        *("café mug", "teapot", "blanket", "lamp", "vase"),
        *("notebook", "candle", "basket", "apron", "clock"),
    )
    for colour in ("Blue", "Red", "Green", "White", "Black", "Yellow", "Grey", "Pink")
]
COUPONS = {"WELCOME10": 0.10, "SUMMER15": 0.15, "FRIENDS20": 0.20, "": 0.10}  # "" is a sale without a code
PAYMENTS = {"card": 0.45, "ideal": 0.3, "paypal": 0.2, "bank_transfer": 0.05}
LATE = ("cash_on_delivery", "bank_transfer")  # an order may wait for these and is a sale all the same
MOST_LINES = 12


def orders_of(
    rngs: list[np.random.Generator], settings: Settings, customers: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Orders, their lines and their refunds; money is in whole cents here."""
    orders = _placed(rngs[0], settings, customers)
    _known_as(rngs[1], settings, customers, orders)
    lines = _priced(rngs[2], settings, customers, orders)
    refunds = _fates(rngs[3], settings, orders)
    return orders, lines, refunds


def _placed(rng: np.random.Generator, settings: Settings, customers: pd.DataFrame) -> pd.DataFrame:
    own = visits.purchases(rng, settings, customers)
    renewed = visits.renewals(rng, settings, customers)
    placed = pd.concat([own.assign(kind="process"), renewed.assign(kind="renewal")], ignore_index=True)
    # Nobody's customers: sales over the counter without a name, and the shop's own tests.
    for kind, share in (("anonymous", settings.anonymous_share), ("test", settings.test_share)):
        count = round(share * len(own))
        chance = settings.intensity / settings.intensity.sum()
        extra = pd.DataFrame({"person": -1, "day": rng.choice(settings.days, count, p=chance), "kind": kind})
        placed = pd.concat([placed, extra], ignore_index=True)
    placed["order_ts"] = visits.stamps(rng, settings, placed["day"].to_numpy())
    # Something forgotten: a second order within three hours, and on the same day.
    again = placed[(placed["kind"] == "process") & (rng.random(len(placed)) < settings.same_day_share)]
    day = again["day"].to_numpy()
    midnight = visits.plain(visits.to_utc(rng, settings, day, np.full(len(again), visits.DAY - 1)))
    earlier = visits.plain(again["order_ts"])
    later = earlier + rng.integers(300, 10_800, len(again)).astype("timedelta64[s]")
    stamp = pd.Series(np.minimum(later, midnight)).dt.tz_localize("UTC")
    placed = pd.concat(
        [placed, again.assign(kind="second", order_ts=stamp.set_axis(again.index))], ignore_index=True
    )
    placed = placed.sort_values(["order_ts", "person"], kind="stable", ignore_index=True)
    placed["order_day"] = visits.wall_time(placed["order_ts"], settings.timezone).dt.normalize()
    return placed


def _known_as(
    rng: np.random.Generator, settings: Settings, customers: pd.DataFrame, orders: pd.DataFrame
) -> None:
    size, kind = len(orders), orders["kind"].to_numpy()
    person = orders["person"].to_numpy()
    named = person >= 0
    orders["order_id"] = texts(1001 + np.arange(size))
    orders["store"], orders["currency"] = STORE, settings.currency
    who = np.maximum(person, 0)
    for name in ("account_id", "email", "phone", "channel", "country"):
        orders[name] = customers[name].take(who).reset_index(drop=True)
        orders[name] = orders[name].where(named)
    orders["channel"] = orders["channel"].where(named, np.where(kind == "test", "test", "pos"))
    orders["country"] = orders["country"].where(named, "NL")
    for name in ("is_subscription", "is_wholesale", "is_marketplace"):
        orders[name] = customers[name].to_numpy()[who] & named
    orders["is_subscription"] &= np.isin(kind, ["process", "renewal"])
    orders["is_test"], orders["is_same_day"] = kind == "test", kind == "second"
    orders.loc[orders["is_marketplace"], "channel"] = "amazon"

    # Nobody logs in for the first order alone; an account's holder may order as a guest later.
    repeat = pd.Series(person).duplicated().to_numpy()
    as_guest = repeat & (rng.random(size) < settings.guest_checkout_share)
    orders["account_id"] = orders["account_id"].mask(as_guest)
    orders["is_guest"] = orders["account_id"].isna()
    orders.loc[kind == "test", "email"] = "test@example.com"
    way = rng.random(size)
    email = orders["email"].where(orders["is_guest"] & ~orders["is_marketplace"], None)
    orders["email"] = orders["email"].mask(email.notna() & (way < 0.15), email.str.upper())
    orders["email"] = orders["email"].mask(email.notna() & (way > 0.8), email.str.title())
    digits, way = orders["phone"].str.slice(1), rng.random(size)
    spaced = "+" + digits.str.slice(0, 3) + " " + digits.str.slice(3, 6) + " " + digits.str.slice(6)
    orders["phone"] = orders["phone"].mask(way < 0.15, "00" + digits).mask(way > 0.85, spaced)

    method = np.array(list(PAYMENTS), dtype=object)[
        rng.choice(len(PAYMENTS), size, p=list(PAYMENTS.values()))
    ]
    method[rng.random(size) < settings.cash_on_delivery_share] = "cash_on_delivery"
    method[kind == "anonymous"], method[kind == "test"] = "cash", "bogus"
    method[kind == "renewal"] = "card"
    method[orders["is_marketplace"].to_numpy()] = "amazon_marketplace"
    orders["payment_method"] = texts(method)


def _priced(
    rng: np.random.Generator, settings: Settings, customers: pd.DataFrame, orders: pd.DataFrame
) -> pd.DataFrame:
    size = len(orders)
    p = settings.spend_parameters["p"]
    middle = p * settings.spend_parameters["gamma"] / (settings.spend_parameters["q"] - 1.0)
    named = orders["person"].to_numpy() >= 0
    mean = np.where(named, customers["spend"].to_numpy()[np.maximum(orders["person"], 0)], middle)
    rate = settings.tax_rate
    spend = rng.gamma(p, mean / p) * ((1.0 + rate) if settings.tax_inclusive else 1.0)

    # The spend comes first and the prices after it: a product has no price of its own.
    count = np.minimum(1 + rng.poisson(settings.lines_per_order - 1.0, size), MOST_LINES)
    order = np.repeat(np.arange(size), count)
    start = np.cumsum(count) - count
    weight = rng.exponential(size=len(order)) + 0.2
    weight /= np.add.reduceat(weight, start)[order]
    quantity = np.where(rng.random(len(order)) < 0.8, 1, rng.integers(2, 5, len(order)))
    price = np.maximum(np.rint(np.maximum(spend, 1.0)[order] * 100.0 * weight / quantity), 1).astype(np.int64)
    line_total = price * quantity
    shown = np.add.reduceat(line_total, start)

    way = rng.random(size)
    choice = rng.integers(0, len(COUPONS), size)
    coupon = np.array(list(COUPONS), dtype=object)[choice]
    off = np.where(way < settings.discount_share, np.array(list(COUPONS.values()))[choice], 0.0)
    coupon[(way >= settings.discount_share) | (coupon == "")] = None
    free = rng.random(size) < settings.zero_value_share
    off[free], coupon[free] = 1.0, "GIFT100"
    tests = orders["is_test"].to_numpy()
    off[tests], coupon[tests] = 0.0, "TEST"
    discount = np.rint(shown * off).astype(np.int64)
    shown_subtotal = shown - discount
    carriage = round(settings.shipping * 100)
    collected = orders["payment_method"].to_numpy() == "cash"
    paid = (shown_subtotal < round(settings.free_shipping_from * 100)) & (shown_subtotal > 0) & ~collected
    shown_shipping = np.where(paid, carriage, 0)

    # Cents add up in both shops: what rounding leaves is the shipping's.
    if settings.tax_inclusive:
        total = shown_subtotal + shown_shipping
        tax = total - np.rint(total / (1.0 + rate)).astype(np.int64)
        net = np.rint(shown_subtotal / (1.0 + rate)).astype(np.int64)
        shipping = np.where(shown_shipping > 0, total - tax - net, 0)
        net = total - tax - shipping
        discount_net = np.rint(discount / (1.0 + rate)).astype(np.int64)
    else:
        net, shipping, discount_net = shown_subtotal, shown_shipping, discount
        tax = np.rint(net * rate).astype(np.int64) + np.rint(shipping * rate).astype(np.int64)
        total = net + shipping + tax
    for name, values in {
        "gross": net + discount_net, "discount": discount_net, "net": net, "shipping": shipping,
        "tax": tax, "other": np.zeros(size, dtype=np.int64), "total": total,
        "shown_subtotal": shown_subtotal, "shown_discount": discount, "shown_shipping": shown_shipping,
    }.items():  # fmt: skip
        orders[name] = values
    orders["coupon"] = texts(pa.array(coupon, pa.string()))

    product = (len(PRODUCTS) * rng.random(len(order)) ** 1.7).astype(np.int64)  # some sell far better
    lines = pd.DataFrame(
        {
            "order_id": orders["order_id"].to_numpy()[order],
            "line": np.arange(len(order)) - start[order] + 1,
            "product": np.array(PRODUCTS, dtype=object)[product],
            "sku": np.array([f"SKU-{i:04d}" for i in range(len(PRODUCTS))], dtype=object)[product],
            "quantity": quantity,
            "unit_price": price,
            "line_total": line_total,
            "line_discount": shares(discount, line_total, start, order),
            "gross": shares(net + discount_net, line_total, start, order),
            "net": shares(net, line_total, start, order),
        }
    )
    orders["first_product"] = lines["product"].to_numpy()[start]
    orders["lines"] = count
    return lines


def shares(amount: np.ndarray, weight: np.ndarray, start: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Cents of an order shared among its lines by weight, so that they add up."""
    before = np.cumsum(weight) - weight
    before -= before[start][order]
    whole = np.maximum(np.add.reduceat(weight, start), 1)[order]
    each = amount[order]
    return np.rint(each * ((before + weight) / whole)).astype(np.int64) - np.rint(
        each * (before / whole)
    ).astype(np.int64)


def _fates(rng: np.random.Generator, settings: Settings, orders: pd.DataFrame) -> pd.DataFrame:
    size = len(orders)
    end = (settings.first_day + settings.days).astype("datetime64[s]")
    wall = visits.wall_time(orders["order_ts"], settings.timezone).to_numpy().astype("datetime64[s]")
    cash = orders["payment_method"].isin(["cash", "amazon_marketplace", "bogus"]).to_numpy()

    # What has not happened by the last day of the shop is not known yet.
    after = visits.plain(orders["order_ts"]) + rng.integers(600, 3 * visits.DAY, size).astype(
        "timedelta64[s]"
    )
    cancelled = (rng.random(size) < settings.cancelled_share) & ~orders["is_test"].to_numpy()
    cancelled &= after < end - np.timedelta64(visits.DAY, "s")
    failed = cancelled & (rng.random(size) < 0.2)
    method = orders["payment_method"].to_numpy()
    late = method == "cash_on_delivery"
    pending = (late & (rng.random(size) < 0.6)) | (~cash & (rng.random(size) < settings.pending_share))
    pending &= ~cancelled & (orders["total"].to_numpy() > 0)

    chosen = ~cancelled & ~pending & ~orders["is_test"].to_numpy() & (orders["total"].to_numpy() > 100)
    chosen &= rng.random(size) < settings.refund_rate
    refunds = _refunds(rng, settings, orders, np.flatnonzero(chosen), wall)
    refunded = np.zeros(size, dtype=np.int64)
    np.add.at(refunded, refunds["row"].to_numpy(), refunds["amount"].to_numpy())
    orders["refunded"] = refunded
    total = orders["total"].to_numpy()
    status = np.select(
        [failed, cancelled, pending, (refunded > 0) & (refunded == total), refunded > 0],
        ["failed", "cancelled", "pending", "refunded", "partially_refunded"],
        "completed",
    )
    orders["status"] = texts(status.astype(object))
    gone = pd.Series(after).astype("datetime64[s]").dt.tz_localize("UTC")
    orders["cancelled_ts"] = gone.where(cancelled & ~failed)
    return refunds


def _refunds(
    rng: np.random.Generator, settings: Settings, orders: pd.DataFrame, row: np.ndarray, wall: np.ndarray
) -> pd.DataFrame:
    size, total = len(row), orders["total"].to_numpy()[row]
    partial = rng.random(size) < settings.partial_share
    part = np.clip(np.rint(total * rng.uniform(0.1, 0.6, size)).astype(np.int64), 1, total - 2)
    delay = np.where(rng.random(size) < 0.1, 0, 1 + rng.gamma(1.5, 6.0, size)).astype(np.int64)
    # A return on the day of the order is a return of all of it.
    delay = np.where(partial, np.maximum(delay, 1), delay)
    twice = np.flatnonzero(partial & (rng.random(size) < 0.1))
    more = np.maximum((total[twice] - part[twice]) // 3, 1)
    row = np.concatenate([row, row[twice]])
    amount = np.concatenate([np.where(partial, part, total), more])
    delay = np.concatenate([delay, delay[twice] + 5])

    # No refund falls on the day of another order of the same customer: a file that tells the two apart by
    # customer and day alone can still be read in one way only.
    day = (wall.astype("datetime64[D]") - settings.first_day).astype(np.int64)
    person = orders["person"].to_numpy().astype(np.int64)
    person = np.where(person < 0, 10**9 + np.arange(len(person)), person)
    taken = person * 100_000 + day
    alone = ~pd.Series(taken).duplicated(keep=False).to_numpy()
    delay = np.where(alone[row], delay, np.maximum(delay, 1))
    for _ in range(60):
        clash = (delay > 0) & np.isin(taken[row] + delay, taken)
        if not clash.any():
            break
        delay += clash
    second = np.where(delay == 0, 0, rng.integers(9 * 3600, 17 * 3600, len(row)))
    when = visits.to_utc(rng, settings, day[row] + delay, second)
    own = orders["order_ts"].iloc[row].reset_index(drop=True)
    when = when.astype("datetime64[s, UTC]").where(delay > 0, own)
    kept = (day[row] + delay < settings.days) & ~((delay > 0) & np.isin(taken[row] + delay, taken))
    found = pd.DataFrame(
        {
            "row": row,
            "order_id": orders["order_id"].to_numpy()[row],
            "refund_ts": when,
            "refund_day": visits.wall_time(when, settings.timezone).dt.normalize(),
            "amount": amount,
        }
    )[kept]
    # Tax and shipping come back in proportion; an order that came back whole gives back its parts.
    found = found.sort_values(["refund_ts", "row"], kind="stable", ignore_index=True)
    whole = orders.loc[found["row"], ["gross", "net", "shipping", "total"]].reset_index(drop=True)
    for name in ("gross", "net", "shipping"):
        part = np.rint(found["amount"] * whole[name] / whole["total"]).astype(np.int64)
        found[name] = np.where(found["amount"] == whole["total"], whole[name], part)
    found["shipping"] = np.minimum(found["shipping"], found["amount"] - found["net"])
    found["tax"] = found["amount"] - found["net"] - found["shipping"]
    return found

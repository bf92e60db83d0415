"""Payback, plans and what-ifs: closed forms, simulation, limits, and what must not matter."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.errors import ArgumentError
from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
from forecast.orders.plans import read_plan, read_spend
from forecast.periods import DAYS_PER_MONTH
from forecast.predict import ClvModel, Customers, predict_customers
from forecast.predict.calibration import Calibration
from forecast.predict.newcomers import newcomer_table
from forecast.predict.payback import ValueByAge, acquired_in, payback_table, value_by_age
from forecast.predict.planning import planned_value, priced_newcomers
from forecast.predict.whatif import Scenario, changed, read_scenario, what_if_table
from forecast.summary.first_orders import describe_first_orders

AS_OF = dt.date(2025, 12, 31)
GG = Fitted.from_parameters(GAMMA_GAMMA, dict(p=4.0, q=4.0, gamma=60.0), "given")
BG = Fitted.from_parameters(purchase_model("bg-nbd"), dict(r=0.8, alpha=60.0, a=0.5, b=4.0), "given")
MODEL = ClvModel(BG, GG, 0.9)
FIRST = describe_first_orders(np.random.default_rng(0).gamma(3.0, 10.0, 400))
WON = {"months": ["2025-10", "2025-11", "2025-12"], "customers": {"mail": [10, 20, 30], "web": [1, 2, 3]},
       "until": "2025-12-31"}  # fmt: skip


@pytest.fixture(scope="module")
def grouped() -> forecast.Model:
    log = forecast.cdnow()
    log["channel"] = ["web" if int(c) % 3 else "app" for c in log["customer_id"]]
    return forecast.fit(
        forecast.read_orders(log, currency="USD"), "1997-12-31", purchases="bg-nbd", by="channel"
    )


# --- value by age and payback -------------------------------------------------------------------------


@pytest.mark.parametrize("taught", [Calibration(), Calibration(spend_levels=np.linspace(0.8, 1.2, 24))])
def test_value_by_age_ends_at_the_table_of_newcomers(taught: Calibration) -> None:
    model = replace(MODEL, calibration=taught)
    found = value_by_age(model, FIRST, as_of=AS_OF, months=12, days=365, margin=0.4)
    row = newcomer_table(model, FIRST, as_of=AS_OF, days=365, levels=(), margin=0.4).iloc[0]
    assert found.mean[-1, 0] == pytest.approx(row["expected_value"], rel=1e-9)
    assert found.mean[0, 0] == pytest.approx(0.4 * row["first_order_value"])
    assert (np.diff(found.mean[:, 0]) > 0).all()
    for month in (3, 6):
        at = newcomer_table(
            model, FIRST, as_of=AS_OF, days=round(month * DAYS_PER_MONTH), levels=(), margin=0.4
        )
        assert found.mean[month, 0] == pytest.approx(at["expected_value"][0], rel=4e-3)  # whole days


def test_groups_and_their_mix(grouped: forecast.Model) -> None:
    kept = grouped.provenance["first_orders"]
    found = value_by_age(grouped.clv, kept, as_of=grouped.as_of, months=12, days=365)
    table = newcomer_table(grouped.clv, kept, as_of=grouped.as_of, days=365, levels=())
    assert list(found.groups) == table["group"].tolist()
    assert found.mean[-1] == pytest.approx(table["expected_value"].to_numpy(), rel=1e-9)
    low, high = found.limits(80.0)
    assert (low[-1] < found.mean[-1]).all()
    assert (found.mean[-1] < high[-1]).all()
    assert found.weight.sum() == pytest.approx(1.0)


def test_payback_has_a_month_and_a_chance() -> None:
    curve = np.array([10.0, 14.0, 18.0, 20.0])
    draws = np.stack([curve * f for f in (0.8, 0.9, 1.0, 1.1, 1.2)])[:, :, None]
    values = ValueByAge(("all",), np.arange(4), curve[:, None], draws, np.full(5, 0.2))

    def table(spend: float, won: int = 10) -> pd.Series:
        return payback_table(
            values, pd.DataFrame({"group": ["all"], "acquired": [won], "spend": [spend]})
        ).iloc[0]

    assert table(100.0)["payback"] == "with the first order"
    assert (table(150.0)["payback_month"], table(150.0)["p_payback"]) == (2.0, pytest.approx(1.0))
    assert table(190.0)["payback"] == "in month 3"
    assert table(190.0)["p_payback"] == pytest.approx(0.6)
    never = table(210.0)
    assert (never["payback"], never["p_payback"]) == ("not within 3 months", pytest.approx(0.4))
    assert np.isnan(never["payback_month"])
    assert never["ltv_cac"] == pytest.approx(20.0 / 21.0)
    assert (never["max_cac"], never["max_cac-lo-80"]) == (20.0, pytest.approx(16.0))
    nobody = table(210.0, 0)
    assert nobody["payback"] == "nobody was won"
    assert np.isnan(nobody["cac"])


def test_spend_meets_the_customers_of_its_months() -> None:
    kept = {"arrivals": WON}

    def spend(*rows: tuple[str, str, float]) -> pd.DataFrame:
        return read_spend(pd.DataFrame(rows, columns=["period", "channel", "spend"]), "channel")

    found = acquired_in(kept, spend(("2025Q4", "mail", 600.0), ("2025-12", "web", 30.0)))
    assert found.to_dict("list") == {
        "group": ["all", "mail", "web"], "acquired": [63, 60, 3], "spend": [630.0, 600.0, 30.0]
    }  # fmt: skip
    with pytest.raises(ArgumentError, match=r"no group 'tv' of newcomers\. It knows: mail, web"):
        acquired_in(kept, spend(("2025Q4", "tv", 1.0)))
    with pytest.raises(
        ArgumentError, match=r"2026-01 is covered in part: spend by 31 .* orders until 2025-12-31"
    ):
        acquired_in(kept, spend(("2026-01", "mail", 1.0)))
    with pytest.raises(ArgumentError, match=r"2025-11 is covered in part: spend by 1 of its days"):
        acquired_in(kept, spend(("2025-11-05", "mail", 1.0)))
    with pytest.raises(ArgumentError, match="overlapping periods, the first on 2025-11-01"):
        acquired_in(kept, spend(("2025Q4", "mail", 1.0), ("2025-11", "mail", 1.0)))
    with pytest.raises(ArgumentError, match="an older version fitted it"):
        acquired_in({}, spend(("2025Q4", "mail", 1.0)))


def test_the_model_keeps_whom_it_saw_come(grouped: forecast.Model) -> None:
    kept = grouped.provenance["first_orders"]["arrivals"]
    assert kept["months"][:3] == ["1997-01", "1997-02", "1997-03"]
    assert kept["months"][-1] == "1997-12"
    assert sum(map(sum, kept["customers"].values())) == 2357
    found = grouped.newcomers(spend=pd.DataFrame({"period": ["1997Q1"], "spend": [23570.0]}))
    assert found["cac"].iloc[0] == pytest.approx(10.0)
    assert found["cac"].iloc[1:].isna().all()
    assert found["max_cac"].iloc[0] == pytest.approx(found["expected_value"].iloc[0], rel=1e-9)
    with pytest.raises(ArgumentError, match="horizon of 20 days holds no whole month"):
        grouped.newcomers(20, spend=pd.DataFrame({"period": ["1997Q1"], "spend": [1.0]}))


# --- a plan -------------------------------------------------------------------------------------------


def test_planned_customers_are_worth_their_number_times_one(grouped: forecast.Model) -> None:
    plan = read_plan(
        pd.DataFrame({"period": ["1998Q1"] * 2 + ["1998Q2"], "channel": ["app", "tv", "app"],
                      "customers": [400, 50, 100]}), "channel",
    )  # fmt: skip
    found = grouped.newcomers(plan=pd.DataFrame({"period": plan["period"], "group": plan["group"],
                                                 "customers": plan["customers"]}))  # fmt: skip
    planned = found[found["planned_customers"].notna()]
    worth = found.set_index("group")["expected_value"]
    assert planned["planned_value"].tolist() == pytest.approx(
        [400 * worth["app"].iloc[0], 50 * worth["(any other)"], 100 * worth["app"].iloc[0]]
    )
    assert found["period"].isna().sum() == 4
    wide = planned["planned_value-hi-80"] - planned["planned_value-lo-80"]
    relative = (wide / planned["planned_value"]).tolist()
    assert relative[0] < relative[2]  # four times the customers
    assert (planned["planned_value-lo-80"] < planned["planned_value"]).all()
    assert (planned["planned_value"] < planned["planned_value-hi-80"]).all()


def test_a_plan_looks_ahead_and_says_a_day_once(grouped: forecast.Model) -> None:
    def worth(*lines: tuple[str, str, int]) -> pd.DataFrame:
        return grouped.newcomers(plan=pd.DataFrame(lines, columns=["period", "channel", "customers"]))

    with pytest.raises(ArgumentError, match="plan speaks of 1997Q4, which is over on 1997-12-31"):
        worth(("1997Q4", "app", 5))
    with pytest.raises(ArgumentError, match="plan of 'app' has overlapping periods: 1998Q1 and 1998-02"):
        worth(("1998Q1", "app", 5), ("1998-02", "app", 5))
    few = worth(("1998Q1", "app", 30)).iloc[-1]
    assert few["planned_value-lo-95"] > 0.3 * few["planned_value"]  # a sum of first orders at least


def test_the_interval_of_a_plan_is_that_of_a_simulation() -> None:
    """Poisson numbers of newcomers, each simulated, with all parameters known."""
    plan = pd.DataFrame({"period": ["2026Q1"], "group": ["all"], "customers": [300.0]})
    found = planned_value(MODEL, FIRST, plan, as_of=AS_OF, days=365, levels=[80]).iloc[0]
    rng = np.random.default_rng(7)
    totals = []
    first = np.array(FIRST["whole"]["values"])
    for _ in range(800):
        size = rng.poisson(300)
        who, _when = BG.spec.formulas.times(rng, np.full(size, 364.0), 0.8, 60.0, 0.5, 4.0)
        paid = rng.binomial(np.bincount(who, minlength=size), 0.9)
        level = 60.0 / rng.standard_gamma(4.0, size)
        spent = np.where(paid > 0, rng.standard_gamma(4.0 * np.maximum(paid, 1)) * level, 0.0)
        totals.append(rng.choice(first, size).sum() + spent.sum())
    low, high = np.quantile(totals, [0.1, 0.9])
    assert found["planned_value"] == pytest.approx(np.mean(totals), rel=0.02)
    # The table also holds the error of the first order's mean, known from 400 customers.
    assert found["planned_value-lo-80"] == pytest.approx(low, rel=0.04)
    assert found["planned_value-hi-80"] == pytest.approx(high, rel=0.04)


def test_nothing_is_lost_without_plan_or_spend() -> None:
    plain = newcomer_table(MODEL, FIRST, as_of=AS_OF, days=365)
    pd.testing.assert_frame_equal(priced_newcomers(MODEL, FIRST, as_of=AS_OF, days=365), plain)
    with pytest.raises(ArgumentError, match="the model knows no money"):
        value_by_age(ClvModel(BG), FIRST, as_of=AS_OF, months=3)


# --- what if ------------------------------------------------------------------------------------------


def test_scenarios_are_read_and_named() -> None:
    assert read_scenario("retention=5%") == Scenario(retention=1.05)
    assert read_scenario(" orders=+1 , basket=-2.5% ") == Scenario(orders_per_year=1.0, basket=0.975)
    for text in ("retention=5", "orders=5%", "loyalty=5%", "basket", "basket=x%"):
        with pytest.raises(ArgumentError, match=r"cannot be read as a change\. Write retention=5%"):
            read_scenario(text)
    with pytest.raises(ArgumentError, match=r"retention is 0\.0"):
        Scenario(retention=0.0)
    with pytest.raises(ArgumentError, match="orders_per_year is nan"):
        Scenario(orders_per_year=float("nan"))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bg-nbd", dict(r=0.8, alpha=60.0, a=0.5, b=4.0)),
        ("mbg-nbd", dict(r=0.8, alpha=60.0, a=0.5, b=4.0)),
        ("pareto-nbd", dict(r=0.8, alpha=60.0, s=0.6, beta=90.0)),
    ],
)
def test_each_change_is_what_it_says(name: str, parameters: dict[str, float]) -> None:
    fitted = Fitted.from_parameters(purchase_model(name), parameters, "given")
    live = tuple(parameters.values())
    more = changed(fitted, live, Scenario(orders_per_year=2.0))
    assert more[0] / more[1] == pytest.approx(live[0] / live[1] + 2.0 / 365.25)
    longer = changed(fitted, live, Scenario(retention=1.05))
    if name == "pareto-nbd":
        stays = [(v[3] / (v[3] + 365.25)) ** v[2] for v in (live, longer)]
    else:
        stays = [v[3] / (v[2] + v[3]) for v in (live, longer)]
        assert longer[2] + longer[3] == pytest.approx(live[2] + live[3])
    assert stays[1] == pytest.approx(1.05 * stays[0])
    assert changed(fitted, live, Scenario(retention=9.0))[2] > 0.0  # never beyond certain


def test_a_regular_customer_makes_one_more_purchase_not_one_more_event() -> None:
    parameters = dict(r=0.8, alpha=30.0, a=0.001, b=40.0)
    fitted = Fitted.from_parameters(purchase_model("mbg-cnbd-2"), parameters, "given")
    none = Customers(np.full(1, 0.0), np.full(1, 0.0), np.full(1, 0.0))
    live = none.pairs(fitted).live(fitted, fitted.draw(0))
    process = fitted.spec.formulas.PROCESS
    before = process.expectation(*live, 3652.5)
    after = process.expectation(*changed(fitted, live, Scenario(orders_per_year=1.0)), 3652.5)
    assert float((after - before)[0]) == pytest.approx(10.0, rel=0.05)


def test_a_higher_basket_is_a_share_of_all_and_nothing_changes_nothing() -> None:
    found = what_if_table(
        MODEL, FIRST, [Scenario(basket=1.1), Scenario(retention=1.02)], as_of=AS_OF, days=365
    )
    value = newcomer_table(MODEL, FIRST, as_of=AS_OF, days=365, levels=())["expected_value"][0]
    assert found["expected_value"][0] == pytest.approx(value, rel=1e-9)
    assert found["change"][0] == 0.0
    assert found["change"][1] == pytest.approx(0.1 * value)
    assert 0.0 < found["change"][2] < 0.1 * value
    nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=60.0), "given")
    with pytest.raises(ArgumentError, match="nobody leaves in NBD"):
        what_if_table(ClvModel(nbd, GG), FIRST, [Scenario(retention=1.1)], as_of=AS_OF, days=30)


def test_known_customers_keep_their_history(grouped: forecast.Model) -> None:
    """Their chance to be customers still is not what a better retention changes."""
    log = forecast.cdnow()
    log["channel"] = ["web" if int(c) % 3 else "app" for c in log["customer_id"]]
    orders = forecast.read_orders(log, currency="USD")
    found = forecast.what_if(
        grouped, Scenario(retention=1.05), Scenario(basket=1.2), orders=orders, as_of="1997-12-31"
    )
    known = found[found["group"] == "known customers"].set_index("scenario")
    frame = forecast.purchase_histories(orders, "1997-12-31", ("channel",)).to_frame()
    exact = predict_customers(grouped.clv, Customers.from_frame(frame, grouped.clv), days=365)[
        "expected_value"
    ].sum()
    assert known.loc["as fitted", "expected_value"] == pytest.approx(exact, rel=2e-3)
    assert known.loc["basket +20 %", "change"] == pytest.approx(0.2 * exact, rel=2e-3)
    better = known.loc["retention +5 %"]
    assert 0.0 < better["change-lo-80"] < better["change"] < better["change-hi-80"]
    assert set(found["group"]) == {"all", "app", "web", "known customers"}

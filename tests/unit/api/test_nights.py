"""``/api/v1/statistics``, ``/api/v1/nights``, ``/api/v1/why``, ``/health``, and the pages."""

from __future__ import annotations

import io
import re

import pandas as pd
import pytest

from tests.unit.api.conftest import ALERTS, NIGHTS

STATISTICS = "/api/v1/statistics"


def statistics(client, **arguments):
    answer = client.get(STATISTICS, params=arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"date": ""}, NIGHTS[:2]),
        ({"date": "2024"}, NIGHTS[:2]),
        ({"date": "202403"}, NIGHTS[:2]),
        ({"date": "20240311"}, NIGHTS[1:2]),
        ({"date": "2024-03-11"}, NIGHTS[1:2]),
        ({"date": "2023"}, ()),
        ({"from": "20240311"}, NIGHTS[1:2]),
        ({"to": "2024-03-10"}, NIGHTS[:1]),
        ({"from": "20240310", "to": "20240311"}, NIGHTS[:2]),
    ],
)
def test_statistics_are_those_of_the_nights_asked_for(client, arguments, found):
    assert [row["key:key"] for row in statistics(client, **arguments)] == [f"ztf_{night}" for night in found]


def test_every_night_has_the_same_columns_and_an_absent_class_counts_zero(client):
    first, second = statistics(client, date="")
    assert list(first) == list(second)
    assert (first["class:RR Lyr"], second["class:RR Lyr"]) == (0, 1)
    assert first["class:SN candidate"] == 0
    assert first["basic:night"] == 20240310
    assert first["basic:exposures"] is None, "a count that was never made is not zero"
    assert list(statistics(client, date="20240310")[0]) == list(first)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"date": "", "period": "night"}, ["ztf_20240310", "ztf_20240311"]),
        ({"date": "", "period": "month"}, ["ztf_202403"]),
        ({"date": "2024", "period": "MONTH"}, ["ztf_202403"]),
        ({"date": "202403", "period": "year"}, ["ztf_2024"]),
        ({"from": "20240101", "period": "year"}, ["ztf_2024"]),
        ({"date": "2023", "period": "year"}, []),
    ],
)
def test_months_and_years_are_those_of_the_nights_asked_for(client, arguments, found):
    assert [row["key:key"] for row in statistics(client, **arguments)] == found


@pytest.mark.parametrize("period", ["month", "year"])
def test_a_month_is_the_sum_of_its_nights(client, period):
    nights, (whole,) = statistics(client, date=""), statistics(client, date="", period=period)
    assert whole["basic:nights"] == 2
    for name in ("basic:raw", "basic:sci", "basic:n_g", "class:Unknown", "class:RR Lyr", "class:SN candidate"):
        assert whole[name] == sum(row[name] for row in nights), name
    assert whole["filters:unknowns"] == 14
    assert whole["basic:exposures"] is None and whole["basic:sky_pixels"] is None, "never counted is not zero"
    assert "basic:night" not in whole


def test_a_part_of_a_month_is_summed_alone_and_says_of_how_many_nights(client):
    (part,) = statistics(client, period="month", **{"from": NIGHTS[1]})
    assert (part["key:key"], part["basic:nights"], part["basic:raw"]) == ("ztf_202403", 1, 61)


def test_sums_have_the_same_columns_whatever_is_asked_for(client):
    (one,) = statistics(client, date=NIGHTS[0], period="month")
    (all_of_them,) = statistics(client, date="", period="year")
    assert list(one) == list(all_of_them)
    assert one["class:RR Lyr"] == 0
    assert list(statistics(client, date="2023", period="month", schema="True")["schema"]) == list(one)


@pytest.mark.parametrize("period", ["week", "2024", "month;DROP"])
def test_a_period_that_is_none_is_refused(client, period):
    answer = client.get(STATISTICS, params={"date": "", "period": period})
    assert answer.status_code == 400
    assert "night, month, year" in answer.text


def test_the_schema_names_the_columns_of_the_answer(client):
    schema = statistics(client, date="", schema="True")["schema"]
    assert list(schema) == list(statistics(client, date="")[0])


@pytest.mark.parametrize("date", ["x", "20", "202413", "20240332", "2024031", "2024;DROP"])
def test_a_date_that_is_none_is_refused(client, date):
    assert client.get(STATISTICS, params={"date": date}).status_code == 400


def test_a_month_of_nights_is_one_line_of_pandas(client):
    address = f"{client.base_url}{STATISTICS}?date=202403&output-format="
    for table in (pd.read_csv(address + "csv"), pd.read_parquet(address + "parquet")):
        assert table["basic:raw"].tolist() == [60, 61]
        assert table["class:Unknown"].sum() == 119


def test_nights_are_listed_newest_first_with_state_and_counts(client):
    nights = client.get("/api/v1/nights").json()
    assert [night["night"] for night in nights] == list(reversed(NIGHTS))
    assert {night["state"] for night in nights} == {"live"}
    assert {(night["counts"]["raw"], night["counts"]["science"]) for night in nights} == {(ALERTS, ALERTS)}
    chosen = client.get("/api/v1/nights", params={"from": NIGHTS[1], "to": NIGHTS[1]}).json()
    assert [night["night"] for night in chosen] == [NIGHTS[1]]


def test_the_summary_of_a_night_has_its_tables_and_both_sides_of_the_ledger(client):
    told = client.get(f"/api/v1/nights/{NIGHTS[1]}/summary").json()
    assert told["summary"]["class"] == {"Unknown": 59, "RR Lyr": 1}
    stages = {stage["stage"]: stage for stage in told["ledger"]["stages"]}
    assert stages["raw2science"]["left"] == {"raw": ALERTS}
    assert stages["raw2science"]["right"]["science"] == ALERTS
    assert stages["raw2science"]["closed"]
    table = pd.read_csv(io.StringIO(client.get(f"/api/v1/nights/{NIGHTS[1]}/summary?format=csv").text))
    assert table.set_index(["table", "name"])["count"]["class", "RR Lyr"] == 1


def test_a_night_without_a_summary_still_has_its_ledger(client):
    told = client.get(f"/api/v1/nights/{NIGHTS[2]}/summary").json()
    assert told["summary"] is None
    assert len(told["ledger"]["stages"]) == 3


def test_an_unknown_night_is_404_and_a_bad_one_400(client):
    assert client.get("/api/v1/nights/20200101/summary").status_code == 404
    assert client.get("/api/v1/nights/20201301/summary").status_code == 400


def test_why_tells_the_story_of_an_alert(client):
    told = client.get(f"/api/v1/why/{10**17 + 1}").json()
    assert told["outcome"] == "science"
    assert told["received"][0]["offset"] == 10**17 + 1
    passing = {one["name"] for one in told["filters"] if one["passes"]}
    assert "sso_ztf_candidates" in passing


@pytest.mark.parametrize(
    ("candid", "status"), [("5", 404), ("-5", 400), ("abc", 400), (str(2**63), 400), ("1e400", 400)]
)
def test_why_refuses_what_is_no_id_and_does_not_know_what_never_came(client, candid, status):
    assert client.get(f"/api/v1/why/{candid}").status_code == status


def test_health_names_each_part_and_is_503_while_one_is_down(client):
    answer = client.get("/health")
    assert answer.status_code == 503
    parts = answer.json()["dependencies"]
    assert set(parts) == {"kafka", "hbase", "airflow", "lake", *(f"ztf.{s}" for s in
                          ("stream2raw", "raw2science", "distribution"))}  # fmt: skip
    assert parts["lake"]["state"] == "up"
    assert parts["kafka"]["state"] == parts["hbase"]["state"] == parts["airflow"]["state"] == "down"
    assert parts["ztf.stream2raw"]["state"] == "absent"
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 503


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_pages_load_nothing_from_outside(client, page):
    answer = client.get(page)
    assert answer.headers["content-type"].startswith("text/html")
    assert re.findall(r"""(?:src|href|url)\s*[=:(]\s*["']?(?:https?:)?//""", answer.text) == []
    for address in re.findall(r'(?:src|href)="(?!data:)([^"]+)"', answer.text):
        assert client.get("/" + address).status_code in (200, 503), address


def test_the_openapi_document_describes_every_endpoint_with_examples(client):
    document = client.get("/swagger.json").json()
    for path in ("/api/v1/objects", "/api/v1/statistics"):
        assert set(document["paths"][path]) == {"get", "post"}
    assert set(document["paths"]) >= {"/api/v1/nights", "/api/v1/nights/{night}/summary", "/api/v1/why/{candid}"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            good = [told for status, told in operation["responses"].items() if status.startswith("2")]
            assert good and all(told["content"] for told in good), path
            assert {"name", "in", "description", "schema"} <= set().union(*operation["parameters"] or [{}]) or (
                operation["parameters"] == []
            )

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

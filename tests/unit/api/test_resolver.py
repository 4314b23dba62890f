"""Names of objects elsewhere: SIMBAD is a stand-in; the tables of names need an archive (see the stack tests)."""

from __future__ import annotations

import ast
import io

import pytest
from astropy.io import votable
from astropy.table import Table

from tests.unit.api.conftest import NIGHTS, serving
from tests.unit.api.stand_in import standing_in

RESOLVER = "/api/v1/resolver"


def simbad(_, __, body):
    """Answer as SIMBAD's TAP service does, with one object, and the query in its name."""
    rows = Table({"main_id": ["M  31"], "otype": ["AGN"], "ra": [10.684708], "dec": [41.26875]})
    document = votable.from_table(rows)
    info = votable.tree.Info(name="QUERY_STATUS", value="OK")
    document.resources[0].infos.append(info)
    sink = io.BytesIO()
    document.to_xml(sink)
    return 200, sink.getvalue()


def asking(settings, address):
    services = settings.services.model_copy(update={"asked": "always"})
    catalogs = settings.catalogs.model_copy(update={"simbad_tap": address})
    return settings.model_copy(update={"services": services, "catalogs": catalogs})


def test_simbad_is_asked_for_a_name(filled_home):
    with standing_in(simbad) as (address, asked), serving(asking(filled_home, address)) as client:
        rows = client.get(RESOLVER, params={"resolver": "simbad", "name": "M31"}).json()
        assert rows == [{"oname": "M  31", "otype": "AGN", "jradeg": 10.684708, "jdedeg": 41.26875}]
        assert client.get(RESOLVER, params={"resolver": "simbad", "name": "x' OR '1'='1"}).status_code == 200
    assert b"ident.id = 'M31'" in asked[0][2]
    assert b"ident.id = 'x'' OR ''1''=''1'" in asked[1][2], "a quote in a name stays a part of the name"


@pytest.mark.parametrize("reply", [(503, b""), (200, b"<html>")])
def test_simbad_that_is_down_is_503_with_its_name(filled_home, reply):
    with standing_in(lambda *_: reply) as (address, _), serving(asking(filled_home, address)) as client:
        answer = client.get(RESOLVER, params={"resolver": "simbad", "name": "M31"})
        assert answer.status_code == 503
        assert "SIMBAD" in answer.text
        assert int(answer.headers["Retry-After"]) > 0


def test_where_nobody_is_asked_the_answer_says_so(client):
    answer = client.get(RESOLVER, params={"resolver": "simbad", "name": "M31"})
    assert (answer.status_code, answer.headers["Fink-Error-Code"]) == (503, "service-off")


def test_an_object_is_told_with_the_label_of_simbad(client, lake):
    name = lake.read("science", [NIGHTS[0]], ["objectId"]).column(0)[7].as_py()
    rows = client.get(RESOLVER, params={"resolver": "simbad", "name": name, "reverse": "True", "nmax": 2}).json()
    assert [list(row) for row in rows] == [["i:objectId", "d:cdsxmatch", "i:ra", "i:dec", "i:candid", "i:jd"]] * 2
    assert {row["i:objectId"] for row in rows} == {name}
    assert isinstance(rows[0]["i:candid"], int)


@pytest.mark.parametrize("resolver", ["tns", "ssodnet"])
@pytest.mark.parametrize("reverse", ["True", "False"])
def test_without_tables_of_names_nothing_is_found(client, resolver, reverse):
    answer = client.post(RESOLVER, json={"resolver": resolver, "name": "ZTF18aaaaaah", "reverse": reverse})
    assert answer.status_code == 200
    assert all(set(row) <= {"i:ssnamenr", "i:name", "i:number"} for row in answer.json())


def test_all_transients_are_asked_for_by_an_empty_name(client):
    assert client.post(RESOLVER, json={"resolver": "tns", "name": ""}).json() == []


@pytest.mark.parametrize(
    "arguments",
    [{"resolver": "ned", "name": "x"}, {"resolver": "tns"}, {"name": "x"}, {"resolver": "simbad", "name": ""},
     {"resolver": "simbad", "name": "é"}, {"resolver": "simbad", "name": "a\nb"}, {"resolver": "tns", "name": "x",
     "nmax": -1}, {"resolver": "ssodnet", "name": ""}, {"resolver": "tns", "name": "", "reverse": "True"}],
)  # fmt: skip
def test_what_cannot_be_looked_up_is_the_clients_error(client, arguments):
    answer = client.post(RESOLVER, json=arguments)
    assert answer.status_code == 400
    assert ast.literal_eval(answer.text)["status"] == "error"

"""``fink client``: read streams and transfers of this broker or of Fink's, and ask the REST API."""

from __future__ import annotations

import getpass
import json
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fink_lib.cli.output import show_table
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_NOTHING, ConfigError, TransientError

if TYPE_CHECKING:
    from fink_lib.client.consumer import Received
    from fink_lib.client.credentials import Credentials

HIDDEN = "(not shown)"
SHOWN = ("time", "topic", "object", "alert", "band", "brightness", "label")

Survey = Annotated[str, typer.Option(help="Whose alerts: ztf or lsst.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the ``fink`` application."""
    from fink_lib.cli import client_rest

    group = typer.Typer(help="The client: streams, transfers, REST.", no_args_is_help=True)
    group.command("register")(register_user)
    group.command("topics")(topics)
    group.command("subscribe")(subscribe)
    group.command("stream")(stream)
    group.command("transfer")(transfer)
    client_rest.add_commands(group)
    group.command("convert")(convert)
    group.command("view")(view)
    app.add_typer(group, name="client")


def register_user(
    survey: Survey = "ztf",
    username: Annotated[str | None, typer.Option(help="Your name at the servers; your log-in if not given.")] = None,
    groupid: Annotated[str | None, typer.Option(help="Your group: its place in the topics is remembered.")] = None,
    servers: Annotated[str | None, typer.Option(help="Kafka, name:port,…; the broker here if not given.")] = None,
    maxtimeout: Annotated[float | None, typer.Option(help="Seconds until a poll gives up.")] = None,
    password: Annotated[str | None, typer.Option(help="Switches SASL on.", envvar="FINK_CLIENT_PASSWORD")] = None,
    api: Annotated[str | None, typer.Option(help="Address of the REST API; that here if not given.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print what is registered, and change nothing.")] = False,
) -> None:
    """Store who you are and where the broker is, in the file that fink-client reads too."""
    from fink_lib.client.credentials import Credentials, credentials_path, load_credentials, save_credentials

    path = credentials_path(survey)
    if show:
        entries = load_credentials(survey).entries()
        _print_entries({**entries, **({"password": HIDDEN} if entries.get("password") else {})})
        return
    given = {
        "username": username,
        "groupid": groupid,
        "servers": servers,
        "maxtimeout": maxtimeout,
        "password": password,
        "api": api,
    }
    if path.exists():
        stored = load_credentials(survey)
    else:
        settings = load_settings()
        user = username or getpass.getuser()
        here = f"http://{settings.api.host}:{settings.api.port}" + ("/lsst" if survey == "lsst" else "")
        stored = Credentials(survey, user, f"{user}-{socket.gethostname()}", settings.kafka.servers, api=here)
    for name, value in given.items():
        if value is not None:
            setattr(stored, name, value)
    typer.echo(f"registered {stored.username} for {survey} at {stored.servers}, in {save_credentials(stored)}")


def topics(survey: Survey = "ztf", as_json: AsJson = False) -> None:
    """List the topics of a survey, and which of them you are subscribed to."""
    from fink_lib.client.names import streams_of

    known = _credentials(survey)
    with _cluster(known) as there:
        names = streams_of(there, survey)
    tags = _tags(known)
    rows = [[name, "yes" if name in known.topics else "no", tags.get(name, "")] for name in names]
    columns = ("topic", "subscribed", "description")
    if as_json:
        typer.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2))
        return
    show_table("", columns if tags else columns[:2], rows if tags else [row[:2] for row in rows])


def subscribe(
    names: Annotated[list[str], typer.Argument(metavar="TOPIC...", help="Topics, or patterns that begin with ^.")],
    survey: Survey = "ztf",
    remove: Annotated[bool, typer.Option("--remove", help="Unsubscribe from them.")] = False,
) -> None:
    """Choose the topics that `stream` reads."""
    from fink_lib.client.credentials import save_credentials
    from fink_lib.client.stream import require_topics

    known = _credentials(survey)
    if remove:
        strange = [name for name in names if name not in known.topics]
        if strange:
            raise ConfigError(f"you are not subscribed to {', '.join(strange)}; `fink client register --show` lists")
        known.unsubscribe(names)
    else:
        with _cluster(known) as there:
            require_topics(there, names)
        known.subscribe(names)
    save_credentials(known)
    typer.echo(f"subscribed to {', '.join(known.topics) or 'nothing'}")


def stream(
    survey: Survey = "ztf",
    limit: Annotated[int | None, typer.Option("-n", min=1, help="Stop after so many alerts.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Stop when nothing came for so many seconds.")] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="earliest, latest, or a time (ISO, UTC); where you stopped if not given."),
    ] = None,
    save: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the alerts into a folder.")] = None,
    form: Annotated[str, typer.Option("--format", help="avro (one file each), parquet or json.")] = "avro",
    display: Annotated[
        bool, typer.Option("--display", help="Print a line for each alert, even if they are saved.")
    ] = False,
    where: Annotated[
        str | None, typer.Option(metavar="EXPR", help='SQL over the packet: "candidate.magpsf < 18".')
    ] = None,
    schemas: Annotated[Path | None, typer.Option(help="Schemas (.avsc) for messages that carry none.")] = None,
    stats: Annotated[bool, typer.Option("--stats", help="Tell what is read and what is left, and end.")] = False,
) -> None:
    """Read alerts of the subscribed topics; what is read is committed only after it was written."""
    from fink_lib.client.stream import Request, follow, standings

    known = _credentials(survey)
    if not known.topics:
        raise ConfigError(f"you are subscribed to no topic of {survey}; see `fink client topics`, then subscribe")
    names = list(known.topics)
    if stats:
        rows = [[one.topic, one.committed, one.lag] for one in standings(known.config, names)]
        show_table("", ("topic", "committed", "lag"), rows)
        return
    if form not in ("avro", "parquet", "json"):
        raise typer.BadParameter(f"{form!r} is none of avro, parquet, json", param_hint="--format")
    request = Request(survey, names, known.config, limit, timeout, start, save, form, where, schemas)
    show = _print_alert if display or save is None else _ignore
    with _until_stopped() as stopping:
        tally = follow(request, show, lambda line: typer.echo(line, err=True), stopping)
    notes = {
        "not chosen by --where": tally.refused,
        "in the folder already": tally.known,
        "not readable": tally.bad,
    }
    more = "".join(f", {number} {what}" for what, number in notes.items() if number)
    typer.echo(f"{tally.taken} alerts{f' written to {save}' if save else ''}{more}", err=True)
    if tally.bad:
        raise typer.Exit(EXIT_FAILED)
    if not tally.taken:
        raise typer.Exit(EXIT_NOTHING)


def transfer(
    topic: Annotated[str, typer.Argument(help="The topic that the transfer was given.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the files; named after the topic if not given.")] = None,
    partition_by: Annotated[str | None, typer.Option(help="Folders by time, finkclass or tnsclass.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Partitions that are read at a time.")] = None,
    timeout: Annotated[float, typer.Option(help="Longest silence of the servers, seconds.")] = 30.0,
    survey: Survey = "ztf",
) -> None:
    """Fetch a data transfer into Parquet files; run it again, and it goes on where it stopped."""
    from fink_lib.client.transfer import PARTITIONS, fetch_transfer

    if partition_by is not None and partition_by not in PARTITIONS:
        raise typer.BadParameter(f"{partition_by!r} is none of {', '.join(PARTITIONS)}", param_hint="--partition-by")
    known = _credentials(survey)
    folder = out or Path(topic)
    with _until_stopped() as stopping:
        told = fetch_transfer(
            known.config,
            topic,
            folder,
            partition_by=partition_by,
            jobs=jobs,
            timeout_s=timeout,
            tell=lambda line: typer.echo(line, err=True),
            stopping=stopping,
        )
    if not told.expected:
        typer.echo(f"{topic} holds no alerts: nothing met its selection, or it has not been filled yet", err=True)
        raise typer.Exit(EXIT_NOTHING)
    typer.echo(f"expected {told.expected}, received {told.received} ({told.new} by this run), in {folder}")
    if told.lost:
        typer.echo(f"{told.lost} messages were dropped from the topic before; submit the transfer again", err=True)
    if not told.complete:
        typer.echo("not complete: run it again to go on", err=True)
    if told.lost or not told.complete or told.received != told.expected:
        raise typer.Exit(EXIT_FAILED)


def convert(
    source: Annotated[Path, typer.Argument(help="A file of alerts, or a folder of them: Avro or Parquet.")],
    target: Annotated[Path, typer.Argument(help="The file to write: .avro, .parquet or .jsonl.")],
) -> None:
    """Put alerts into one file of another format."""
    import pyarrow as pa

    from fink_lib.client.files import alert_files, format_of, read_tables, write_table

    form = format_of(target)
    files = alert_files(source)
    whole = pa.concat_tables(read_tables(files), promote_options="permissive")
    write_table(target, whole, form)
    typer.echo(f"{whole.num_rows} alerts of {len(files)} files written to {target}")


def view(
    file: Annotated[Path, typer.Argument(help="A file of alerts: Avro, Parquet or JSON.")],
    out: Annotated[Path | None, typer.Option(help="The figure: .png or .html; beside the file if not given.")] = None,
    alert_id: Annotated[
        int | None, typer.Option("--id", help="Which alert (candid, diaSourceId); else the first.")
    ] = None,
) -> None:
    """Draw the light curve and the images of an alert."""
    from fink_lib.client.figure import draw_alert
    from fink_lib.client.files import alert_files, read_alerts

    for path in alert_files(file):
        for alert in read_alerts(path):
            if alert_id is None or alert_id in (alert.get("candid"), alert.get("diaSourceId")):
                target = out or path.with_suffix(".png")
                draw_alert(alert, target)
                typer.echo(str(target))
                return
    wanted = "no alert" if alert_id is None else f"no alert {alert_id}"
    raise ConfigError(f"there is {wanted} in {file}; name another file, or another --id")


# -- what the commands share -------------------------------------------------------------------------------------------


def _credentials(survey: str) -> Credentials:
    from fink_lib.client.credentials import load_credentials

    return load_credentials(survey)


@contextmanager
def _cluster(known: Credentials) -> Iterator[list[str]]:
    """Give the names of all topics that the user may see."""
    from fink_lib.client.consumer import AlertConsumer

    with AlertConsumer([], known.config, known.survey) as consumer:
        yield consumer.all_topics()


def _tags(known: Credentials) -> dict[str, str]:
    """Give what the API says about topics; nothing if it does not answer, for a list needs no descriptions."""
    from fink_lib.client.rest import Api

    if not known.api:
        return {}
    try:
        with Api(known.api, timeout_s=5.0) as api:
            tags = api.get("tags")
        return {f"fink_{tag}_{known.survey}": str(one["description"]) for tag, one in tags.items()}
    except (ConfigError, TransientError, AttributeError, LookupError, TypeError):
        return {}


def _print_entries(entries: dict[str, Any]) -> None:
    for name, value in entries.items():
        typer.echo(f"{name}: {', '.join(value) if isinstance(value, dict) else value}")


def _print_alert(one: Received) -> None:
    from fink_lib.client.names import describe

    known = {**describe(one.alert), "topic": one.topic}
    typer.echo("  ".join(str(known[name]) for name in SHOWN if known[name] not in (None, "")))


def _ignore(one: Received) -> None:
    """Show nothing."""


@contextmanager
def _until_stopped() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and SIGTERM end the work in order; a second one ends it at once."""
    asked: list[int] = []

    def stop(number: int, _: object) -> None:
        asked.append(number)
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

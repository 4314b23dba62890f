"""``fink simulate``: send recorded or synthetic alerts to Kafka as a telescope would."""

from __future__ import annotations

import json
import re
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from fink_lib.config import Settings, load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fink_lib.simulator.packets import Packet
    from fink_lib.simulator.run import Plan, Report, VisitReport
    from fink_lib.simulator.wire import Wire
    from fink_lib.surveys import Survey


def register(app: typer.Typer) -> None:
    """Add the command to the ``fink`` application."""
    app.command("simulate", cls=SimulateCommand)(simulate)


class SimulateCommand(TyperCommand):
    """Takes the arguments of Fink's own simulator too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Translate what is Fink's, then read options as ever."""
        from fink_lib.simulator.fink_arguments import from_fink

        return super().parse_args(ctx, from_fink(args))


def simulate(
    rest: Annotated[
        list[str] | None, typer.Argument(help="More paths after --data, or the number of alerts after --synthetic.")
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="File, folder or tar.gz of Avro containers; can be repeated.")
    ] = None,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="A whole night from nothing.")] = False,
    gcn: Annotated[
        list[Path] | None,
        typer.Option("--gcn", help="GCN notices to send first: .xml, .json, .parquet or a folder; can be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the synthetic night and of the faults.")] = 1,
    truth: Annotated[Path | None, typer.Option(help="Write what each synthetic alert really is (Parquet).")] = None,
    servers: Annotated[str, typer.Option(help="Bootstrap servers; the installation's by default.")] = "",
    topic: Annotated[str, typer.Option(help="One topic for all; that of each alert's night by default.")] = "",
    partitions: Annotated[int | None, typer.Option(min=1, help="Of topics that are new.")] = None,
    wire: Annotated[
        str, typer.Option(help="container, confluent or schemaless (without key); that of the survey by default.")
    ] = "",
    schema: Annotated[Path | None, typer.Option(help="Avro schema in which records are written.")] = None,
    schema_id: Annotated[int | None, typer.Option(min=0, help="Its number (wire confluent).")] = None,
    clock: Annotated[str, typer.Option(help="replay, replay:xSPEED, visit, flat:RATE or max.")] = "visit",
    interval: Annotated[float, typer.Option(min=0.0, help="Seconds between visits (clock visit).")] = 1.0,
    per_visit: Annotated[int | None, typer.Option(min=1, help="Alerts per visit; else by their own times.")] = None,
    visits: Annotated[int, typer.Option(min=-1, help="Visits to send; -1 is all.")] = -1,
    night: Annotated[str, typer.Option(help="Move every alert, with its history, to this night (YYYYMMDD).")] = "",
    copies: Annotated[
        int, typer.Option(min=1, help="Copies of each alert: new ids and names, shifted in time and place.")
    ] = 1,
    first_copy: Annotated[int, typer.Option(min=0, help="Number of the first copy; 0 is the alert itself.")] = 0,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again with new copies, until Ctrl-C.")] = False,
    fault: Annotated[str, typer.Option(help="KIND:FRACTION[,KIND:FRACTION...], see fink_lib.simulator.faults.")] = "",
    manifest: Annotated[Path | None, typer.Option(help="Write one JSON line per message, and the totals.")] = None,
    display: Annotated[str, typer.Option(help="Field to show per visit, such as candidate,jd.")] = "",
    survey: Annotated[str, typer.Option(help="Survey to play.")] = "ztf",
) -> None:
    """Send alerts to Kafka in visits, at the pace asked for, and verify that each one arrived.

    The arguments of Fink's own simulator (-servers, -topic, -datasimpath, -tinterval_kafka, -nalerts_per_obs,
    -nobservations, -to_display, -external_schema, -npartitions) are understood, and its configuration file with -c;
    with any of them three observations of three alerts are sent unless another number is given.
    """
    from fink_lib.simulator.delivery import Delivery
    from fink_lib.simulator.run import run
    from fink_lib.simulator.wire import make_wire
    from fink_lib.surveys import get_survey

    if gcn:
        complete = _notices(load_settings(), gcn, servers)
        if not complete or not (data or synthetic):
            raise typer.Exit(EXIT_OK if complete else EXIT_FAILED)
    count, paths = _input(rest or [], list(data or []), synthetic)
    if night and not re.fullmatch(r"[0-9]{8}", night):
        raise typer.BadParameter("a night is YYYYMMDD", param_hint="--night")
    settings = load_settings()
    played = get_survey(survey, settings)
    moved_to = "" if synthetic else night  # a synthetic night is made for its date
    framed = make_wire(wire, survey, schema, schema_id)
    plan = _plan(
        clock, interval, topic, moved_to, per_visit, visits, copies, first_copy, loop, fault, seed, display, framed
    )
    with ExitStack() as stack:
        out = stack.enter_context(manifest.open("w")) if manifest else None
        delivery = Delivery(
            settings.kafka,
            servers or settings.kafka.servers,
            partitions or settings.kafka.partitions,
            out,
            keyed=framed.keyed,
        )
        if synthetic:
            packets, alerts = _synthetic(settings, count, seed, night, truth)
        else:
            packets, alerts = _recorded(paths, played, stack)
        if copies > 1 or first_copy or loop or moved_to:
            typer.echo(_disclosure(copies, first_copy, loop, moved_to))
        report = stack.enter_context(_Progress(alerts * copies)).report
        complete = run(packets, played, plan, delivery, report)
    typer.echo(json.dumps(delivery.totals()))
    if not complete:
        typer.echo(f"{delivery.sent - delivery.delivered} of {delivery.sent} messages were not delivered", err=True)
    raise typer.Exit(EXIT_OK if complete else EXIT_FAILED)


def _notices(settings: Settings, paths: list[Path], servers: str) -> bool:
    """Send GCN notices; all of them go to topics with one partition, so that their order is kept."""
    from fink_lib.simulator.delivery import Delivery
    from fink_lib.simulator.notices import read_notices, send_notices

    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise typer.BadParameter(f"{', '.join(missing)} does not exist", param_hint="--gcn")
    delivery = Delivery(settings.kafka, servers or settings.kafka.servers, 1)
    complete = send_notices(delivery, read_notices(paths))
    typer.echo(f"{delivery.delivered} of {delivery.sent} notices sent")
    return complete


def _input(rest: list[str], data: list[Path], synthetic: bool) -> tuple[int | None, list[Path]]:
    """Tell the number of synthetic alerts from further paths; both stand behind their option."""
    if synthetic == bool(data):
        raise typer.BadParameter("give either --data PATH... or --synthetic [N]")
    if not synthetic:
        paths = [*data, *(Path(text) for text in rest)]
        missing = [str(path) for path in paths if not path.exists()]
        if missing:
            raise typer.BadParameter(f"{', '.join(missing)} does not exist", param_hint="--data")
        return None, paths
    if not rest:
        return None, []
    if len(rest) > 1 or not rest[0].isdigit() or int(rest[0]) < 1:
        raise typer.BadParameter(f"--synthetic takes one number of alerts, not {' '.join(rest)}")
    return int(rest[0]), []


def _plan(
    clock: str,
    interval: float,
    topic: str,
    night: str,
    per_visit: int | None,
    visits: int,
    copies: int,
    first_copy: int,
    loop: bool,
    fault: str,
    seed: int,
    display: str,
    wire: Wire,
) -> Plan:
    from fink_lib.simulator.faults import parse_faults
    from fink_lib.simulator.pace import parse_clock
    from fink_lib.simulator.run import Plan

    return Plan(
        clock=parse_clock(clock, interval),
        topic=topic,
        night=night,
        default_night=datetime.now(UTC).strftime("%Y%m%d"),
        per_visit=per_visit,
        visits=None if visits < 0 else visits,
        copies=copies,
        first_copy=first_copy,
        loop=loop,
        faults=parse_faults(fault),
        seed=seed,
        display=tuple(filter(None, display.split(","))),
        wire=wire,
    )


def _recorded(paths: list[Path], survey: Survey, stack: ExitStack) -> tuple[Iterable[Packet], int]:
    from fink_lib.simulator.packets import PacketStore, read_packets

    store = stack.enter_context(PacketStore())
    store.add(read_packets(paths, survey))
    unreadable = sum(1 for packet in store.bare() if packet.alert_id is None)
    note = f", {unreadable} of them unreadable and sent as they are" if unreadable else ""
    typer.echo(f"{len(store)} packets read{note}")
    return store, len(store)


def _synthetic(
    settings: Settings, count: int | None, seed: int, night: str, truth: Path | None
) -> tuple[Iterable[Packet], int]:
    from fink_lib.simulator.synthetic import DEFAULT_NIGHT, SyntheticNight, write_snapshots

    sky = SyntheticNight(seed, count or settings.simulator.synthetic_alerts, night or DEFAULT_NIGHT)
    if truth is not None:
        sky.write_truth(truth)
    for file in write_snapshots(sky, settings.catalog_dir):
        typer.echo(f"snapshot of the synthetic sky: {file}")
    typer.echo(f"synthetic night {sky.night}, seed {seed}: {sky.summary()}")
    return sky.packets(), sky.count


def _disclosure(copies: int, first_copy: int, loop: bool, night: str) -> str:
    parts = []
    if copies > 1 or first_copy or loop:
        number = "endless" if loop else str(copies)
        parts.append(f"{number} copies per alert with new candid and objectId, later by 40 s each and moved on the sky")
    if night:
        parts.append(f"every alert moved to night {night} by whole days, with its history")
    return "these are not the alerts as they were observed: " + "; ".join(parts)


class _Progress:
    """A bar on a terminal, one plain line per visit elsewhere."""

    def __init__(self, alerts: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("alerts"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            disable=not sys.stdout.isatty(),
        )
        self._task = self._bar.add_task("", total=alerts)

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    @property
    def report(self) -> Report:
        """Tell about a visit."""
        return self._tell

    def _tell(self, visit: VisitReport) -> None:
        text = f"visit {visit.number}  {visit.alerts} alerts  {visit.rate_s:.0f}/s  late {visit.late_s:.1f} s"
        self._bar.update(self._task, advance=visit.alerts, description=text)
        if not sys.stdout.isatty():
            typer.echo(text)
        if visit.shown:
            self._bar.console.print("  " + ", ".join(visit.shown), highlight=False, markup=False)

"""``fink models``: which models there are, how good they are, training them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fink_lib.cli.output import progress_lines, show_table


def register(app: typer.Typer) -> None:
    """Add the group ``models`` to the command line."""
    group = typer.Typer(help="Trained models: list, show, train, evaluate.", no_args_is_help=True)
    group.command("list")(list_models)
    group.command("show")(show_model)
    group.command("train")(train_models)
    group.command("evaluate")(evaluate_models)
    app.add_typer(group, name="models")


def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Show every model that modules use: version, digest, where it is, how well it does."""
    from fink_lib.config import load_settings
    from fink_lib.science.models import model_folders, read_artefact
    from fink_lib.science.models.artefact import PACKAGED
    from fink_lib.science.models.training.trainer import known_trainers

    folders = model_folders(load_settings().model_dir)
    rows: list[dict[str, Any]] = []
    for name in sorted({*folders, *known_trainers()}):
        if name not in folders:
            rows.append({"name": name, "state": "absent", "detail": f"fink models train {name}"})
            continue
        model = read_artefact(folders[name])
        own = "project" if folders[name].parent == PACKAGED else "installation"
        auc = {task: values["auc"] for task, values in model.card.get("metrics", {}).items() if "auc" in values}
        rows.append(
            {"name": name, "state": own, "version": model.version, "sha256": model.sha256, "auc": auc,
             "folder": str(folders[name])}
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    show_table(
        "",
        ("model", "state", "version", "sha256", "AUC on held-out simulations"),
        [
            (
                row["name"],
                row["state"],
                row.get("version"),
                row.get("sha256", "")[:16],
                row.get("detail") or ", ".join(f"{task} {value}" for task, value in row["auc"].items()),
            )
            for row in rows
        ],
    )


def show_model(
    name: Annotated[str, typer.Argument(help="Which model.")],
    as_json: Annotated[bool, typer.Option("--json", help="The whole card.")] = False,
) -> None:
    """Show a model's card: data, cuts, features, metrics, limits."""
    from fink_lib.config import load_settings
    from fink_lib.errors import ConfigError
    from fink_lib.science.models import model_folders, read_artefact

    folders = model_folders(load_settings().model_dir)
    if name not in folders:
        raise ConfigError(f"no model is called {name}; there are: {', '.join(folders) or 'none'}")
    model = read_artefact(folders[name])
    if as_json:
        typer.echo(json.dumps(model.card, indent=1))
        return
    for key, value in model.card.items():
        if key == "metrics":
            continue
        typer.echo(f"{key}: {value if isinstance(value, str | int | float) else json.dumps(value)}")
    show_metrics(model.card.get("metrics", {}))


def train_models(
    names: Annotated[list[str] | None, typer.Argument(help="Models; all if none is given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of simulation and training.")] = None,
    into: Annotated[
        Path | None, typer.Option(help="Folder of artefacts; models/ of the installation if not given.")
    ] = None,
) -> None:
    """Simulate alerts, train, measure, and write the artefact; streams use it from their next start."""
    from fink_lib.config import load_settings
    from fink_lib.science.models import write_artefact
    from fink_lib.science.models.training.trainer import SEED, choose, train

    folder = into or load_settings().model_dir
    for trainer in choose(names):
        with progress_lines(trainer.name) as tell:
            trained = train(trainer, SEED if seed is None else seed, tell)
        written = write_artefact(trainer.name, trainer.version, trained, folder)
        typer.echo(f"{trainer.name}: written to {written}")
        show_metrics(trained.card["metrics"])


def evaluate_models(
    names: Annotated[list[str] | None, typer.Argument(help="Models; all if none is given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the simulated objects; one that no training used.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Measure models on newly simulated objects."""
    from fink_lib.config import load_settings
    from fink_lib.errors import ConfigError
    from fink_lib.science.models import model_folders, read_artefact
    from fink_lib.science.models.training.trainer import SEED, choose, held_out_sample

    folders = model_folders(load_settings().model_dir)
    found: dict[str, Any] = {}
    for trainer in choose(names):
        if trainer.name not in folders:
            raise ConfigError(f"model {trainer.name} is not there; run: fink models train {trainer.name}")
        with progress_lines(trainer.name, to_stderr=True) as tell:
            tell(f"{trainer.name}: simulating")
            sample = held_out_sample(trainer, 2 * SEED if seed is None else seed)
            found[trainer.name] = trainer.evaluate(read_artefact(folders[trainer.name]), sample)
        if not as_json:
            typer.echo(trainer.name)
            show_metrics(found[trainer.name])
    if as_json:
        typer.echo(json.dumps(found, indent=1))


def show_metrics(metrics: dict[str, Any]) -> None:
    """Print one row per task."""
    show_table(
        "",
        ("task", "alerts", "positives", "AUC", "ECE", "true +", "false +", "false -", "true -"),
        [
            (task, values["n"], values["positives"], values["auc"], values.get("ece"), *values["confusion"].values())
            for task, values in metrics.items()
            if "auc" in values
        ],
    )

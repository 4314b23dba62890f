"""What on-call staff read beside the nightly tasks: what it does, when it fails, what to press."""

from __future__ import annotations

DAG_DOC = """
### One night of {survey}, from its last alert to its summary
`close_night → reconcile → compact → validate → decide_night → select → archive → verify_archive → summarise →
validate_archive → publish`

The run's night is the parameter `night` (YYYYMMDD); without one it is the night that ended last before the run's
logical date. Each task is one process, `python -m jobs.nightly --survey {survey} --stage <task> --night <night>`,
and may be cleared or retried in any state, as often as you like: it gives the same result.

- **A night without alerts** ends green after `close_night`; the other tasks are skipped.
- **Two runs of the same night** take turns: the second waits for the first one's lock (*up for retry*).
- **Do a night again**: *Trigger*, with the night. Nights of a range: *Backfill*, over the dates of the nights.
- **A night that is held** waits at `decide_night` (*awaiting input*) for a person: open *Required actions*.
- **A failed task stops the night**, never another night, and never the streams.
"""

HEAL_DOC = """
### Compute further what could not be computed in full
`list_nights → heal` (once for each night)

An alert whose catalogue, model or service was away has no value and the status `unavailable`. When the missing thing is
there, these alerts of the last nights (`nightly.heal_nights`) are computed further, classified anew and merged into the
lake; an archived night is archived again. Alerts that enter a filter only now are sent once, marked late; alerts that
were sent get a correction. Nothing is sent twice, and a night in which nothing can be healed is left as it is.

Each task may be cleared as often as you like. `fink heal` does the same from a terminal.
"""

_AGAIN = "**Press**: *Clear* on this task when the cause is gone; it is harmless at any time."

TASK_DOCS = {
    "close_night": f"""
**Does**: waits, without using a worker, until the survey has sent nothing new for the quiet period and the three
streams have taken in everything of the night. The log names what is still missing.

**Fails** when that has not come within the time limit, or when Kafka or the lake cannot be read.

**Look at** the `stream_…` DAGs first: a held or failing stream keeps a night open. {_AGAIN}
""",
    "list_tables": f"""
**Does**: lists the archive's tables; `archive` runs once for each.

**Fails** only when the code or the settings are broken; the log says which. {_AGAIN}
""",
    "reconcile": f"""
**Does**: checks the ledger of the night against Kafka, the lake and the output topics: each message is in `raw` or in
`quarantine`, each row of `raw` in `science` or `rejected`, each row of `sent` in a topic.

**Fails** when a count does not fit; the log names the stage and the difference. Nothing is archived then.

**Do not** mark it as success. `fink night ledger NIGHT` shows the counts. {_AGAIN}
""",
    "compact": f"""
**Does**: links the night's tracklets and classifies the alerts in them anew (what they were is in table
`reclassified`), then rewrites the night's small files as a few large ones. A second run changes nothing.

**Fails** when another process changes the same night (it is retried), or when the disk is full. {_AGAIN}
""",
    "validate": f"""
**Does**: judges the night by the rules of `expectations/`: raw, science, a sample of rows, what was sent, and all of
it against the last archived nights. Button *Report* opens its Data Docs. A critical failure holds the night: this task
ends green, the log names the rules, and `decide_night` waits for a person. Warnings go into the summary.

**Fails** only when the lake cannot be read or a rule is broken. {_AGAIN} A night stays held, or released, however often
this task runs; it is set free when it passes.
""",
    "decide_night": """
**Does**: nothing with a night that is not held. For one that is held it waits (*awaiting input*), for ever: nothing is
selected, archived or published.

**Press**: *Required actions* on this task; read the sentences and the Data Docs, choose *Release*, *Replay* or
*Abandon*, give a reason. `fink night release NIGHT --reason …`, `recheck`, `abandon` do the same; answer here too
then, whatever you choose: the task sees what was decided, and goes on.

**Do not** mark it as success: the stages after it refuse a night that is held.
""",
    "select": f"""
**Does**: chooses alerts with the filters of the night (`sql/filters/ztf/night/`) and sends them to their topics, each
alert once. A second run sends what is left, or nothing. Run again after the night has changed, it sends what enters
only now, marked late.

**Fails** when Kafka does not answer, or when another night's selection is being sent (it is retried). A try that was
killed is completed by the next one, of this night or another. {_AGAIN}
""",
    "archive": f"""
**Does**: writes the night's science rows to one table of HBase. A repeated write changes no cell.

**Fails** when HBase does not answer. `fink status` shows it, `fink up hbase` starts it. {_AGAIN}
""",
    "verify_archive": """
**Does**: compares the archive with the lake, counts and digests of rows.

**Fails** when they differ; the log names the table and the first keys.

**Press**: *Clear* on `archive` **with downstream**.
""",
    "summarise": f"""
**Does**: computes the night's summary with the SQL of `sql/summaries/`, and writes it to the lake, to HBase and as
files.

**Fails** when HBase does not answer or a query is broken; the log says which. {_AGAIN}
""",
    "validate_archive": """
**Does**: judges the archive and the summary by the rules of `expectations/`: every row is there, nothing contradicts
itself. Button *Report* opens its Data Docs.

**Fails** when a table is short of a row, or a sum does not fit; the log names it.

**Press**: *Clear* on `archive` **with downstream** for a table, on `summarise` **with downstream** for a sum.
""",
    "publish": f"""
**Does**: says that the night is finished: its state, its report, and an asset event that other DAGs can wait for.

**Fails** seldom; the log says why. {_AGAIN}
""",
    "list_nights": f"""
**Does**: lists the last nights that are closed or archived.

**Fails** only when the lake cannot be read, or the settings are broken; the log says which. {_AGAIN}
""",
    "heal": f"""
**Does**: computes waiting alerts of one night further, sends late messages and corrections, and, if the night was
archived, runs its stages from `compact` to `publish` again. Green too if everything still waits; the log says for what.

**Fails** when Kafka or HBase does not answer (what was merged stays; the next try sends and archives it), or when a
stage after it refuses the night.

**Look at** `fink status` for the services of this machine, and at the setting `services.asked` for those of others.
{_AGAIN}
""",
}

"""Write again what is made of published reports and of the app's help.

That is the cards of the shipped models, the tables in ``docs/results.md``, ``docs/glossary.md`` and
``docs/performance.md``.  Run it as ``python scripts/make_docs.py``, such as after a report was
added to ``reports``, or a benchmark was run again.
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from ser.app.glossary import SECTIONS  # noqa: E402
from ser.evaluation.metrics import wilson_interval  # noqa: E402
from ser.evaluation.rendering import model_card  # noqa: E402
from ser.evaluation.report import Report  # noqa: E402
from ser.models import bundle  # noqa: E402
from ser.models.recognizer import SURE  # noqa: E402
from ser.utils.files import read_json, write_text  # noqa: E402

MODELS = [PROJECT / "models" / name for name in ("everyday", "ravdess")]
GLOSSARY = PROJECT / "docs" / "glossary.md"
RESULTS = PROJECT / "docs" / "results.md"
PERFORMANCE = PROJECT / "docs" / "performance.md"
LEFT_OUT = ("corpora", "corpora-after-10")
"""Reports of every corpus, by a model that never heard it; and after ten unlabelled clips."""

_GLOSSARY_HEAD = """\
# Glossary

The words of the field as this project uses them. The app shows the same texts as help, from
`ser/app/glossary.py`; `scripts/make_docs.py` writes this page.
"""
_PERFORMANCE_HEAD = """\
# Performance

Every figure is from a file in `benchmarks`, made by the script of the same name; `scripts/make_docs.py` writes this page. Times are of two idle
cores of a shared server (AVX-512); they differ between machines, and on that one from day to day by a factor of two. What stands side by side was
measured in one run.

## One clip

Compared with what tutorials do: `librosa.load`, librosa's functions one after the other, `model.predict`; for features also openSMILE's eGeMAPS
functionals, which are other features ([speed](../benchmarks/speed.json)).

| Step | ser | Compared with | Takes | Its time over ours |
|---|---|---|---|---|
"""  # noqa: E501
_PATH_HEAD = """
## From files to a CSV table, on {cores} cores

Loading the model and starting the workers are included ([speed](../benchmarks/speed.json)).

| Way | Files | Clips per second |
|---|---|---|
"""
_PROCESS_HEAD = """
## Whole processes, and ONNX Runtime beside Keras

`ser predict` with one clip, and with 500; one clip from its bytes to its answer in a warm process ([runtime](../benchmarks/runtime.json)).

| Model | One clip | 500 clips | Warm | Warm, Keras | Largest difference of a probability |
|---|---|---|---|---|---|
"""  # noqa: E501
_EXPORT_HEAD = """
## Exports

From features to logits on one thread ([export](../benchmarks/export.json)).

| Model | Format | File | One clip | Largest difference of a probability |
|---|---|---|---|---|
"""
_SERVICE_HEAD = """
## The HTTP API under load

`ser serve`, and on the same two cores clients that post a sample of 1 to 3 s as soon as their last one is answered ([service](../benchmarks/service.json)).

| Model | Clients | Minutes | Answers | Per second | Errors | Median | 95 % within | Memory |
|---|---|---|---|---|---|---|---|---|
"""  # noqa: E501
_MEMORY_HEAD = """
## Memory of work by shards

With two workers on clips of RAVDESS, listed again and again; `predict` and `evaluate` by `everyday` ([memory](../benchmarks/memory.json), [many clips](scale.md)).

| Command | Clips | Memory of the command | Memory of the largest worker |
|---|---|---|---|
"""  # noqa: E501
_TRAINING = """
`train` is one network with the copies of the preset `full`, for one epoch, its features in files ([training_memory](../benchmarks/training_memory.json)). With {clips} clips an epoch takes {ratio:.2f} times as long as with features in memory, and ends with {same} weights.
"""  # noqa: E501
_CLUSTER_HEAD = """
## Over a cluster

Dask's workers on this machine; and 64 that only sleep, of which two are four times as slow and two are lost in the middle, while one shard in fifty takes three times as long and one in a hundred fails at first. Ideal is the time of the shards on workers that are all well ([cluster](../benchmarks/cluster.json)).

| Workers | Came to |
|---|---|
"""  # noqa: E501
_ATTACKS_HEAD = """\
| Attack | Times | Ended otherwise | Longest | Most memory | Figures |
|---|---|---|---|---|---|
"""
_STRANGERS_HEAD = """\
| Left out | Clips | Eight answers | After ten unlabelled clips of the voice | Its own emotions possible | Sure | Sure answers right | Calibration error |
|---|---|---|---|---|---|---|---|
"""  # noqa: E501
_TABLE_HEAD = """\
| What was tested | Tested on | Test clips | Accuracy (95 % interval) | Weighted F1 | Average recall | Calibration error | Report |
|---|---|---|---|---|---|---|---|
"""  # noqa: E501


def published() -> dict[str, Report]:
    """Return the published reports by their path in the project."""
    files = sorted(PROJECT.glob("reports/*.json"))
    return {file.relative_to(PROJECT).as_posix(): Report.load(file) for file in files}


def card(model: Path) -> str:
    """Return the card of a shipped model, with the reports of models made like it."""
    own = Report.load(model / "report.json")
    alike = [r for r in published().values() if _listens(r) == (model.name == "everyday")]
    return model_card(bundle.read_manifest(model), own, alike)


def _listens(report: Report) -> bool:
    config = report.config or {}
    return report.model == "everyday" or bool(config.get("model", {}).get("encoder"))


def glossary() -> str:
    """Return the page of the field's words."""
    parts = [_GLOSSARY_HEAD]
    for title, terms in SECTIONS.items():
        words = [text.split(": ", maxsplit=1) for text in terms.values()]
        lines = [f"- **{word}**: {meaning}" for word, meaning in words]
        parts.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def results() -> str:
    """Return the page of results with its tables as the reports have them now."""
    own = {f"models/{m.name}/report.json": Report.load(m / "report.json") for m in MODELS}
    named = {
        path: report.model_copy(update={"title": f"**Model {report.model}**, its own test clips"})
        for path, report in own.items()
    }
    everything = {**named, **published()}.items()
    ordered = sorted(everything, key=lambda pair: (pair[1].speakers.difficulty, pair[0]))
    tables = {
        "reports": _TABLE_HEAD + "".join(_row(path, report) for path, report in ordered),
        "strangers": strangers(),
        "attacks": attacks(),
    }
    page = RESULTS.read_text(encoding="utf-8")
    for name, table in tables.items():
        before, rest = page.split(f"<!-- {name} -->\n")
        _, after = rest.split(f"<!-- /{name} -->")
        page = f"{before}<!-- {name} -->\n{table}<!-- /{name} -->{after}"
    return page


def performance() -> str:
    """Return the page of how fast and how large things are, from the files in ``benchmarks``."""
    speed, runtime, export, memory = map(measured, ("speed", "runtime", "export", "memory"))
    service = measured("service")
    page = _PERFORMANCE_HEAD
    for step, found in speed.items():
        if not isinstance(found, dict) or "ms" not in found:
            continue
        others = {name: each for name, each in found.items() if isinstance(each, dict)}
        for name, each in others.items() or [("–", {})]:
            times = f"{each['ms']:g} ms | {each['ratio']:g}" if each else "– | –"
            page += f"| {step} | {found['ms']:g} ms | {name} | {times} |\n"
    table = dict(speed["files to a table"])
    page += _PATH_HEAD.format(cores=table.pop("cores"))
    for name, each in table.items():
        page += f"| {name} | {each['files']} | {each['clips per second']:g} |\n"
    page += _PROCESS_HEAD
    for name, found in runtime.items():
        one, many = found["ser predict, one clip"], found["ser predict, all"]
        page += (
            f"| {name} | {one['seconds']:g} s, {one['megabytes']} MB | "
            f"{many['clips per second']:g} clips/s, {many['megabytes']} MB | "
            f"{found['one clip (ms)']:g} ms | {found['one clip, Keras (ms)']:g} ms | "
            f"{found['largest difference of a probability']:.1e} |\n"
        )
    page += _EXPORT_HEAD
    for name, found in export.items():
        for form in ("onnx", "litert"):
            page += (
                f"| {name} | {form} | {found[form]['megabytes']:g} MB | "
                f"{found[form]['one clip (ms)']:g} ms | "
                f"{found[form]['largest difference of a probability']:.1e} |\n"
            )
    page += _SERVICE_HEAD
    for name, found in service.items():
        page += (
            f"| {name} | {found['clients']} | {found['minutes']:g} | {found['answers']} | "
            f"{found['answers_per_s']:g} | {sum(found['errors'].values())} | "
            f"{found['p50_ms']} ms | {found['p95_ms']} ms | {found['memory_mb']} MB |\n"
        )
    page += _MEMORY_HEAD
    for command, rows in memory.items():
        for row in rows if isinstance(rows, list) else []:
            page += (
                f"| {command} | {row['clips']} | {row['command (MB)']} MB | "
                f"{row['largest worker (MB)']} MB |\n"
            )
    training = measured("training_memory")
    for row in training["memory"]:
        page += f"| train | {row['clips']} | {row['most memory (MB)']} MB | – |\n"
    beside = training["side by side"]
    same = "the same" if beside["same weights"] else "other"
    page += _TRAINING.format(**beside, same=same)
    cluster = measured("cluster")
    page += _CLUSTER_HEAD
    for each in cluster["measured"]:
        page += (
            f"| {each['workers']}, answering {each['clips']} clips by `everyday` | "
            f"{each['clips per second']:g} clips/s |\n"
        )
    for each in cluster["simulated"]:
        page += (
            f"| {each['workers']}, simulated, {each['shards']} shards of "
            f"{each['seconds of a shard']:g} s | {each['efficiency']:.1%} of the ideal |\n"
        )
    return page


def measured(name: str) -> dict[str, Any]:
    """Return what a script in ``benchmarks`` has found."""
    return read_json(PROJECT / "benchmarks" / f"{name}.json")


def attacks() -> str:
    """Return the table of what damaged files, fuzzing and kills came to."""
    hostile, models, fuzz, kills = map(measured, ("hostile", "hostile_models", "fuzz", "kills"))
    sound, archives = hostile["recordings"], hostile["archives"]
    kinds, readers, work = [*models.values()], [*fuzz.values()], [*kills.values()]
    findings = sum(len(reader["findings"]) for reader in readers)
    minutes = readers[0]["seconds"] // 60
    page = _ATTACKS_HEAD
    page += f"| damaged recordings | {sound['files']} | {_otherwise([sound])} | "
    page += f"{sound['longest_s']:g} s | {sound['peak_mb']:.0f} MB | {_link('hostile')} |\n"
    page += f"| damaged zip files of recordings | {archives['files']} | {_otherwise([archives])} | "
    page += f"{archives['longest_s']:g} s | – | {_link('hostile')} |\n"
    page += f"| damaged files of {len(kinds)} other kinds | {_sum(kinds, 'files')} | "
    page += f"{_otherwise(kinds)} | {max(kind['longest_cpu_s'] for kind in kinds):g} s of a core | "
    page += f"{max(k['most_mb_over_base'] for k in kinds):.0f} MB | {_link('hostile_models')} |\n"
    page += f"| {len(readers)} readers fuzzed for {minutes} minutes each | "
    page += f"{_sum(readers, 'executions')}, at least {min(r['executions'] for r in readers)} each "
    page += f"| {findings} | – | – | {_link('fuzz')} |\n"
    page += f"| kills of {len(work)} kinds of work | {_sum(work, 'kills')} | "
    page += f"{sum(map(_other_files, work))} | – | – | {_link('kills')} |\n"
    return page


def _link(name: str) -> str:
    return f"[{name}](../benchmarks/{name}.json)"


def _sum(found: list[dict[str, Any]], figure: str) -> int:
    return sum(each[figure] for each in found)


def _otherwise(found: list[dict[str, Any]]) -> int:
    """Return how many inputs ended in anything but an answer or a refusal with a sentence."""
    return sum(
        count
        for each in found
        for how, count in each["outcomes"].items()
        if how.startswith(("ERROR", "CRASH")) or how == "audio-decoder"
    )


def _other_files(work: dict[str, Any]) -> int:
    """Return how often killed work left half a file, or ended with others than undisturbed work."""
    ended = work["came to its end"] - work["of these same as undisturbed"]
    return int(work["half-written or other files"] + ended)


def strangers() -> str:
    """Return the table of how each corpus is answered by a model that never heard it."""
    plain, after = (Report.load(PROJECT / "reports" / f"{name}.json") for name in LEFT_OUT)
    shares, clips, rows = {}, {}, ""
    for fold, heard in zip(plain.folds, after.folds, strict=True):
        own = plain.predictions[plain.predictions["fold"] == fold.fold]
        sure = own[own["verdict"] == SURE]
        n, right = len(own), int((sure["truth"] == sure["emotion"]).sum())
        clips[fold.corpus] = n
        shares[fold.corpus] = [fold.accuracy, heard.accuracy, _among_possible(own)]
        cells = [_with_interval(round(share * n), n) for share in shares[fold.corpus]]
        cells += [f"{100 * len(sure) / n:.0f} %", _with_interval(right, len(sure))]
        rows += f"| {fold.corpus} | {n} | {' | '.join(cells)} | {fold.ece:.3f} |\n"
    for words, corpora in (
        ("Mean of the six", list(shares)),
        ("Mean of the five without emospeech", [c for c in shares if c != "emospeech"]),
    ):
        total = sum(clips[corpus] for corpus in corpora)
        of_each = zip(*(shares[corpus] for corpus in corpora), strict=True)
        cells = [_mean([*each], [clips[c] for c in corpora]) for each in of_each]
        rows += f"| **{words}** | {total} | {' | '.join(cells)} | | | |\n"
    return _STRANGERS_HEAD + rows


def _among_possible(predictions: pd.DataFrame) -> float:
    """Return the accuracy if only emotions of this corpus could be answered."""
    possible = sorted(set(predictions["truth"]))
    return float((predictions[possible].idxmax(axis=1) == predictions["truth"]).mean())


def _with_interval(right: int, n: int) -> str:
    if not n:
        return "–"
    low, high = wilson_interval(right, n)
    return f"{100 * right / n:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _mean(shares: list[float], clips: list[int]) -> str:
    """Return a mean over corpora, with the interval that the clips of each leave (normal)."""
    spread = sum(p * (1 - p) / n for p, n in zip(shares, clips, strict=True)) ** 0.5 / len(shares)
    mean = sum(shares) / len(shares)
    low, high = mean - 1.96 * spread, mean + 1.96 * spread
    return f"**{100 * mean:.1f} %** ({100 * low:.1f} to {100 * high:.1f})"


def _row(path: str, report: Report) -> str:
    low, high = report.accuracy_interval
    cells = (
        report.title,
        report.speakers.words,
        str(report.n_test),
        f"{100 * report.accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f})",
        f"{report.weighted_f1:.3f}",
        f"{100 * report.uar:.1f} %",
        f"{report.ece:.3f}",
        f"[report](../{path})",
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    for each in MODELS:
        write_text(each / "MODEL_CARD.md", card(each))
    write_text(GLOSSARY, glossary())
    write_text(RESULTS, results())
    write_text(PERFORMANCE, performance())

"""What the package offers by name: load a model, evaluate it, train one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ser.assets import DEFAULT_MODEL

if TYPE_CHECKING:
    from ser.evaluation.report import Report
    from ser.models.recognizer import Recognizer
    from ser.training.config import TrainingConfig
    from ser.utils.parallel import Progress


def load(model: str | Path = DEFAULT_MODEL) -> Recognizer:
    """Load a model.

    Parameters
    ----------
    model : str or Path
        Folder of a model or of a finished training run; by default ``everyday``, which ships.

    Returns
    -------
    Recognizer

    Raises
    ------
    BundleError
        If the folder holds no model, or one that is damaged or of another version.

    Examples
    --------
    >>> import ser
    >>> ser.load().labels[:3]
    ('neutral', 'calm', 'happy')
    """
    from ser.models.recognizer import Recognizer

    return Recognizer.load(model)


def evaluate(
    model: Recognizer,
    data: str | Path,
    *,
    protocol: str = "random",
    seed: int = 42,
    robustness: bool = False,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> Report:
    """Test a model on a corpus whose emotions are known.

    Parameters
    ----------
    model : Recognizer
        See `load`.
    data : str or Path
        A folder or CSV file, see `ser.data.corpora.scan`.
    protocol : {"random", "all"}
        The test clips of the random split, which the model must not have seen, or every clip.
    seed : int
        Of the random split.
    robustness : bool
        Also in noise, rooms and codecs, and on sounds that are not speech; takes ten times as long.
    n_jobs, progress
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If the corpus cannot be used, or the model was trained on test clips of the split.

    Examples
    --------
    >>> import ser
    >>> from ser.assets import SAMPLES
    >>> report = ser.evaluate(ser.load(), SAMPLES, protocol="all", n_jobs=1)
    >>> report.n_test, round(report.accuracy, 3)
    (120, 0.817)
    """
    from ser.evaluation.evaluate import evaluate_corpus

    return evaluate_corpus(
        model,
        data,
        protocol=protocol,
        seed=seed,
        robustness=robustness,
        n_jobs=n_jobs,
        progress=progress,
    )


def train(config: TrainingConfig, out: str | Path, *, n_jobs: int = -1) -> Report:
    """Train a model, calibrate it and test it on unseen clips.

    Parameters
    ----------
    config : TrainingConfig
        What to train, and how.
    out : str or Path
        New folder for the model and everything that belongs to it.  A run that was stopped there
        with the same configuration is gone on with.
    n_jobs : int
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    Report
        The model itself is loaded with ``load(out)``.

    Raises
    ------
    DataError
        If the corpus cannot be used.
    RunError
        If the folder holds something else.
    Stopped
        If interrupted (Ctrl-C, SIGTERM); call it again to go on.
    """
    from ser.training import pipeline

    if not (Path(out) / "config.json").exists():
        pipeline.check(out, config, n_jobs=n_jobs)
    pipeline.share_cores(config.model.members)
    return pipeline.train(pipeline.start_or_resume(out, config), n_jobs=n_jobs)

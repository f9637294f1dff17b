"""Choosing a corpus, downloading one, and opening its clips, in the background."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import streamlit as st

from ser import assets, audio, plots
from ser.app import access, workspace
from ser.app.tasks import Status, Task
from ser.app.widgets import layout, tasks
from ser.data import corpora, download, inspection
from ser.data.inspection import Inspection
from ser.data.known_corpora import TITLES
from ser.errors import OutputError, SerError
from ser.utils.files import free_path
from ser.utils.places import is_url, to_place
from ser.utils.zips import unpack

_MOMENT = 0.3  # seconds in which a small corpus is looked at, so that its page is drawn once
_CORPORA = (
    f"a folder with the file names of a known corpus ({TITLES}), a folder per emotion, or a CSV "
    "file with the columns path and emotion"
)


def choose() -> Path:
    """Let the user choose a corpus; returns its folder or CSV file, which may not exist."""
    st.session_state.setdefault("corpus", str(assets.SAMPLES))
    if not (access.may_change() and access.may_read(Path(st.session_state["corpus"]))):
        st.session_state["corpus"] = str(assets.SAMPLES)
    known = [assets.SAMPLES, *workspace.corpora()]
    options = list(dict.fromkeys([*map(str, known), st.session_state["corpus"]]))
    # A widget's state dies when its page is left; the choice must not.
    st.session_state["corpus_choice"] = st.session_state["corpus"]
    st.selectbox(
        "Corpus",
        options,
        key="corpus_choice",
        format_func=label,
        on_change=lambda: open_corpus(st.session_state["corpus_choice"]),
        help="A corpus is a folder of recordings whose names say their emotion.",
    )
    if not access.may_change():  # nothing on the server is a stranger's to name
        return assets.SAMPLES
    with st.expander("Another corpus", icon=":material/create_new_folder:"):
        place = "A folder of the server" if access.is_team() else "A folder on this computer"
        folder, archive, ravdess = st.tabs([place, "A zip file", "RAVDESS"])
        with folder:
            _type_a_folder()
        with archive:
            _take_an_archive()
        with ravdess:
            _offer_ravdess()
    _show_downloads()
    return Path(st.session_state["corpus"])


def pick(help: str, *, labelled: bool = True) -> str:
    """Let the user pick a corpus at hand or type where one lies, for work that is not on show.

    Parameters
    ----------
    help : str
        What the corpus is for.
    labelled : bool
        Whether its emotions must be known; if not, any recordings will do.

    Returns
    -------
    str
        Its folder, CSV file or manifest, which may not exist; empty if nothing is chosen.
    """
    known = [path for path in (assets.SAMPLES, *workspace.corpora()) if path.exists()]
    if labelled:
        title, kinds = "Corpus", _CORPORA
    else:
        title, kinds = "Folder", "any folder of recordings, or a manifest (.parquet)"
        if access.mode() == access.ALONE:
            kinds += ", also in an object store (s3://BUCKET/FOLDER)"
        known = [path for path in known if path.suffix.lower() != ".csv"]
    chosen = st.selectbox(
        title,
        [str(path) for path in known],
        format_func=label,
        accept_new_options=True,
        placeholder="Type the name of a folder",
        help=f"{help} Choose one, or type the path of another: {kinds}.",
    )
    typed = str(chosen or "").strip()
    with layout.errors_for_people():
        if is_url(typed) and not labelled:
            location = str(to_place(typed))
        else:
            location = os.path.abspath(os.path.expanduser(typed)) if typed else ""
        access.check_readable([location] if location else [])
        return location
    return ""


def label(location: str) -> str:
    """Say where a corpus lies, as short as is clear."""
    if is_url(location):
        return location
    path = Path(location)
    return "Samples (synthetic voices)" if path == assets.SAMPLES else layout.display_path(path)


def open_corpus(location: str) -> None:
    """Show this corpus from now on, in this session."""
    st.session_state["corpus"] = os.path.abspath(os.path.expanduser(location))


def _type_a_folder() -> None:
    with st.form("folder", border=False):
        typed = st.text_input(
            "Folder or CSV file",
            placeholder="/home/me/recordings",
            help=f"Recordings with the names of a known corpus ({TITLES}; in any sub-folders), a "
            "folder per emotion, or a CSV file with the columns path and emotion.",
        ).strip()
        if st.form_submit_button("Open", icon=":material/folder_open:"):
            if typed:
                with layout.errors_for_people():
                    access.check_readable([Path(os.path.expanduser(typed))])
                    open_corpus(typed)
                    st.rerun()
                return
            st.warning("Type the name of a folder or a CSV file.", icon=":material/edit:")


def _take_an_archive() -> None:
    """Let the user upload a corpus as a zip archive, which becomes a folder of the app's data."""
    packed = st.file_uploader(
        "Zip file of a folder of recordings",
        type="zip",
        max_upload_size=400,
        help=f"Recordings with the names of a known corpus ({TITLES}), or a folder per emotion. "
        "Only the recordings are unpacked.",
    )
    if packed is None or not st.button("Unpack and open", icon=":material/folder_zip:"):
        return
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(packed.name).stem).strip("-.") or "corpus"
    target = free_path(workspace.data(), name)
    bar = st.progress(0.0)

    def tell(what: str, done: int, total: int) -> None:
        bar.progress(done / total, f"{what}: {done} of {total}")

    with layout.errors_for_people():
        unpack(packed, target, audio.EXTENSIONS, progress=tell)
        try:
            corpora.scan(target)
        except SerError:
            shutil.rmtree(target, ignore_errors=True)  # it holds no clip, so it is no corpus
            raise
        open_corpus(str(target))
        st.rerun()


def _offer_ravdess() -> None:
    st.write(
        "The corpus the model ravdess learned from: 2452 clips of 24 actors who speak and sing two "
        "sentences in eight emotions. The download is 434 MB and needs 1 GB on the disk."
    )
    st.caption(download.LICENCE)
    accepted = st.checkbox("I accept this licence", key="licence")
    typed = str(workspace.data() / "ravdess")
    if not access.is_team():  # where its members keep things is the server's to say
        typed = st.text_input(
            "Destination folder",
            value=typed,
            help="Created if it is missing. A stopped download goes on where it left off.",
        ).strip()
    if st.button(
        "Download RAVDESS",
        type="primary",
        icon=":material/download:",
        disabled=not (accepted and typed),
        help=None if accepted else "Read and accept the licence first.",
    ):
        folder = os.path.abspath(os.path.expanduser(typed))
        _download(folder)
        st.session_state["downloads"] = [*st.session_state.get("downloads", []), folder]
        st.rerun()


def _download(folder: str) -> None:
    url = os.environ.get("SER_RAVDESS_URL", download.BASE_URL)

    def work(task: Task) -> None:
        download.download_ravdess(folder, url=url, archives=download.ARCHIVES, progress=task.report)

    tasks.start(("download", folder), work, "Asking for RAVDESS")


def _show_downloads() -> None:
    """Show downloads that run, whoever began them, and how those of this session ended."""
    own = st.session_state.get("downloads", [])
    for key, task in list(tasks.all_tasks().items()):
        kind, folder = key
        others = access.is_team() and folder not in own
        if kind != "download" or others or not (task.running or folder in own):
            continue
        with st.container(border=True):
            st.markdown(f"**RAVDESS** into {layout.plain(label(folder))}")
            if task.running:
                tasks.watch(key, _bytes_in_words, "Pause")
            elif task.error or task.stopped:
                tasks.show_end(task)
                st.button(
                    "Resume" if task.stopped else "Try again",
                    key=f"again {key}",
                    on_click=_download,
                    args=(folder,),
                    icon=":material/resume:",
                )
            else:
                st.success("All clips are downloaded.", icon=":material/check_circle:")
                st.button(
                    "Look at it",
                    key=f"open {key}",
                    on_click=_open_download,
                    args=(folder,),
                    icon=":material/folder_open:",
                )


def _open_download(folder: str) -> None:
    st.session_state["downloads"].remove(folder)
    open_corpus(folder)


def _bytes_in_words(status: Status) -> str:
    words = status.what
    if status.total:
        words += f": {status.done / 1e6:.0f} of {status.total / 1e6:.0f} MB"
    if status.speed:
        words += f" · {status.speed / 1e6:.1f} MB/s"
    return words + tasks.time_left(status)


def opened(location: Path, meanwhile: Callable[[Inspection], None]) -> Inspection | None:
    """Return what is known about a corpus; while it is looked at, show how far that is.

    Its files are looked at in the background, once in a session and when the user asks.

    Parameters
    ----------
    location : Path
        The corpus.
    meanwhile : callable
        Shows what is known of the files that have been opened so far.
    """
    key = ("scan", str(location))
    work = _scan(location)
    quiet = st.empty()  # always there: else all below would move, and be drawn anew, when it goes
    looked = st.session_state.setdefault("looked", set())
    if key not in tasks.all_tasks() or str(location) not in looked:
        looked.add(str(location))
        if not _stamp(location):
            _by_name(str(location))  # alone, since the work in the background would slow it down
        tasks.start(key, work, "Looking for clips")
        tasks.all_tasks()[key].join(_MOMENT)
    task = tasks.all_tasks()[key]
    stamp = _stamp(location)
    found = _read(str(location), stamp)
    if found is not None and not _may_be_seen(location, stamp, found):
        st.error(
            "This corpus names recordings, or links to some, that are not open to you.",
            icon=":material/lock:",
        )
        return None
    if task.running:
        if found is None or not found.complete:
            tasks.watch(key, is_news=lambda: _stamp(location) != stamp)
            _show_names(str(location))
            if found is not None and len(found.clips):
                meanwhile(found)
            return None
        with quiet:
            _watch_quietly(key)
    elif task.error or task.stopped:
        tasks.show_end(task)
    if task.error or not found or not found.complete:
        st.button(
            "Look again" if task.error else "Resume",
            on_click=tasks.start,
            args=(key, work, "Looking for clips"),
            icon=":material/refresh:",
        )
    if task.error or found is None:
        return None
    if workspace.recent_corpora()[:1] != [location]:
        with suppress(OutputError):  # the list of recent corpora is no reason to fail
            workspace.remember_corpus(location)
    return found


def _may_be_seen(location: Path, stamp: int, found: Inspection) -> bool:
    """Say whether every recording of a corpus may be read; looked at once in a session."""
    known = st.session_state.setdefault("may be seen", {})
    if (location, stamp) not in known:
        known[location, stamp] = access.first_closed(found.clips["path"]) is None
    return bool(known[location, stamp])


def look_again(location: Path) -> None:
    """Look at a corpus anew, in the background."""
    tasks.start(("scan", str(location)), _scan(location), "Looking for clips")


def _scan(location: Path) -> Callable[[Task], None]:
    def work(task: Task) -> None:
        task.report("Looking for clips")
        inspection.update_inspection(location, progress=task.report)

    return work


def _show_names(location: str) -> None:
    """Show what file names say, while the files themselves are opened."""
    clips = _by_name(location)
    if clips is not None:
        st.subheader("Clips per emotion", anchor=False)
        chart, table = plots.clips_per_emotion(clips)
        layout.show(chart, table=table)
        st.caption(
            f"{layout.count(len(clips), 'clip')}, counted by file names. Durations, levels and "
            "everything else follow once the files have been opened."
        )


@st.cache_data(ttl=600, max_entries=8, show_spinner="Looking for clips")
def _by_name(location: str) -> pd.DataFrame | None:
    try:
        return corpora.scan(location).clips
    except SerError:  # said by whoever opens the files
        return None


@st.fragment(run_every=0.5)
def _watch_quietly(key: tasks.Key) -> None:
    task = tasks.all_tasks().get(key)
    if task is None or not task.running:
        st.rerun()
    st.caption(":material/sync: Checking for changes …")


def _stamp(location: Path) -> int:
    try:
        return inspection.inspection_file(location).stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_resource(show_spinner=False, max_entries=8)
def _read(location: str, stamp: int) -> Inspection | None:
    return inspection.read_inspection(location)

"""Guess first: a visitor says what they hear in a sample before the model does."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import streamlit as st

from ser.app.widgets import answer, layout, resources
from ser.labels import EMOTIONS

_GAME = "game"  # of this visitor


@dataclass
class Game:
    """What was played so far.

    Attributes
    ----------
    order : list of str
        Names of the samples.
    guesses : list of str
        Of the visitor, in that order; the last one may be awaited.
    right : list of (bool, bool)
        Whether visitor and model were right, for each guess.
    shown : int
        Number of the sample that is shown.
    answer : Series, optional
        What the model said last.
    """

    order: list[str]
    guesses: list[str] = field(default_factory=list)
    right: list[tuple[bool, bool]] = field(default_factory=list)
    shown: int = 0
    answer: pd.Series | None = None


def show() -> None:
    """Show the sample whose turn it is, then what was meant and what the model heard."""
    game: Game = st.session_state.setdefault(_GAME, _new())
    clips = resources.samples().set_index("name")
    clip = clips.loc[game.order[game.shown % len(game.order)]]
    with open(clip["path"], "rb") as file:
        data = file.read()
    st.write("Listen. Which emotion is it? (A synthetic voice made by a script.)")
    st.audio(data, format="audio/flac")
    if len(game.guesses) == game.shown:
        guess = st.pills("What do you hear?", EMOTIONS, key=f"guess-{game.shown}")
        if guess is None:
            return
        with layout.errors_for_people():
            found = resources.recognizer().predict(data, name="sample").iloc[0]
            # Writing the page's state may end this run if another click has come, so only the
            # game changes here.
            game.answer = found
            game.right.append((guess == clip["emotion"], found["emotion"] == clip["emotion"]))
            game.guesses.append(guess)
            st.rerun()
        return
    row = game.answer
    assert row is not None
    you, model = game.right[-1]
    heard = answer.headline(row["emotion"], row[row["emotion"]], row["verdict"])
    st.markdown(
        f"It was meant as **{clip['emotion']}**.\n"
        f"- You heard {game.guesses[-1]}: {'right' if you else 'wrong'}.\n"
        f"- The model heard: {heard}. {'Right' if model else 'Wrong'}."
    )
    played = len(game.right)
    st.write(
        f"**Score: you {sum(y for y, _ in game.right)}, the model "
        f"{sum(m for _, m in game.right)}, of {played}.**"
    )
    if st.button("Next", type="primary", icon=":material/skip_next:"):
        game.shown += 1
        st.rerun()


def _new() -> Game:
    names = resources.samples()["name"].tolist()
    names.remove(resources.FIRST_SAMPLE)
    np.random.default_rng().shuffle(names)
    return Game([resources.FIRST_SAMPLE, *names])

"""Parsers of the file names of published corpora, as their publications and read-me files say.

Each claims only names of its own corpus; where a name alone could be anyone's, the folders must
agree.  A parser may give the corpus's own word for an emotion, which `ser.data.parsers` translates.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING, Unpack

from ser.data.meld import parse_meld
from ser.data.ravdess import parse_ravdess
from ser.labels import EMOTIONS, emotion_of

if TYPE_CHECKING:
    from ser.data.parsers import ClipFields

_EMODB_EMOTIONS = {
    "W": "angry",
    "E": "disgust",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
    "L": "boredom",
}
_EMODB_FEMALE = {"08", "09", "13", "14", "16"}
_EMODB_NAME = re.compile(r"([0-9]{2})([ab][0-9]{2})([WLEAFTN])([a-z]?)")


def parse_emodb(path: PurePath) -> ClipFields | None:
    """Read the fields of an EMO-DB file name, such as ``03a01Fa``.

    Burkhardt et al. 2005, *A Database of German Emotional Speech*: speaker, text, emotion (first
    letter of the German word), version.

    Returns
    -------
    dict or None
        The fields in words; None if the name has another form.

    Raises
    ------
    ValueError
        If the emotion is boredom, which none of the eight labels stands for.

    Examples
    --------
    >>> parse_emodb(PurePath("03a01Fa.wav"))["emotion"], parse_emodb(PurePath("holiday.wav"))
    ('happy', None)
    """
    match = _EMODB_NAME.fullmatch(path.stem)
    if match is None:
        return None
    speaker, text, letter, version = match.groups()
    emotion = _EMODB_EMOTIONS[letter]
    if emotion not in EMOTIONS:
        raise ValueError(f"{emotion} is none of the eight emotions")
    return {
        "emotion": emotion,
        "clip_id": f"emodb:{path.stem}",
        "speaker": f"emodb {speaker}",
        "gender": "female" if speaker in _EMODB_FEMALE else "male",
        "channel": "speech",
        "modality": "audio",
        "statement": text,
        "repetition": version,
    }


def _clip(source: str, name: str, who: str, **known: Unpack[ClipFields]) -> ClipFields:
    """Return the fields of a spoken clip whose name and speaker are unique within its corpus."""
    known["clip_id"] = f"{source}:{name}"
    known["speaker"] = f"{source} {who}"
    known["channel"] = "speech"
    return known


_CREMA_D_EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
_CREMA_D_LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": ""}
_CREMA_D_FEMALE = {
    *(1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024, 1025),
    *(1028, 1029, 1030, 1037, 1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060),
    *(1061, 1063, 1072, 1073, 1074, 1075, 1076, 1078, 1079, 1082, 1084, 1089, 1091),
}
_CREMA_D_NAME = re.compile(r"(10[0-9]{2})_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)")


def parse_crema_d(path: PurePath) -> ClipFields | None:
    """Read the fields of a CREMA-D file name, such as ``1001_DFA_ANG_XX``.

    Cao et al. 2014, *CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset*,
    https://doi.org/10.1109/TAFFC.2014.2336244: actor (1001 to 1091), sentence (three letters),
    emotion, level (low, medium, high, or XX for unspecified; one file is published with X).  The
    actors' genders are those of the corpus's table ``VideoDemographics.csv``.

    Examples
    --------
    >>> fields = parse_crema_d(PurePath("1001_IEO_FEA_HI.wav"))
    >>> fields["emotion"], fields["speaker"], fields["gender"], fields["intensity"]
    ('fearful', 'crema-d 1001', 'male', 'high')
    """
    match = _CREMA_D_NAME.fullmatch(path.stem)
    if match is None or not 1001 <= int(match[1]) <= 1091:
        return None
    actor, sentence, code, level = match.groups()
    level = "XX" if level == "X" else level
    return _clip(
        "crema-d",
        f"{actor}_{sentence}_{code}_{level}",
        actor,
        emotion=_CREMA_D_EMOTIONS[code],
        gender="female" if int(actor) in _CREMA_D_FEMALE else "male",
        intensity=_CREMA_D_LEVELS[level],
        statement=sentence,
    )


_TESS_NAME = re.compile(r"(OAF?|YAF)_([a-z]+)_(angry|disgust|fear|happy|neutral|ps|sad)")


def parse_tess(path: PurePath) -> ClipFields | None:
    """Read the fields of a TESS file name, such as ``OAF_back_angry``.

    Pichora-Fuller & Dupuis 2020, *Toronto emotional speech set (TESS)*,
    https://doi.org/10.5683/SP2/E8H2MF: the older or the younger actress (OAF, YAF; one file is
    published with OA), the word that ends "Say the word …", emotion (ps: pleasant surprise).

    Examples
    --------
    >>> fields = parse_tess(PurePath("YAF_back_ps.wav"))
    >>> fields["emotion"], fields["speaker"], fields["statement"]
    ('surprised', 'tess YAF', 'back')
    """
    match = _TESS_NAME.fullmatch(path.stem)
    if match is None:
        return None
    actress, word, emotion = match.groups()
    actress = "OAF" if actress == "OA" else actress
    return _clip(
        "tess",
        f"{actress}_{word}_{emotion}",
        actress,
        emotion="surprised" if emotion == "ps" else emotion,
        gender="female",
        statement=word,
    )


_SAVEE_EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
_SAVEE_NAME = re.compile(r"(?:(DC|JE|JK|KL)_)?(a|d|f|h|n|sa|su)([0-9]{2})")


def parse_savee(path: PurePath) -> ClipFields | None:
    """Read the fields of a SAVEE file, ``DC/a01`` as published or ``DC_a01`` in copies.

    Haq & Jackson 2010, *Multimodal Emotion Recognition*, and the corpus's ``Info.txt``: speaker
    (DC, JE, JK and KL, four men; the folder), emotion (one or two letters), sentence of that
    emotion.  The same number is another sentence in another emotion.

    Examples
    --------
    >>> fields = parse_savee(PurePath("AudioData/JK/su07.wav"))
    >>> fields["emotion"], fields["speaker"], fields["clip_id"]
    ('surprised', 'savee JK', 'savee:JK_su07')
    """
    match = _SAVEE_NAME.fullmatch(path.stem)
    speaker = (match[1] or path.parent.name) if match else ""
    if match is None or speaker not in ("DC", "JE", "JK", "KL"):
        return None
    sentence = match[2] + match[3]
    return _clip(
        "savee",
        f"{speaker}_{sentence}",
        speaker,
        emotion=_SAVEE_EMOTIONS[match[2]],
        gender="male",
        statement=sentence,
    )


_EMOVO_EMOTIONS = {
    "dis": "disgust",
    "gio": "happy",
    "neu": "neutral",
    "pau": "fearful",
    "rab": "angry",
    "sor": "surprised",
    "tri": "sad",
}
_EMOVO_NAME = re.compile(r"(dis|gio|neu|pau|rab|sor|tri)-([fm][1-3])-(b[1-3]|d[12]|l[1-4]|n[1-5])")


def parse_emovo(path: PurePath) -> ClipFields | None:
    """Read the fields of an EMOVO file name, such as ``dis-f1-b1``.

    Costantini et al. 2014, *EMOVO Corpus: an Italian Emotional Speech Database* (LREC): emotion
    (first letters of the Italian word), actor (f1 to f3 women, m1 to m3 men), one of 14 sentences.

    Examples
    --------
    >>> fields = parse_emovo(PurePath("rab-m2-d1.wav"))
    >>> fields["emotion"], fields["speaker"], fields["gender"], fields["statement"]
    ('angry', 'emovo m2', 'male', 'd1')
    """
    match = _EMOVO_NAME.fullmatch(path.stem)
    if match is None:
        return None
    emotion, actor, sentence = match.groups()
    return _clip(
        "emovo",
        path.stem,
        actor,
        emotion=_EMOVO_EMOTIONS[emotion],
        gender="female" if actor.startswith("f") else "male",
        statement=sentence,
    )


_ASED_EMOTIONS = {"n1": "neutral", "f2": "fearful", "h3": "happy", "s4": "sad", "a5": "angry"}
_ASED_NAME = re.compile(r"(n1|f2|h3|s4|a5)-(0[1-7])-0([12])-(01|02)-(0[1-9]|[1-5][0-9]|6[0-5])")


def parse_ased(path: PurePath) -> ClipFields | None:
    """Read the fields of an ASED file name, such as ``a5-01-01-01-03``.

    Retta et al. 2022, *A New Amharic Speech Emotion Dataset and Classification Benchmark*,
    https://doi.org/10.1145/3529759: emotion and number of its folder, sentence, repetition, gender
    (01 female, 02 male), speaker (01 to 65).  Most sentences belong to one emotion, so the same
    number is another sentence in another emotion.  A few names begin with a capital letter.

    Examples
    --------
    >>> fields = parse_ased(PurePath("S4-04-02-01-29.wav"))
    >>> fields["emotion"], fields["speaker"], fields["gender"], fields["repetition"]
    ('sad', 'ased 29', 'female', '2')
    """
    name = path.stem.lower()
    match = _ASED_NAME.fullmatch(name)
    if match is None:
        return None
    emotion, sentence, repetition, gender, speaker = match.groups()
    return _clip(
        "ased",
        name,
        speaker,
        emotion=_ASED_EMOTIONS[emotion],
        gender="female" if gender == "01" else "male",
        statement=f"{emotion}-{sentence}",
        repetition=repetition,
    )


_NEMO_FEMALE, _NEMO_MALE = ("EB0", "IC0", "KD0", "MK0"), ("KS0", "MP0", "SM0", "TP0", "WR0")
_NEMO_NAME = re.compile(
    r"([A-Z]{2}0)_(anger|fear|happiness|neutral|sadness|surprised)_([0-9]{1,2})"
)


def parse_nemo(path: PurePath) -> ClipFields | None:
    """Read the fields of an nEMO file name, such as ``EB0_anger_1``.

    Christop 2024, *nEMO: Dataset of Emotional Speech in Polish* (LREC-COLING): speaker, emotion,
    one of 90 sentences.  The speakers' genders are those of the corpus's table ``data.tsv``.

    Examples
    --------
    >>> fields = parse_nemo(PurePath("WR0_surprised_64.wav"))
    >>> fields["emotion"], fields["speaker"], fields["gender"], fields["statement"]
    ('surprised', 'nemo WR0', 'male', '64')
    """
    match = _NEMO_NAME.fullmatch(path.stem)
    if match is None or match[1] not in _NEMO_FEMALE + _NEMO_MALE:
        return None
    speaker, emotion, sentence = match.groups()
    return _clip(
        "nemo",
        path.stem,
        speaker,
        emotion=emotion,
        gender="female" if speaker in _NEMO_FEMALE else "male",
        statement=sentence,
    )


_URDU_EMOTIONS = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}
_URDU_NAME = re.compile(r"(S([FM])[0-9]{1,2})_F[0-9]{1,3}_([AHNS])[0-9]{2,4}")


def parse_urdu(path: PurePath) -> ClipFields | None:
    """Read the fields of a file name of the URDU corpus, such as ``SM1_F10_A010``.

    Latif et al. 2018, *Cross Lingual Speech Emotion Recognition: Urdu vs. Western Languages*,
    https://arxiv.org/abs/1812.10411: speaker (SM1 to SM27 men, SF1 to SF11 women), file of that
    speaker, emotion (first letter) and file of that emotion.  It is taken from talk shows, so every
    sentence is another one.

    Examples
    --------
    >>> fields = parse_urdu(PurePath("Sad/SF10_F1_S01.wav"))
    >>> fields["emotion"], fields["speaker"], fields["gender"]
    ('sad', 'urdu SF10', 'female')
    """
    match = _URDU_NAME.fullmatch(path.stem)
    if match is None:
        return None
    speaker, gender, emotion = match.groups()
    return _clip(
        "urdu",
        path.stem,
        speaker,
        emotion=_URDU_EMOTIONS[emotion],
        gender="female" if gender == "F" else "male",
    )


_AESDD_EMOTIONS = {"a": "angry", "d": "disgust", "f": "fearful", "h": "happy", "s": "sad"}
_AESDD_NAME = re.compile(r"([adfhs])([0-9]{2}) \(([0-9]{1,2})\)([a-z]?)")


def parse_aesdd(path: PurePath) -> ClipFields | None:
    """Read the fields of an AESDD file name, such as ``a03 (4)``.

    Vryzas et al. 2018, *Speech Emotion Recognition for Performance Interaction*, and the corpus's
    ``readme.txt``: emotion (first letter), utterance, speaker, and a letter where there are two
    takes (``f18 (5)b``).  A file in the folder of another emotion is none of this corpus.

    Examples
    --------
    >>> fields = parse_aesdd(PurePath("fear/f18 (5)b.wav"))
    >>> fields["emotion"], fields["speaker"], fields["statement"], fields["repetition"]
    ('fearful', 'aesdd 5', '18', 'b')
    """
    match = _AESDD_NAME.fullmatch(path.stem)
    if match is None:
        return None
    letter, utterance, speaker, take = match.groups()
    emotion = _AESDD_EMOTIONS[letter]
    if emotion_of(path.parent.name) not in (emotion, None):
        return None
    return _clip(
        "aesdd",
        path.stem,
        str(int(speaker)),
        emotion=emotion,
        statement=utterance,
        repetition=take,
    )


_ESD_EMOTIONS = ("neutral", "angry", "happy", "sad", "surprised")
_ESD_FEMALE = {1, 2, 3, 7, 9, 15, 16, 17, 18, 19}
_ESD_NAME = re.compile(r"(00[01][0-9]|0020)_([0-9]{6})")


def parse_esd(path: PurePath) -> ClipFields | None:
    """Read the fields of an ESD file, such as ``0001/Angry/0001_000351``.

    Zhou et al. 2022, *Emotional voice conversion: Theory, databases and ESD*,
    https://doi.org/10.1016/j.specom.2021.11.006: speaker (0001 to 0010 Mandarin, 0011 to 0020
    English), and a number that is the utterance (1 to 350) in neutral, 350 more in angry, and so on
    for happy, sad and surprised.  Names of digits may be anyone's, so the folder of the emotion is
    needed, as published or with a further folder such as ``train`` in it.  The genders are those of
    the corpus's ``ReadMe.txt``.

    Examples
    --------
    >>> fields = parse_esd(PurePath("0001/Angry/0001_000351.wav"))
    >>> fields["emotion"], fields["speaker"], fields["gender"], fields["statement"]
    ('angry', 'esd 0001', 'female', '1')
    """
    match = _ESD_NAME.fullmatch(path.stem)
    if match is None or match[1] == "0000" or not 1 <= int(match[2]) <= 1750:
        return None
    speaker, number = match.groups()
    block, utterance = divmod(int(number) - 1, 350)
    emotion = _ESD_EMOTIONS[block]
    if emotion not in [emotion_of(folder.name) for folder in path.parents[:2]]:
        return None
    return _clip(
        "esd",
        path.stem,
        speaker,
        emotion=emotion,
        gender="female" if int(speaker) in _ESD_FEMALE else "male",
        statement=str(utterance + 1),
    )


_JL_EMOTIONS = "angry|sad|neutral|happy|excited|anxious|apologetic|assertive|concerned|encouraging"
_JL_NAME = re.compile(rf"((female|male)[12])_({_JL_EMOTIONS})_([0-9]{{1,2}})([ab]_[12])")


def parse_jl(path: PurePath) -> ClipFields | None:
    """Read the fields of a JL-Corpus file name, such as ``female1_angry_10a_1``.

    James et al. 2018, *An Open Source Emotional Speech Corpus for Human Robot Interaction
    Applications*, https://doi.org/10.21437/Interspeech.2018-1349, and the corpus's
    ``Format_Intro.txt``: gender and speaker, emotion, sentence, session.

    Raises
    ------
    ValueError
        If the emotion is excited or one of the five secondary ones, which are none of the eight.

    Examples
    --------
    >>> fields = parse_jl(PurePath("female1_angry_10a_1.wav"))
    >>> fields["emotion"], fields["speaker"], fields["gender"], fields["statement"]
    ('angry', 'jl-corpus female1', 'female', '10')
    """
    match = _JL_NAME.fullmatch(path.stem)
    if match is None:
        return None
    speaker, gender, emotion, sentence, recording = match.groups()
    if emotion not in EMOTIONS:
        raise ValueError(f"{emotion} is none of the eight emotions")
    return _clip(
        "jl-corpus",
        path.stem,
        speaker,
        emotion=emotion,
        gender=gender,
        statement=sentence,
        repetition=recording,
    )


PARSERS: dict[str, Callable[[PurePath], ClipFields | None]] = {
    "ravdess": parse_ravdess,
    "emodb": parse_emodb,
    "crema-d": parse_crema_d,
    "tess": parse_tess,
    "savee": parse_savee,
    "emovo": parse_emovo,
    "ased": parse_ased,
    "nemo": parse_nemo,
    "urdu": parse_urdu,
    "aesdd": parse_aesdd,
    "esd": parse_esd,
    "jl-corpus": parse_jl,
    "meld": parse_meld,
}
"""The parsers by the names of their corpora."""

TITLES = (
    "RAVDESS, EMO-DB, CREMA-D, TESS, SAVEE, EMOVO, ASED, nEMO, URDU, AESDD, ESD, JL-Corpus and MELD"
)
"""The same corpora as people call them; docs/corpora.md has the papers and the schemes."""

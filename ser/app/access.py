"""Who may do what, and whose things are whose: alone, open to strangers, or as a team.

``SER_MODE`` says which:

alone
    Whoever opens the app may do everything, and all things are the app's.
public
    Strangers have a folder each, gone with their session, and may change nothing else.
team
    People log in (OpenID Connect).  Each has a role and a folder, in ``members`` of the server's
    folder.  ``SER_TEAM`` names the file that says who they are, see `Team`.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ser import assets
from ser.errors import DataError, OutputError

ALONE, PUBLIC, TEAM = "alone", "public", "team"
PUBLIC_UPLOAD = 60
"""MB that a stranger may upload at once: five minutes, stereo at 48 kHz."""


class Role(StrEnum):
    """What a member of a team is, from the least to the most."""

    VIEWER = "viewer"
    """Asks models, reads reports, and keeps recordings of their own voice."""
    MEMBER = "member"
    """Also opens corpora, trains, tests and shares models."""
    ADMIN = "admin"
    """Also sees what everybody does, stops it, and takes back what is shared."""


@dataclass(frozen=True)
class Visitor:
    """Who is served.

    Attributes
    ----------
    folder : Path
        What they keep lies here.
    name : str
        For people, an e-mail address as a rule; of a stranger empty.
    role : Role
    login : str
        Which login this is: a new one has another; of a stranger empty.
    """

    folder: Path
    name: str = ""
    role: Role = Role.VIEWER
    login: str = ""


class Team(BaseModel):
    """The file that ``SER_TEAM`` names, in TOML.

    Attributes
    ----------
    roles : dict
        For each claim of the login's ID token that tells something, which of its values have which
        role; ``*`` stands for anything, as in file names.  Of several, the highest counts; who has
        none is not let in.
    corpora : tuple of Path
        Folders below which corpora may be opened.
    trainings : int
        How many one person may have running and waiting at once.

    Examples
    --------
    >>> team = Team(roles={"email": {"ada@lab.org": "admin"}, "groups": {"speech*": "member"}})
    >>> str(team.role({"email": "ada@lab.org", "groups": ["speech-2"]}))
    'admin'
    >>> team.role({"email": "ada@lab.org", "email_verified": False}) is None
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    roles: dict[str, dict[str, Role]]
    corpora: tuple[Path, ...] = ()
    trainings: int = Field(default=2, ge=1)

    def role(self, claims: Mapping[str, Any]) -> Role | None:
        """Return the highest role that somebody's claims give them, or None."""
        found = set()
        for claim, rules in self.roles.items():
            if claim == "email" and not _is_verified(claims):
                continue  # anybody could have typed it
            given = claims.get(claim)
            for value in given if isinstance(given, list | tuple) else [given]:
                name = str(value).lower() if value is not None else ""
                found |= {r for p, r in rules.items() if name and fnmatchcase(name, p.lower())}
        return max(found, key=list(Role).index, default=None)


def _is_verified(claims: Mapping[str, Any]) -> bool:
    """Say whether a login's address is known to be theirs; some providers say so as a text."""
    return str(claims.get("email_verified", True)).lower() == "true"


def mode() -> str:
    """Return how the app is run.

    Raises
    ------
    DataError
        If ``SER_MODE`` is something else, so that a slip of the pen opens nothing.
    """
    mode = os.environ.get("SER_MODE", ALONE)
    if mode not in (ALONE, PUBLIC, TEAM):
        raise DataError(
            f"SER_MODE is {mode!r}. Set it to {ALONE} (as if not set), {PUBLIC} or {TEAM}."
        )
    return mode


def is_public() -> bool:
    """Say whether the app is open to strangers."""
    return mode() == PUBLIC


def is_team() -> bool:
    """Say whether people log in."""
    return mode() == TEAM


def team() -> Team:
    """Return who belongs to the team; a change of the file holds from the next click on.

    Raises
    ------
    DataError
        If ``SER_TEAM`` names no such file.
    """
    file = Path(os.environ.get("SER_TEAM") or "")
    try:
        stat = file.stat()
        return _read(file, stat.st_mtime_ns, stat.st_size)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"SER_TEAM is {str(file)!r}, which cannot be read ({error}). Give the file that says "
            "who has which role."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{file}: {where}: {first['msg']}.") from error


@lru_cache(maxsize=4)
def _read(file: Path, changed: int, size: int) -> Team:
    return Team.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))


def home() -> Path:
    """Return the server's own folder, which may not exist yet."""
    own = assets.ROOT / "runs" if assets.IS_CHECKOUT else platformdirs.user_data_path("ser")
    return Path(os.environ.get("SER_HOME") or own).absolute()


def members() -> Path:
    """Return the folder that holds the folders of a team's members."""
    return home() / "members"


def member(claims: Mapping[str, Any]) -> Visitor | None:
    """Return who has logged in, by the claims of their ID token; None if not of the team.

    Raises
    ------
    DataError
        If the claims do not say who it is, or see `team`.
    """
    role = team().role(claims)
    if role is None:
        return None
    issuer, subject = claims.get("iss"), claims.get("sub")
    if not issuer or not subject:
        raise DataError("The login's ID token has no issuer or no subject, so it names nobody.")
    # What a provider calls somebody may be anything, and never changes; an address may.
    folder = hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()[:20]
    address = claims.get("email") if _is_verified(claims) else None
    name = str(address or claims.get("preferred_username") or subject)
    return Visitor(members() / folder, name[:200], role, str(claims.get("iat", "")))


_who: Callable[[], Visitor | None] | None = None


def give_visitor(who: Callable[[], Visitor | None]) -> None:
    """Say how to find whom the app serves now; None if nobody."""
    global _who
    _who = who


def visitor() -> Visitor:
    """Return whom the app serves now.

    Raises
    ------
    OutputError
        If that is nobody, or nobody who could be told apart from others.
    """
    found = _who() if _who else None
    if found is None:
        raise OutputError("This server keeps things for its visitors only.")
    return found


def may_change() -> bool:
    """Say whether whoever is served may open corpora, train, and test models."""
    return mode() == ALONE or (is_team() and visitor().role is not Role.VIEWER)


def check_may_change() -> None:
    """Refuse whoever may not open corpora, train, and test models.

    Raises
    ------
    DataError
    """
    if not may_change():
        raise DataError(
            "You may not do this on this server. Whoever runs it can give you the role of a member."
        )


def is_admin() -> bool:
    """Say whether whoever is served looks after a team."""
    return is_team() and visitor().role is Role.ADMIN


def may_read(path: Path) -> bool:
    """Say whether whoever is served may read a file or folder of the server, links followed."""
    return first_closed([path]) is None


def first_closed(paths: Iterable[str | Path]) -> Path | None:
    """Return the first of some files that whoever is served may not read, links followed."""
    if mode() == ALONE:
        return None
    allowed = [assets.SAMPLES, assets.MODELS, assets.REPORTS]
    if is_team():
        own = visitor()
        allowed.append(own.folder)
        if own.role is not Role.VIEWER:
            allowed += team().corpora
    folders = [folder.resolve() for folder in allowed]
    return next((Path(p) for p in paths if not _lies_in(Path(p), folders)), None)


def _lies_in(path: Path, folders: list[Path]) -> bool:
    try:
        real = path.resolve()
    except (OSError, RuntimeError):  # a link to itself
        return False
    return any(real.is_relative_to(folder) for folder in folders)


def check_readable(paths: Iterable[str | Path]) -> None:
    """Refuse files that whoever is served may not read, without a word on whether they exist.

    Raises
    ------
    DataError
        Naming the first of them.
    """
    if (path := first_closed(paths)) is not None:
        places = ", ".join(map(str, team().corpora)) if is_team() else ""
        more = f" You can open corpora in {places}." if places else ""
        raise DataError(f"{path} is not open to you on this server.{more}")

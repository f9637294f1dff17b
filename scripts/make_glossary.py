"""Write the page of the glossary again from the texts that the app shows as help.

Run it as ``python scripts/make_glossary.py``.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from ser.app.glossary import SECTIONS  # noqa: E402
from ser.utils.files import write_text  # noqa: E402

PAGE = PROJECT / "docs" / "glossary.md"
_HEAD = """\
# Glossary

The words of the field as this project uses them. The app shows the same texts as help, from
`ser/app/glossary.py`; `scripts/make_glossary.py` writes this page.
"""


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for title, terms in SECTIONS.items():
        words = [text.split(": ", maxsplit=1) for text in terms.values()]
        lines = [f"- **{word}**: {meaning}" for word, meaning in words]
        parts.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    write_text(PAGE, page())

"""Write the deployment's files so that they name every exchange: `python -m deploy.exchanges [--check]`.

An exchange is a folder `services/ingest-<name>`. The deployment's files name all exchanges, in paragraphs, lines or list items
that differ only in the name. If at least two of these follow each other, the first is used as the pattern, and the row is
written again with one for each folder. A paragraph or line about a single exchange is not changed.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = (
    "pyproject.toml",
    "docker-compose.yml",
    "deploy/redis/users.acl",
    "deploy/monitoring/prometheus.yml",
    "deploy/monitoring/alerts.yml",
    "deploy/swarm/stack.yml",
    "deploy/swarm/demo.yml",
    "deploy/kubernetes/base/kustomization.yaml",
    "deploy/kubernetes/overlays/demo/kustomization.yaml",
    "deploy/kubernetes/overlays/live/kustomization.yaml",
)
FOLDERS = "deploy/kubernetes/base/ingest-{}/kustomization.yaml"  # a file for each exchange
UNITS = (
    re.compile(r"^  ingest-([a-z0-9]+):\n(?:    .*\n)+\n", re.MULTILINE),  # a service
    re.compile(r"^.*\bingest-([a-z0-9]+)\b.*\n", re.MULTILINE),  # a line
    re.compile(r'"?(?:services/)?ingest[-_]([a-z0-9]+)(?:/src)?"?, '),  # an item
)


def exchanges(root: Path) -> list[str]:
    """Return the names of all exchanges that have an ingest."""
    return sorted(folder.name.removeprefix("ingest-") for folder in (root / "services").glob("ingest-*"))


def renamed(text: str, name: str, new: str) -> str:
    """Return a text about one exchange with another exchange's name in it."""
    return re.sub(rf"(?<![a-z0-9]){name}(?![a-z0-9])", new, text)


def repeated(text: str, names: list[str]) -> str:
    """Return a file's text with one unit for each name in each row of units."""
    for unit in UNITS:
        rows: list[list[re.Match[str]]] = []
        for found in unit.finditer(text):
            row = rows[-1] if rows else []
            is_next = row and row[-1].end() == found.start() and renamed(row[0][0], row[0][1], found[1]) == found[0]
            if is_next:
                row.append(found)
            else:
                rows.append([found])
        for row in reversed(rows):
            if len({found[1] for found in row}) > 1:
                first, last = row[0], row[-1]
                anew = "".join(renamed(first[0], first[1], name) for name in names)
                text = text[: first.start()] + anew + text[last.end() :]
    return text


def written(root: Path) -> dict[Path, str]:
    """Return the text that each file should have."""
    names = exchanges(root)
    texts = {root / file: repeated((root / file).read_text(), names) for file in FILES}
    pattern = next(root / FOLDERS.format(name) for name in names if (root / FOLDERS.format(name)).exists())
    known = pattern.parent.name.removeprefix("ingest-")
    return texts | {root / FOLDERS.format(name): renamed(pattern.read_text(), known, name) for name in names}


def main(arguments: list[str]) -> None:
    """Write the files. With `--check`, write none, and end with an error that names the first outdated one."""
    for file, text in written(ROOT).items():
        if file.exists() and file.read_text() == text:
            continue
        if "--check" in arguments:
            sys.exit(f"{file.relative_to(ROOT)} does not name the exchanges that services/ has: `make fix` writes it")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])

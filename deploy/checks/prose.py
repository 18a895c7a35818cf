"""List sentences in which "who", "what", "none" or "such" stands where a reader needs a noun: `python -m deploy.checks.prose`.

It reads the docstrings, comments and Markdown that git tracks, and fails for a sentence that prose.txt does not list as good
English. It also fails for an entry of prose.txt that matches no sentence any more.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path, PurePath

ROOT = Path(__file__).parents[2]
EXCEPTIONS = Path(__file__).with_suffix(".txt")
FEWEST_WORDS = 4  # a shorter text is a label

# A relative clause follows its noun. After one of these words the noun is missing, as in `sent to who asked`.
_LINK = r"\b(?:about|all|as|at|be|been|but|by|for|from|in|into|is|are|not|of|on|only|than|that|to|was|were|with)\s"
_QUESTION = r"\b(?:[Hh]ow|[Ww]h(?:at|en|ere|ether|ich|ose|y|o))\b"
HANGING = re.compile(
    rf"{_LINK}(?:who|whom|what|whoever|whatever)\b"
    rf"|^(?:(?!{_QUESTION}).)*\b(?:and|or)\s(?:who|what)\b"  # after a question word it continues the question
    r"|^(?:Who|What|Whoever|Whatever)\b(?!.*\?$)"
    r"|\b(?:is|are|was|were|be|been)\s(?:none\b|such(?=\W*$|\W*[,;:.)]|\s(?:at|in|on|when|where|and|or)\b))"
    r"|\b(?:none|such)\s(?:is|are|was|were|has|have)\b"
)

_HASH = re.compile(r"(?:^|(?<=\s))#(?!!)(.*)", re.MULTILINE)
_STRING = r"""'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`"""  # a comment does not start in one
_SLASHES = re.compile(_STRING + r"|(?<![:\\])//([^\n]*)|/\*(.*?)\*/", re.DOTALL)
COMMENTS = {
    ".lua": re.compile("--(.*)"),
    **dict.fromkeys((".ts", ".tsx", ".js", ".c", ".css"), _SLASHES),
    **dict.fromkeys((".yaml", ".yml", ".toml", ".cfg", ".conf", ".env", ".acl", ".example", ""), _HASH),  # "" as in Makefile
}
_NOT_PROSE = re.compile(r"^ *```.*?^ *```|^#[^\n]*|^\|[^\n]*\n(?=\|[-:| ]+\n)", re.DOTALL | re.MULTILINE)  # code and headings
_END = re.compile(r"([.:;!?][*_)\"']*)\s+|\n[\s*]*\n|\n[\s*]*(?:-|\d+\.)\s|\||\Z")


def sentences(file: str, source: str) -> Iterator[tuple[int, str]]:
    """Find each sentence of a file's prose with its line number. Inline code becomes `x`."""
    paragraphs, end = list[tuple[int, str]](), -1
    for line, text, starts_line in _texts(PurePath(file).suffix, source):
        if starts_line and line == end + 1 and "\n" not in text:  # it continues the line above
            first, before = paragraphs.pop()
            paragraphs.append((first, f"{before}\n{text}"))
        else:
            paragraphs.append((line, text))
        end = line + text.count("\n")
    for first, text in paragraphs:
        prose = re.sub(r"(`+)[^`]+\1", lambda code: "x" + "\n" * code[0].count("\n"), text)
        start = 0
        for stop in _END.finditer(prose):
            words = re.sub(r"\n\s*\*? ?|^[\s*/#!-]+", " ", prose[start : stop.start()] + (stop[1] or "")).split()
            if len(words) >= FEWEST_WORDS:
                yield first + prose.count("\n", 0, start), " ".join(words).strip("|* ")
            start = stop.end()


def _texts(suffix: str, source: str) -> Iterator[tuple[int, str, bool]]:
    """Find the texts with their first lines, and whether nothing but space stands before one on its line."""
    if suffix == ".md":
        yield 1, _NOT_PROSE.sub(lambda text: "\n" * text[0].count("\n"), source), False
    for found in COMMENTS[suffix].finditer(source) if suffix in COMMENTS else ():
        if found.lastindex:
            before = source[: found.start()]
            yield before.count("\n") + 1, found[found.lastindex], not before.rpartition("\n")[2].strip()
    statement_before = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline) if suffix == ".py" else ():
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#!"), token.line.lstrip().startswith("#")
        elif token.type == tokenize.STRING and statement_before:
            yield token.start[0], token.string.strip('"'), False
        if token.type not in {tokenize.COMMENT, tokenize.NL}:
            statement_before = token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def main(root: Path = ROOT, exceptions: Path = EXCEPTIONS) -> int:
    """Print each sentence and each exception that fails the check; return the exit status."""
    listed = subprocess.run(("git", "ls-files"), cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    read = [file for file in listed if PurePath(file).suffix in {".py", ".md", *COMMENTS} and (root / file).is_file()]
    texts = ((file, *place) for file in read for place in sentences(file, (root / file).read_text()))
    found = {f"{file} | {text}": line for file, line, text in texts if HANGING.search(text)}
    excepted = {line.rpartition(" | ")[0] for line in exceptions.read_text().splitlines() if not line.startswith("#")}
    for entry in sorted(found.keys() - excepted):
        print(entry.replace(" | ", f":{found[entry]}: ", 1))
    for entry in sorted(excepted - found.keys()):
        print(f"{exceptions.name}: no sentence is like this any more: {entry}")
    return 1 if found.keys() != excepted else 0


if __name__ == "__main__":
    sys.exit(main())

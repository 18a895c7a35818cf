"""The check of the project's own English finds suspect sentences, and nothing but the reviewed exceptions passes."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3]))
prose = importlib.import_module("deploy.checks.prose")


@pytest.mark.parametrize(
    "sentence",
    [
        "It is sent to who asked last.",
        "This is older than what came before.",
        "What was published is gone.",
        "Whoever reads slowly gets the newest.",
        "It names the master, and who asks gets it.",
        "Of such connections there are none, or there is none yet.",
        "An exchange may be such at any time.",
    ],
)
def test_a_pronoun_in_the_place_of_a_noun_is_suspect(sentence: str) -> None:
    assert prose.HANGING.search(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "A client who asked last is served first.",
        "The log says what went wrong.",
        "Check which symbol it is and what it costs.",
        "What does this cost?",
        "None of them is read.",
        "It returns None, as is usual.",
        "The order is such that the newest wins.",
        "It returns whether there were such points.",
        "Frames such as a heartbeat are dropped.",
    ],
)
def test_a_question_or_a_clause_with_its_noun_is_not(sentence: str) -> None:
    assert not prose.HANGING.search(sentence)


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        pytest.param(
            "a.py",
            '"""First line of\ntwo lines. Then a second one."""\n\nx = "no comment # at all here"  # but this is one\n# on its own line\n',
            [(1, "First line of two lines."), (2, "Then a second one."), (4, "but this is one on its own line")],
            id="python",
        ),
        pytest.param(
            "a.ts",
            'const url = "http://not.a/comment or two"; // the first comment here\n/**\n * A block of\n * two lines.\n */\n',
            [(1, "the first comment here"), (2, "A block of two lines.")],
            id="typescript",
        ),
        pytest.param(
            "a.lua", "local x = 1\n-- one comment over\n-- two lines\n", [(2, "one comment over two lines")], id="lua"
        ),
        pytest.param("a.yaml", "a: b#c d e f\nb: 1  # a comment of words\n", [(2, "a comment of words")], id="yaml"),
        pytest.param(
            "Makefile", "# before all the targets\nall:\n\techo a#b c d e\n", [(1, "before all the targets")], id="makefile"
        ),
        pytest.param("run", "#!/bin/sh\n# a script without suffix\n", [(2, "a script without suffix")], id="shell"),
        pytest.param(
            "a.md",
            "# A heading of four words\n\nThe `who is` code is\nno words. Next one is here.\n\n```sh\nmake a b c d\n```\n"
            "| a head of words |\n|---|\n| a cell of words | short |\n\n- An item of four\n- Another item of four\n",
            [
                (3, "The x code is no words."),
                (4, "Next one is here."),
                (11, "a cell of words"),
                (13, "An item of four"),
                (14, "Another item of four"),
            ],
            id="markdown",
        ),
        pytest.param("a.json", '{"comment": "# what is this file for"}', [], id="no prose"),
    ],
)
def test_the_sentences_of_a_file(file: str, source: str, expected: list[tuple[int, str]]) -> None:
    assert list(prose.sentences(file, source)) == expected


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "a.md").write_text("All is well here.\n\nWhat was sent is gone.\n")
    subprocess.run(("git", "init", "-q"), cwd=tmp_path, check=True)
    subprocess.run(("git", "add", "a.md"), cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("exceptions", "status", "printed"),
    [
        pytest.param("", 1, "a.md:3: What was sent is gone.\n", id="a sentence that nobody reviewed"),
        pytest.param("# reviewed\na.md | What was sent is gone. | a title\n", 0, "", id="a reviewed one"),
        pytest.param(
            "a.md | What was sent is gone. | a title\na.md | What is old. | a title\n",
            1,
            "exceptions.txt: no sentence is like this any more: a.md | What is old.\n",
            id="an exception too many",
        ),
        pytest.param(
            "a.md | What was sent is gone.\n",
            1,
            "a.md:3: What was sent is gone.\nexceptions.txt: no sentence is like this any more: a.md\n",
            id="an exception without a reason",
        ),
    ],
)
def test_what_fails(project: Path, capsys: pytest.CaptureFixture[str], exceptions: str, status: int, printed: str) -> None:
    (project / "exceptions.txt").write_text(exceptions)
    assert prose.main(project, project / "exceptions.txt") == status
    assert capsys.readouterr().out == printed

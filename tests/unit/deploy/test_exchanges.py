"""Each file of the deployment names every exchange, and a new exchange needs only its folder."""

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.append(str(ROOT))
exchanges = importlib.import_module("deploy.exchanges")


def test_the_files_name_the_exchanges_that_there_are() -> None:
    assert {file: file.read_text() for file in exchanges.written(ROOT)} == exchanges.written(ROOT)


def test_a_new_exchange_is_named_wherever_the_others_are(tmp_path: Path) -> None:
    originals = {file.relative_to(ROOT): text for file, text in exchanges.written(ROOT).items()}
    for file, text in originals.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    for name in (*exchanges.exchanges(ROOT), "bitget"):
        (tmp_path / "services" / f"ingest-{name}").mkdir(parents=True)
    texts = exchanges.written(tmp_path)
    assert {file.relative_to(tmp_path) for file in texts} == {*originals, Path(exchanges.FOLDERS.format("bitget"))}
    for file, text in texts.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        if "ingest-" not in str(file):
            assert text.count("bitget") == text.count("bybit") > 0, file
    (tmp_path / "services" / "ingest-bitget").rmdir()
    assert {file.relative_to(tmp_path): text for file, text in exchanges.written(tmp_path).items()} == originals

"""Print docs/asyncapi.yaml with the current schemas of the messages: `python -m deploy.checks.asyncapi`.

The schemas at its end are generated from market_pulse.messages. The rest is written by hand and printed as it is.
"""

from pathlib import Path

import yaml

from market_pulse.messages import schemas

DOCUMENT = Path("docs/asyncapi.yaml")
BEGINNING = "  schemas:\n"


def document() -> str:
    """Return the hand-written part of the document, followed by the generated schemas."""
    by_hand, beginning, _ = DOCUMENT.read_text().partition(BEGINNING)
    generated = yaml.safe_dump(
        schemas("#/components/schemas/{name}"), sort_keys=False, default_flow_style=None, width=118, allow_unicode=True
    )
    return by_hand + beginning + "".join(f"    {line}" for line in generated.splitlines(keepends=True))


if __name__ == "__main__":
    print(document(), end="")

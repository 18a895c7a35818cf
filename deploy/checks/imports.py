"""Import every module of every workspace member, each member in an environment of its own.

In the common environment an import works even if another member declares the package. Here only the member's own dependencies
are installed, so that an undeclared import fails. Usage: `python -m deploy.checks.imports UV`, where UV is the uv to run.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
"""


def main(uv: str) -> int:
    """Check all members and print those that fail; return the exit status, 1 if any failed."""
    with tempfile.TemporaryDirectory(prefix="market-pulse-") as folder:
        failed = [member for member in _members() if not _imports(uv, member, Path(folder) / member.name)]
    for member in failed:
        print(f"{member}: imports a package that its pyproject.toml does not declare")
    return 1 if failed else 0


def _members() -> list[Path]:
    return sorted(
        manifest.parent for manifest in (*Path().glob("shared/pyproject.toml"), *Path().glob("services/*/pyproject.toml"))
    )


def _imports(uv: str, member: Path, environment: Path) -> bool:
    name = tomllib.loads((member / "pyproject.toml").read_text())["project"]["name"]
    sync = (uv, "sync", "--quiet", "--frozen", "--no-dev", "--all-extras", "--package", name)
    subprocess.run(sync, env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(environment)}, check=True)
    python = environment / "bin" / "python"
    return subprocess.run((python, "-c", IMPORT_ALL, name.replace("-", "_")), check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

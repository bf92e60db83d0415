"""The environment of peers that cannot share ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parent.parent
PEERS = HOME / ".venv-peers"


def peers_python() -> str:
    """The interpreter of the peers' environment, which is made when it is missing."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        newer = subprocess.run(
            ["bash", str(HOME / ".ci" / "newer"), "find"], capture_output=True, text=True, check=False
        )
        base = newer.stdout.strip() or sys.executable
        subprocess.run([base, "-m", "venv", str(PEERS)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pymc-marketing"]
        subprocess.run([str(python), *install], check=True)
    return str(python)

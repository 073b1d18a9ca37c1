"""Java 17 for the tests on Spark: found, or installed with apt as root, or the command to type is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGE = "openjdk-17-jre-headless"


def find() -> str | None:
    """The Java that Spark starts: the one of $JAVA_HOME, else the one on the PATH."""
    home = os.environ.get("JAVA_HOME", "")
    return shutil.which("java", path=os.path.join(home, "bin")) if home else shutil.which("java")


def provide() -> str:
    """Make sure there is one where that is possible; what to tell the reader."""
    if path := find():
        return f"java: {path}"
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        return f"no Java: tests on Spark will be skipped.\nDebian, Ubuntu: sudo apt-get update && sudo apt-get install {PACKAGE}"
    print("installing Java 17 with apt-get for the tests on Spark", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", PACKAGE]):
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            return f"no Java: `{' '.join(command)}` failed, tests on Spark will be skipped\n{done.stderr.strip()[-600:]}"
    return f"java: {find()}"


if __name__ == "__main__":
    print(provide())
    sys.exit()

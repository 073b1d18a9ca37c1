"""Debian's Chromium for the browser tests: found, or installed with apt as root, or the command to type is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The browser that the tests drive: $MLNB_CHROMIUM, else the first known name on the PATH."""
    return os.environ.get("MLNB_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def provide() -> str:
    """Make sure there is one where that is possible; what to tell the reader."""
    if path := find():
        return f"browser: {path}"
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        return (
            "no Chromium: browser tests will be skipped.\n"
            "Debian, Ubuntu: sudo apt-get update && sudo apt-get install chromium\n"
            "(or name a browser: MLNB_CHROMIUM=/path/to/chrome)"
        )
    print("installing Chromium with apt-get for the browser tests", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]):
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            return f"no Chromium: `{' '.join(command)}` failed, browser tests will be skipped\n{done.stderr.strip()[-600:]}"
    return f"browser: {find()}"


if __name__ == "__main__":
    print(provide())
    sys.exit()

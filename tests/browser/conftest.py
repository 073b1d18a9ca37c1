"""A JupyterLab server on loopback and a browser that talks to nobody else: what every browser test shares.

One server per session, with folders of its own for everything it would otherwise look up or leave in the user's home.
It is ended by its process id. The browser is Debian's Chromium; nothing is downloaded, and a request to anywhere but
the server is cut off and makes the test fail.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READY = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget, session = panel?.context?.sessionContext;
  return Boolean(session?.isReady && panel.context.isReady && session.session?.kernel?.status === 'idle');
}"""
QUIET = {
    "@jupyterlab/apputils-extension:announcements": True,  # a news box would cover the corner
}


@dataclass
class Lab:
    """A running JupyterLab."""

    process: subprocess.Popen
    port: int
    token: str
    folder: Path  # what it serves

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End the server and its kernels: it shuts them down itself when asked politely."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(base: Path) -> Lab:
    """Start a server below `base`, and wait until it answers."""
    work, port, token = base / "work", free_port(), secrets.token_hex(16)
    homes = {
        "HOME": base / "home",
        "JUPYTER_CONFIG_DIR": base / "config",
        "JUPYTER_DATA_DIR": base / "data",
        "JUPYTER_RUNTIME_DIR": base / "runtime",
        "IPYTHONDIR": base / "ipython",
    }
    for folder in (work, *homes.values(), base / "config" / "labconfig"):
        folder.mkdir(parents=True, exist_ok=True)
    (base / "config" / "labconfig" / "page_config.json").write_text(json.dumps({"disabledExtensions": QUIET}))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
    command += [f"--ServerApp.ip=127.0.0.1 --ServerApp.port={port} --ServerApp.port_retries=0".split()[i] for i in range(3)]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={work}"]
    env = {**os.environ, **{name: str(folder) for name, folder in homes.items()}, "PYTHONPATH": str(ROOT)}
    env.pop("JUPYTER_TOKEN", None)
    with (base / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=env, cwd=work, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    lab = Lab(process, port, token, work)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{lab.address}/api/status?token={token}", timeout=5).read()
            return lab
        except OSError:
            time.sleep(0.2)
    lab.stop()
    raise RuntimeError(f"JupyterLab did not start:\n{(base / 'server.log').read_text()[-2000:]}")


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on loopback with a token."""
    server = start(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """Chromium without a window; for a module, since its event loop must not run in the tests that follow."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install playwright")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        yield running
        running.close()


@dataclass
class Notebook:
    """A notebook open in JupyterLab, in a page of its own."""

    page: Any
    lab: Lab
    name: str
    strangers: list[str] = field(default_factory=list)  # addresses outside that the page asked for
    dialogs: list[str] = field(default_factory=list)  # boxes that scripts opened

    @property
    def output(self) -> Any:
        """What the cells show; JupyterLab's own labels are left out of searches below it."""
        return self.page.locator(".jp-Notebook")

    def open(self) -> Notebook:
        """Load the page, as after a reload of the browser; the kernel goes on."""
        workspace = f"{self.lab.address}/doc/workspaces/{secrets.token_hex(6)}/tree/{self.name}"
        self.page.goto(f"{workspace}?reset&token={self.lab.token}")
        self.page.wait_for_function(READY, timeout=60_000)
        return self

    def run(self) -> None:
        """Run all cells; a cell that raises makes the test fail."""
        done = self.page.evaluate("async () => await window.jupyterapp.commands.execute('notebook:run-all-cells')")
        assert done is not False, "a cell raised: " + self.page.locator(".jp-OutputArea").inner_text()
        self.page.wait_for_function(READY, timeout=60_000)

    def restart(self) -> None:
        """A new kernel: nothing of the old one is left."""
        kernel = "window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel"
        self.page.evaluate(f"async () => await {kernel}.restart()")
        self.page.wait_for_function(READY, timeout=60_000)

    def save(self) -> None:
        """Keep the notebook with its outputs, as the user's Ctrl-S does."""
        self.page.evaluate("async () => await window.jupyterapp.commands.execute('docmanager:save')")

    def dark(self, on: bool = True) -> None:
        """Switch JupyterLab's theme."""
        name = "JupyterLab Dark" if on else "JupyterLab Light"
        change = "async theme => await window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
        self.page.evaluate(change, name)
        self.page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=name)

    def shown(self) -> str:
        """Where it stands, as text: the kernel, and all that the cells show, with what is in their fields."""
        state = "() => window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel"
        fields = "all => all.map(each => `[${each.disabled ? 'disabled ' : ''}${each.ariaLabel ?? each.labels?.[0]?.innerText}: ${each.value}]`).join(' ')"
        try:
            kernel = self.page.evaluate(f"({state})()?.status + ', ' + ({state})()?.connectionStatus")
            return f"kernel {kernel}\n{self.output.inner_text()}\n{self.output.locator('input, select').evaluate_all(fields)}"[-4000:]
        except Exception as error:  # it only helps to find out why the test failed, and must not hide that
            return f"cannot be read: {error}"

    def close(self) -> None:
        """End the kernel, then the page."""
        shut = "async () => await window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.shutdown()"
        try:
            self.page.evaluate(shut)
        finally:
            self.page.context.close()


OPENED = pytest.StashKey[list[Notebook]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that fails here says what was on the page and what the server wrote: nobody else will see either again."""
    report = yield
    if report.when == "call" and report.failed:
        for book in item.stash.get(OPENED, []):
            report.sections.append(("the page", book.shown()))
            report.sections.append(("the server", (book.lab.folder.parent / "server.log").read_text()[-2000:]))
    return report


@pytest.fixture
def notebook(lab: Lab, browser: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Notebook]]:
    """`notebook(cell, cell, …)` opens a new notebook with these cells; afterwards nothing may have asked the outside."""
    opened = request.node.stash[OPENED] = []

    def make(*cells: str) -> Notebook:
        name = f"{secrets.token_hex(4)}.ipynb"
        content = {
            "cells": [
                {"cell_type": "code", "id": f"cell{i}", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
                for i, source in enumerate(cells)
            ],
            "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (lab.folder / name).write_text(json.dumps(content))
        context = browser.new_context(viewport={"width": 1280, "height": 1500})
        book = Notebook(context.new_page(), lab, name)

        def guard(route: Any) -> None:
            if route.request.url.startswith((lab.address, "data:", "blob:")):
                route.continue_()
            else:
                book.strangers.append(route.request.url)
                route.abort()

        context.route("**/*", guard)
        book.page.on("dialog", lambda box: (book.dialogs.append(box.message), box.dismiss()))
        opened.append(book)
        return book.open()

    yield make
    for book in opened:
        book.close()
    assert not [address for book in opened for address in book.strangers], "something was asked of the outside"
    assert not [words for book in opened for words in book.dialogs], "a script ran"


def until(true: Callable[[], object], seconds: float = 20) -> object:
    """Wait for something to become true, and give it back."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = true()
        except (OSError, AssertionError):
            found = None
        if found or time.monotonic() > end:
            assert found, "waited in vain"
            return found
        time.sleep(0.1)


@pytest.fixture
def wait() -> Callable[..., object]:
    """`wait(lambda: …)` until it is true."""
    return until

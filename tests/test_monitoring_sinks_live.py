"""Sinks over encrypted wires: a certificate that is trusted delivers, any other is refused with what to do, and the message stays to be sent."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mail_server import MailServer
from watched import Hook

from mlnb.core.project import Project
from mlnb.monitoring.deliveries import JOURNAL, Journal, deliver
from mlnb.monitoring.notices import Notice
from mlnb.monitoring.sinks import MailSink, Sink, SinkError, WebhookSink, project_sinks
from mlnb.monitoring.windows import Alert

START = "2026-03-01T00:00:00+00:00"
NOTICE = Notice("raised", Alert("DRIFT-FEATURE", "income", "critical", "income drifted", START, "2026-03-02T00:00:00+00:00"), START)
NOW = "2026-03-02T06:00:00+00:00"


def certificate(folder: Path, name: str, whom: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate that signs itself, as a file to trust, and what a server needs to show it."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl on the PATH to make a certificate with; install it from the system's packages")
    key, made = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=mlnb test",
                    "-addext", f"subjectAltName={whom}", "-keyout", str(key), "-out", str(made)], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return made, context


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """Of the address on which the servers are."""
    return certificate(tmp_path_factory.mktemp("own"), "own", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """Of another machine."""
    return certificate(tmp_path_factory.mktemp("other"), "other", "DNS:mail.example.org")


@contextlib.contextmanager
def receiver(kind: str, context: ssl.SSLContext) -> Iterator[tuple[Sink, list[str]]]:
    """A sink, and what its server was given: keys, or identities of mails."""
    if kind == "webhook":
        with Hook() as hook:
            hook.server.socket = context.wrap_socket(hook.server.socket, server_side=True, do_handshake_on_connect=False)
            yield WebhookSink(hook.url.replace("http://", "https://"), "s3cret", timeout=10, pauses=()), hook.keys
    else:
        implicit = kind == "email, port 465"
        with MailServer(context, implicit=implicit) as server:
            yield (MailSink(("team@example.org",), "ml@example.org", "127.0.0.1", server.port, user="ana", password="s3cret", timeout=10, name=kind, implicit=implicit),
                   server.identities)


@pytest.mark.parametrize("kind", ["webhook", "email", "email, port 465"])
def test_only_a_trusted_certificate_gets_the_message(kind: str, own: tuple[Path, ssl.SSLContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    path, (trusted, context) = tmp_path / JOURNAL, own
    with receiver(kind, context) as (sink, got):
        refused = deliver(path, [NOTICE], [sink], NOW)
        assert not got and refused.sent == {} and refused.waiting == {kind: 1}
        assert "not trusted: self-signed certificate" in refused.problems[0].replace("self signed", "self-signed") and "SSL_CERT_FILE" in refused.problems[0]
        assert Journal(path).states()[kind, NOTICE.key] == "failed" and "s3cret" not in path.read_text()
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert deliver(path, [NOTICE], [sink], NOW).sent == {kind: 1} and len(got) == 1
        assert Journal(path).states()[kind, NOTICE.key] == "sent"
        again = deliver(path, [NOTICE], [sink], NOW)
        assert again.sent == again.waiting == {} and len(got) == 1


@pytest.mark.parametrize("kind", ["webhook", "email", "email, port 465"])
def test_a_certificate_of_another_machine_is_refused_although_its_signer_is_trusted(
        kind: str, other: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(other[0]))
    with receiver(kind, other[1]) as (sink, got), pytest.raises(SinkError, match=r"IP address mismatch.*Use the name that the certificate is for"):
        sink.send({"key": "a"})
    assert not got


def test_a_mail_server_without_encryption_gets_neither_password_nor_mail() -> None:
    with MailServer() as server:
        sink = MailSink(("team@example.org",), "ml@example.org", "127.0.0.1", server.port, user="ana", password="s3cret", timeout=10)
        with pytest.raises(SinkError, match="starttls: false"):
            sink.send({"key": "a"})
    assert not server.identities and not any("s3cret" in line or line.upper().startswith("AUTH") for line in server.said)


def test_a_log_in_that_is_refused_says_where_to_look(own: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(own[0]))
    with MailServer(own[1], refuses="AUTH") as server, pytest.raises(SinkError, match="password_env"):
        MailSink(("team@example.org",), "ml@example.org", "127.0.0.1", server.port, user="ana", password="s3cret", timeout=10).send({"key": "a"})
    assert not server.identities


def test_the_port_says_how_a_mail_is_encrypted(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    project, found = Project.create(tmp_path / "p", tmp_path / "t.csv", target="y"), {}
    (project.path / "records").mkdir(exist_ok=True)
    for port in (465, 587):
        record = f"monitoring:\n  alerts:\n    email: {{to: [team@example.org], from: ml@example.org, smtp: 'mail.example.org:{port}'}}\n"
        (project.path / "records" / "monitoring.yaml").write_text(record)
        (sink,) = (sink for sink in project_sinks(Project(project.path), {})[0] if isinstance(sink, MailSink))
        found[port] = sink.implicit
    assert found == {465: True, 587: False}

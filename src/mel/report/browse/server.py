"""The server of `mel browse`: on 127.0.0.1 only, for a browser on this machine and for nobody behind it."""

from __future__ import annotations

import errno
import socketserver
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from rich.console import Console

from mel.report.browse.answers import Answers
from mel.report.browser import script_json
from mel.report.templating import joined, render_template, source_hash
from mel.visible import visible

ADDRESS = "127.0.0.1"
STYLES, SCRIPTS = ("base.css",), ("experiences.js",)
T = TypeVar("T")


class BrowseServer(ThreadingHTTPServer):
    """Answers each connection in a thread of its own, and asks the store in one that only does this.

    A browser opens connections that it says nothing on for a while; a server of one thread would wait for each.

    Raises:
        ValueError: no run directory, or the port is taken.
    """

    daemon_threads = True

    def __init__(self, run: Path, *, port: int) -> None:
        self._reader = ThreadPoolExecutor(max_workers=1)
        try:
            self.answers = self.ask(lambda: Answers(run))
            self.page = self.ask(lambda: _page(self.answers))
            super().__init__((ADDRESS, port), Handler)
        except BaseException as error:
            self._reader.shutdown()
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                raise ValueError(
                    f"--port: expected a free port of {ADDRESS}, got {port}, which another program uses; choose "
                    f"another one, or 0 for any that is free"
                ) from None
            raise

    def server_bind(self) -> None:
        """Binds without asking a name server what this machine is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    def ask(self, question: Callable[[], T]) -> T:
        """The answer, from the thread that the store belongs to."""
        return self._reader.submit(question).result()

    def server_close(self) -> None:
        """Close the socket and the store."""
        super().server_close()
        self.ask(self.answers.library.close)
        self._reader.shutdown()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """`/` is the page, `/api/experiences` a page of matches, `/api/experience` one of them."""

    server: BrowseServer
    server_version, sys_version = "mel", ""
    timeout = 20

    def do_GET(self) -> None:
        """Answer, or refuse what no page of this server asks."""
        try:
            refusal = self._refusal()
            if refusal:
                self._send(HTTPStatus.FORBIDDEN, "text/plain", f"{refusal}\n")
                return
            url = urlsplit(self.path)
            asked = dict(parse_qsl(url.query, keep_blank_values=True, max_num_fields=20))
            if url.path == "/":
                self._send(HTTPStatus.OK, "text/html", self.server.page)
            elif url.path == "/api/experiences":
                self._send_json(lambda: self.server.answers.find(asked))
            elif url.path == "/api/experience":
                self._send_json(lambda: self.server.answers.show(asked.get("id", "")))
            else:
                self._send(HTTPStatus.NOT_FOUND, "text/plain", "expected /, /api/experiences or /api/experience\n")
        except ValueError as error:
            self._send(HTTPStatus.BAD_REQUEST, "text/plain", f"{visible(str(error))}\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what a person looks for is not written down."""

    def _refusal(self) -> str:
        """Why this request is not answered; empty if it is.

        A page of another site can make a browser ask 127.0.0.1. It cannot choose the Host header, but a name of its
        own can be made to lead here (DNS rebinding): only our own names are answered.
        """
        names = [f"{name}:{self.server.server_port}" for name in (ADDRESS, "localhost")]
        hosts, origin = self.headers.get_all("Host", []), self.headers.get("Origin")
        if len(hosts) != 1 or hosts[0].lower() not in names:
            return f"refused: expected the host {names[0]}"
        if origin is not None and origin != f"http://{hosts[0].lower()}":
            return "refused: asked by a page of another origin"
        is_page = urlsplit(self.path).path == "/"
        if not is_page and self.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            return "refused: asked by a page of another site"
        return ""

    def _send_json(self, question: Callable[[], Any]) -> None:
        self._send(HTTPStatus.OK, "application/json", script_json(self.server.ask(question)))

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def browse(run: Path, *, port: int, console: Console) -> None:
    """Serve until Ctrl-C.

    Raises:
        ValueError: no run directory, or the port is taken.
    """
    with BrowseServer(run, port=port) as server:
        count = server.ask(lambda: server.answers.total)
        console.print(f"{count:,} experiences of {run} at {server.address} (Ctrl-C ends)", soft_wrap=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print("ended")


def _page(answers: Answers) -> str:
    return render_template(
        "browse.html",
        styles=STYLES,
        scripts=SCRIPTS,
        title=visible(answers.title),
        label=visible(answers.label),
        place=visible(str(answers.place)),
        data=script_json(answers.about()),
    )


def _policy() -> str:
    style, script = source_hash(joined(STYLES)), source_hash(joined(SCRIPTS))
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


_HEADERS = {
    "Content-Security-Policy": _policy(),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

"""A small server that speaks the part of the hub's protocol that uploads need, and keeps the files in memory."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """The state of the server.

    Attributes:
        address: the value for the environment variable HF_ENDPOINT.
        files: the content of the repository, by path; None if the repository does not exist.
        created: the requests to create a repository.
        branches: the branches that were created.
        cards: the title of each README.md that was uploaded.
        role: the role of every token.
        fails: a part of the paths of requests that the server answers with an error.
    """

    def __init__(self) -> None:
        self.address = ""
        self.files: dict[str, bytes] | None = None
        self.created: list[dict] = []
        self.branches: list[str] = []
        self.cards: list[bytes] = []
        self.role = "write"
        self.fails: str | None = None


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Run a server inside the `with` block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self):
        if self._fails():
            return
        if self.path == "/api/whoami-v2":
            auth = {"accessToken": {"role": self.hub.role}}
            self._answer({"name": "me", "orgs": [{"name": "team"}], "auth": auth})
        elif self.hub.files is not None and "/auth-check" in self.path:
            self._answer({})
        elif self.hub.files is not None and self.path.partition("/resolve/")[2].partition("/")[2] in self.hub.files:
            self._answer({}, headers={"X-Repo-Commit": "1", "ETag": "1"})
        elif self.hub.files is not None and "/tree/" in self.path:
            self._answer([{"type": "file", "path": path, "size": 1, "oid": "0"} for path in self.hub.files])
        else:
            self._answer({"error": "Repository Not Found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def do_POST(self):
        body = self._body()
        if self._fails():
            return
        if "/branch/" in self.path:
            self.hub.branches.append(self.path.rpartition("/")[2])
            self._answer({})
        elif self.path.endswith("/repos/create") and self.hub.files is not None and self.hub.created:
            self._answer({"error": "You already created this model repo", "url": f"{self.hub.address}/me/tiny"}, 409)
        elif self.path.endswith("/repos/create"):
            request = json.loads(body)
            self.hub.created.append(request)
            self.hub.files = self.hub.files or {}
            name = f"{request.get('organization') or 'me'}/{request['name']}"
            self._answer({"url": f"{self.hub.address}/{name}", "name": name})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            self._answer(
                {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
            )
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        else:
            self._commit([json.loads(line) for line in body.splitlines()])

    do_HEAD = do_GET

    def _commit(self, lines):
        files = self.hub.files if self.hub.files is not None else {}
        for line in lines:
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                files[line["value"]["path"]] = content
                if line["value"]["path"] == "README.md":
                    self.hub.cards.append(content.partition(b"\n# ")[2].partition(b"\n")[0])
            elif line["key"] == "deletedFile":
                del files[line["value"]["path"]]
        self.hub.files = files
        url = f"{self.hub.address}/me/tiny/commit/1"
        self._answer({"commitUrl": url, "commitOid": "1", "success": True})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return body

    def _fails(self) -> bool:
        if self.hub.fails is None or self.hub.fails not in self.path:
            return False
        self._answer({"error": "the disk of the hub is full"}, 403)
        return True

    def _answer(self, content, status=200, headers=None):
        payload = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def log_message(self, *arguments):
        pass

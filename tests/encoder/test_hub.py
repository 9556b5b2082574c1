"""Uploading a model directory to the hub."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.slow


class _Hub(BaseHTTPRequestHandler):
    """The part of a hub that an upload needs; it stores the names of the files that it receives."""

    received: dict[str, list] = {}  # noqa: RUF012

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        host = f"http://{self.headers['Host']}"
        if self.path.endswith("/repos/create"):
            answer = {"url": f"{host}/me/tiny", "name": "me/tiny"}
        elif "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            answer = {"files": files}
        elif self.path == "/api/validate-yaml":
            answer = {"errors": [], "warnings": []}
        else:
            lines = [json.loads(line) for line in body.splitlines()]
            self.received["files"] = [line["value"]["path"] for line in lines if line["key"] == "file"]
            answer = {"commitUrl": f"{host}/me/tiny/commit/1", "commitOid": "1", "success": True}
        payload = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


def test_push_to_hub_uploads_a_complete_directory(bert, tmp_path):
    """Run the real client against a small server, in a subprocess, because it reads the address when imported."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = (
        "import sys; from tercet import SentenceTransformer; "
        "print(SentenceTransformer(sys.argv[1], device='cpu').push_to_hub('me/tiny', token='hf_x'))"
    )
    address = f"http://127.0.0.1:{server.server_port}"
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(bert)], env=environment, capture_output=True, text=True, timeout=120
    )
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("/me/tiny/commit/1")
    expected = {"modules.json", "model.safetensors", "1_Pooling/config.json", "README.md", "tokenizer.json"}
    assert expected <= set(_Hub.received["files"])

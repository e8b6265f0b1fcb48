"""A machine's metadata as EC2 serves it, on loopback."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "/latest/api/token"
ACTION = "/latest/meta-data/spot/instance-action"
CREDENTIALS = "/latest/meta-data/iam/security-credentials/"


class MetadataServer:
    """A metadata service (version 2) in a with-block, which says nothing until it is armed.

    `environment` is what a process needs to ask it. `requests` holds what was asked, as
    (method, path, status). `answers` overrides an answer by its path: (status, body).
    """

    def __init__(self):
        self.requests = []
        self.answers = {}
        self._tokens = set()
        self._given = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self):
                self._answer(*server._put(self.path, self.headers))

            def do_GET(self):
                self._answer(*server._get(self.path, self.headers))

            def _answer(self, status, body):
                server.requests.append((self.command, self.path, status))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.environment = {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url,
            "AWS_EC2_METADATA_DISABLED": "false",
        }

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def arm(self, action="terminate", seconds=120):
        """From now on this machine is about to be taken away."""
        when = datetime.now(UTC) + timedelta(seconds=seconds)
        notice = {"action": action, "time": f"{when:%Y-%m-%dT%H:%M:%SZ}"}
        self.answers[ACTION] = (200, json.dumps(notice).encode())

    def expire_tokens(self):
        """No token that was given out is good any more."""
        self._tokens.clear()

    def _put(self, path, headers):
        if path in self.answers:
            return self.answers[path]
        if path != TOKEN or not headers.get("X-aws-ec2-metadata-token-ttl-seconds", "").isdigit():
            return 400, b""
        self._given += 1
        token = f"token-{self._given}"
        self._tokens.add(token)
        return 200, token.encode()

    def _get(self, path, headers):
        if headers.get("X-aws-ec2-metadata-token") not in self._tokens:
            return 401, b""
        if path in self.answers:
            return self.answers[path]
        if path == CREDENTIALS:
            return 200, b"role"
        if path == CREDENTIALS + "role":
            end = datetime.now(UTC) + timedelta(hours=6)
            return 200, json.dumps(
                {
                    "Code": "Success",
                    "Type": "AWS-HMAC",
                    "AccessKeyId": "test",
                    "SecretAccessKey": "test",
                    "Token": "test",
                    "Expiration": f"{end:%Y-%m-%dT%H:%M:%SZ}",
                }
            ).encode()
        return 404, b""

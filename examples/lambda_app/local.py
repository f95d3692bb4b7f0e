"""Runs the function under AWS's own runtime client: python local.py '{"orders": [1, 2]}'.

That is a process which asks a small HTTP server, this one, for events, as it asks AWS Lambda's.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"
SECONDS = 10  # that an invocation may take


class RuntimeApi(HTTPServer):
    """Hands out events and collects what the function answers."""

    def __init__(self, events):
        super().__init__(("127.0.0.1", 0), Handler)
        self.events = list(events)
        self.answers = []
        self.process = None
        self.timeout = SECONDS

    def run(self):
        """Invoke the function once for each event; its answers."""
        environment = {
            **os.environ,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server_port}",
            "LAMBDA_TASK_ROOT": str(Path(__file__).parent),
        }
        command = [sys.executable, "-m", "awslambdaric", "app.handler"]
        wanted = len(self.events)
        self.process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parent)
        try:
            while len(self.answers) < wanted and self.process.poll() is None:
                self.handle_request()
        finally:
            self.process.kill()
            self.process.wait()
            self.server_close()
        return self.answers


class Handler(BaseHTTPRequestHandler):
    """The two calls that a runtime makes."""

    def do_GET(self):
        """Hand out the next event."""
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", str(uuid.uuid4()))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", ARN)
        # The runtime client crashes without these two.
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000")
        self.send_header("Content-Type", "application/json")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + SECONDS) * 1000)))
        body = self.server.events.pop(0).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        """Take the answer, and freeze the process, as Lambda does."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answers.append(body.decode())
        if not self.server.events:
            self.server.process.send_signal(signal.SIGSTOP)
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing: the answers are enough."""


if __name__ == "__main__":
    for answer in RuntimeApi(sys.argv[1:] or ['{"orders": [1, 2, 3]}']).run():
        print(answer)

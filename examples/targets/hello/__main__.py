"""A web server that says hello, from where, and as whom it runs."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from hello.words import greeting


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        answer = greeting(os.getuid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    HTTPServer(("", int(os.environ.get("PORT", "8000"))), Hello).serve_forever()

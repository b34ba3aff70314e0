"""A web server that says hello, from where, and as whom it runs."""

import os

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello():
    return f"hello from python, uid {os.getuid()}\n"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "5000")))

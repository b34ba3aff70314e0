"""What the server says."""

import humanize


def greeting(uid):
    return f"hello from targets, uid {uid}\n"


def visitors(count):
    return f"{humanize.intcomma(count)} visitors so far"

"""What the Python peers share: answering requests line by line, and how much they were given and take."""

import json
import os
import resource
import sys


def serve(actions):
    """Answers one JSON object per line; an error is an answer, so that the caller can go on without this peer."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request["do"]](request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def token_count(rows):
    return sum(len(row) for row in rows)


def resident_bytes():
    """Memory of this process now; its most ever where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024

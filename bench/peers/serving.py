"""What the Python peers share: answering requests line by line, ragged rows as padded tensors, waiting for a GPU."""

import json
import sys

import torch


def serve(actions):
    """Answers one JSON object per line; an error is an answer, so that the caller can go on without this peer."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request["do"]](request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def pad(rows, value):
    """Rows of ids as a tensor [rows, longest] filled up with `value`, and which of it are ids."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [value] * (longest - len(row)) for row in rows], dtype=torch.long)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], dtype=torch.long)
    return ids, mask


def synchronize():
    """Waits for what a GPU was given, so that times are those of work done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def token_count(rows):
    return sum(len(row) for row in rows)

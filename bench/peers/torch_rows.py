"""What the peers on PyTorch share: ragged rows as padded tensors, the kind of attention, waiting for a GPU."""

import torch


def pad(rows, value):
    """Rows of ids as a tensor [rows, longest] filled up with `value`, and which of it are ids."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [value] * (longest - len(row)) for row in rows], dtype=torch.long)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], dtype=torch.long)
    return ids, mask


def attend(model, kind):
    """Lets a transformers model compute attention as `kind` says: "sdpa", "eager", or as it does where that is None."""
    if kind is None or model.config._attn_implementation == kind:
        return
    model.set_attn_implementation(kind)
    if model.config._attn_implementation != kind:
        raise ValueError(f"this model has no {kind} attention")


def synchronize():
    """Waits for what a GPU was given, so that times are those of work done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()

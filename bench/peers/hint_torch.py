"""HINT in PyTorch, timed on command of `hint bench training`.

    python hint_torch.py FILE

FILE is a Python module with `Config.from_json(dict)`, `parameter_shapes(config) -> {name: shape}` and a class
`HintT5(config, parameters)` that has `hypernetwork(ids, mask) -> (modules per row, encoded instruction)`,
`encode(ids, mask, modules)` and `decode(ids, memory, memory_mask, modules) -> logits`, as the reference implementation
that comes with the checkpoint format does. Requests are those of hf_t5.py:

  {"do": "load", "config": {...}, "threads": n, "seed": n, "device": "cpu" | "cuda"}
  {"do": "train", "instructions": [[id]], "taskIndex": [n], "inputs": [[id]], "targets": [[id]], "batch": n,
   "autocast": "bf16" | null}                                    one Adafactor step; every batch of n runs the
                                                                 hypernetwork once for each of its tasks
"""

import importlib.util
import sys
import time

import torch
import transformers
from serving import serve, token_count
from torch_rows import pad, synchronize
from transformers.optimization import Adafactor

INITIAL_SCALE = 0.05


def load_module(path):
    spec = importlib.util.spec_from_file_location("hint_reference", path)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules["hint_reference"] = module
    spec.loader.exec_module(module)
    return module


class Peer:
    def __init__(self, path):
        self.reference = load_module(path)
        self.model = None
        self.optimizer = None

    def load(self, request):
        torch.set_num_threads(request["threads"])
        torch.manual_seed(request["seed"])
        torch.set_default_device(request["device"])
        config = self.reference.Config.from_json(request["config"])
        parameters = {
            name: (torch.ones(shape) if name.endswith("norm.weight") else INITIAL_SCALE * torch.randn(shape))
            .requires_grad_()
            for name, shape in self.reference.parameter_shapes(config).items()
        }
        self.model = self.reference.HintT5(config, parameters)
        self.optimizer = Adafactor(
            list(parameters.values()), lr=1e-3, scale_parameter=True, relative_step=False, warmup_init=False
        )
        return {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "threads": torch.get_num_threads(),
            "parameters": sum(p.numel() for p in parameters.values()),
        }

    def loss(self, instructions, rows, inputs, targets):
        """Sum of the cross entropies, and tokens with padding."""
        model = self.model
        instruction_ids, instruction_mask = pad(instructions, 0)
        ids, mask = pad(inputs, 0)
        labels, label_mask = pad(targets, 0)
        modules, instruction = model.hypernetwork(instruction_ids, instruction_mask.bool())
        modules = None if modules is None else {name: value[rows] for name, value in modules.items()}
        memory, memory_mask = model.encode(ids, mask.bool(), modules), mask.bool()
        if instruction is not None and model.cfg.hint.instruction_fusion:
            memory = torch.cat([instruction[rows], memory], 1)
            memory_mask = torch.cat([instruction_mask.bool()[rows], memory_mask], 1)
        start = torch.full_like(labels[:, :1], model.cfg.decoder_start_token_id)
        logits = model.decode(torch.cat([start, labels[:, :-1]], 1), memory, memory_mask, modules).float()
        entropy = logits.logsumexp(-1) - logits.gather(-1, labels[..., None])[..., 0]
        return (entropy * label_mask).sum(), instruction_ids.numel() + ids.numel() + labels.numel()

    def train(self, request):
        instructions, task_index = request["instructions"], request["taskIndex"]
        inputs, targets, batch = request["inputs"], request["targets"], request["batch"]
        padded = 0
        synchronize()
        begin = time.perf_counter()
        for at in range(0, len(inputs), batch):
            tasks = sorted(set(task_index[at : at + batch]))
            rows = torch.tensor([tasks.index(task) for task in task_index[at : at + batch]])
            with torch.autocast(rows.device.type, torch.bfloat16, enabled=request.get("autocast") == "bf16"):
                loss, tokens = self.loss(
                    [instructions[task] for task in tasks], rows, inputs[at : at + batch], targets[at : at + batch]
                )
            loss.backward()
            padded += tokens
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        last = float(loss.detach())
        synchronize()
        seconds = time.perf_counter() - begin
        useful = token_count(instructions) + token_count(inputs) + token_count(targets)
        return {"seconds": seconds, "loss": last, "paddedTokens": padded, "usefulTokens": useful}


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    peer = Peer(sys.argv[1])
    serve({"load": peer.load, "train": peer.train})

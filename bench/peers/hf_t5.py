"""Hugging Face transformers' T5 on PyTorch, timed on command of `npm run bench`.

One JSON object per line on standard input, one per line on standard output. Every request holds what is run, so that
the caller can alternate between this process and the engine and both see the same load of the machine.

  {"do": "load", "config": {...}, "threads": n, "seed": n}       T5ForConditionalGeneration, random weights, float32
  {"do": "generate", "inputs": [[id]], "tokens": n}              exactly n greedy tokens for every input, cached
  {"do": "train", "inputs": [[id]], "targets": [[id]]}           one Adafactor step, padded to the longest of the batch
"""

import json
import sys
import time

import torch
import transformers
from transformers import T5Config, T5ForConditionalGeneration
from transformers.optimization import Adafactor


class Peer:
    def __init__(self):
        self.model = None
        self.optimizer = None

    def load(self, request):
        torch.set_num_threads(request["threads"])
        torch.manual_seed(request["seed"])
        self.model = T5ForConditionalGeneration(T5Config(**request["config"])).float()
        # T5 v1.1 has an output matrix of its own; recent transformers tie it to the embedding whatever the config says.
        if self.model.lm_head.weight is self.model.shared.weight:
            self.model.lm_head.weight = torch.nn.Parameter(self.model.shared.weight.detach().clone())
        self.model.eval()
        self.optimizer = None
        return {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "attention": self.model.config._attn_implementation,
            "threads": torch.get_num_threads(),
            "parameters": sum(p.numel() for p in self.model.parameters()),
        }

    def generate(self, request):
        self.model.eval()
        ids, mask = pad(request["inputs"], 0)
        tokens = request["tokens"]
        begin = time.perf_counter()
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                num_beams=1,
                use_cache=True,
            )
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "tokens": int(out.shape[1]) - 1}

    def train(self, request):
        self.model.train()
        if self.optimizer is None:
            self.optimizer = Adafactor(
                self.model.parameters(), lr=1e-3, scale_parameter=True, relative_step=False, warmup_init=False
            )
        begin = time.perf_counter()
        ids, mask = pad(request["inputs"], 0)
        labels, _ = pad(request["targets"], -100)
        loss = self.model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "loss": float(loss.detach()), "paddedTokens": ids.numel() + labels.numel()}


def pad(rows, value):
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), value, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[i, : len(row)] = 1
    return ids, mask


def main():
    transformers.utils.logging.set_verbosity_error()
    peer = Peer()
    actions = {"load": peer.load, "generate": peer.generate, "train": peer.train}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request["do"]](request)
        except Exception as error:  # the caller prints it and goes on without this peer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

"""Hugging Face transformers' T5 under PyTorch's DistributedDataParallel (gloo), timed on command of `hint bench scaling`.

One JSON object per line on standard input, one per line on standard output. This process is rank 0; it starts the others and
tells them every request.

  {"do": "versions"}
  {"do": "load", "config": {...}, "threads": n, "seed": n, "ranks": n}
                                                                 T5ForConditionalGeneration, random weights, at every rank
  {"do": "train", "inputs": [[id]], "targets": [[id]], "batch": n, "autocast": "bf16" | null, "bucket": MiB,
   "attention": "sdpa" | "eager" | null}                         one Adafactor step: every rank takes its share of the examples
                                                                 in batches of n, each padded to its longest; gradients are
                                                                 averaged with the last of them
"""

import contextlib
import os
import socket
import subprocess
import sys
import time

import torch
import torch.distributed as dist
import transformers
from serving import serve, token_count
from torch.nn.parallel import DistributedDataParallel
from torch_rows import attend, pad
from transformers import T5Config, T5ForConditionalGeneration
from transformers.optimization import Adafactor


class Rank:
    def __init__(self):
        self.model = None
        self.wrapped = None
        self.bucket = None
        self.others = []

    def versions(self, request):
        return {"torch": torch.__version__, "transformers": transformers.__version__}

    def start(self, ranks):
        """Starts the other ranks, which wait for requests, and joins them."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(ranks), RANK="0")
        for rank in range(1, ranks):
            environment = {**os.environ, "RANK": str(rank)}
            self.others.append(
                subprocess.Popen([sys.executable, __file__], stdin=subprocess.DEVNULL, env=environment)
            )
        dist.init_process_group("gloo")

    def tell(self, request):
        if not dist.is_initialized():
            self.start(request["ranks"])
        dist.broadcast_object_list([request], src=0)

    def load(self, request):
        torch.set_num_threads(request["threads"])
        torch.manual_seed(request["seed"])
        model = T5ForConditionalGeneration(T5Config(**request["config"]))
        # T5 v1.1 has an output matrix of its own; recent transformers tie it to the embedding whatever the config says.
        if model.lm_head.weight is model.shared.weight:
            model.lm_head.weight = torch.nn.Parameter(model.shared.weight.detach().clone())
        self.model = model.train()
        self.optimizer = Adafactor(
            model.parameters(), lr=1e-3, scale_parameter=True, relative_step=False, warmup_init=False
        )
        self.wrapped = self.bucket = None
        return {**self.versions(request), "ranks": dist.get_world_size(), "threads": torch.get_num_threads()}

    def train(self, request):
        attend(self.model, request.get("attention"))
        if self.bucket != request["bucket"]:
            self.bucket = request["bucket"]
            self.wrapped = DistributedDataParallel(self.model, bucket_cap_mb=self.bucket, gradient_as_bucket_view=True)
        rank, ranks = dist.get_rank(), dist.get_world_size()
        # Longest first, in turns: shares of equal lengths, as far as that goes.
        order = sorted(range(len(request["inputs"])), key=lambda i: -len(request["inputs"][i]))[rank::ranks]
        inputs = [request["inputs"][i] for i in order]
        targets = [request["targets"][i] for i in order]
        batch = request["batch"]
        dist.barrier()
        begin = time.perf_counter()
        for at in range(0, len(inputs), batch):
            ids, mask = pad(inputs[at : at + batch], 0)
            labels, _ = pad(targets[at : at + batch], -100)
            is_last = at + batch >= len(inputs)
            with contextlib.nullcontext() if is_last else self.wrapped.no_sync():
                with torch.autocast("cpu", torch.bfloat16, enabled=request.get("autocast") == "bf16"):
                    loss = self.wrapped(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
                loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        last = float(loss.detach())
        dist.barrier()
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "loss": last, "usefulTokens": token_count(request["inputs"]) + token_count(request["targets"])}


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    own = Rank()
    actions = {"load": own.load, "train": own.train}
    if int(os.environ.get("RANK", "0")) > 0:
        dist.init_process_group("gloo")
        while True:
            told = [None]
            try:
                dist.broadcast_object_list(told, src=0)
            except RuntimeError:
                # Rank 0 has ended.
                break
            actions[told[0]["do"]](told[0])
    else:

        def with_others(action):
            def answer(request):
                own.tell(request)
                return action(request)

            return answer

        serve({"versions": own.versions, **{name: with_others(action) for name, action in actions.items()}})

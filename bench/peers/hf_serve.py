"""Hugging Face transformers' T5 behind FastAPI and uvicorn, for `hint bench serve`: what has arrived is one batch.

Requests as those of hf_t5.py, on standard input:

  {"do": "versions"}
  {"do": "load", ...}                                            as in hf_t5.py
  {"do": "serve", "batch": n, "tokens": n, "dtype": "f32" | "bf16", "autocast": "bf16" | null,
   "attention": "sdpa" | "eager" | null}                         serves on a free port of 127.0.0.1, which is the answer:
                                                                 POST /generate {"ids": [id]} gives {"ids": [n new ids]}
"""

import asyncio
import queue
import threading
import time

import fastapi
import pydantic
import transformers
import uvicorn
from hf_t5 import Peer, continuations
from serving import resident_bytes, serve


class Batches:
    """One thread generates; it takes whatever waits, up to the largest batch, and does not wait for more."""

    def __init__(self, model, request):
        self.model, self.request = model, request
        self.waiting = queue.SimpleQueue()
        threading.Thread(target=self.run, daemon=True).start()

    async def generate(self, ids):
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self.waiting.put((ids, loop, answer))
        return await answer

    def run(self):
        while True:
            rows = [self.waiting.get()]
            while len(rows) < self.request["batch"]:
                try:
                    rows.append(self.waiting.get_nowait())
                except queue.Empty:
                    break
            out = continuations(self.model, [ids for ids, _, _ in rows], self.request["tokens"], self.request)
            for (_, loop, answer), new in zip(rows, out.tolist()):
                loop.call_soon_threadsafe(settle, answer, new[1:])


def settle(answer, value):
    if not answer.done():
        answer.set_result(value)


class Prompt(pydantic.BaseModel):
    ids: list[int]


class Server(Peer):
    def versions(self, request):
        return {**super().versions(request), "fastapi": fastapi.__version__, "uvicorn": uvicorn.__version__}

    def serve(self, request):
        model = self.models[request.get("dtype", "f32")].eval()
        batches = Batches(model, request)
        app = fastapi.FastAPI()

        @app.post("/generate")
        async def generate(prompt: Prompt):
            return {"ids": await batches.generate(prompt.ids)}

        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", access_log=False))
        threading.Thread(target=server.run, daemon=True).start()
        while not server.started:
            time.sleep(0.01)
        return {"port": server.servers[0].sockets[0].getsockname()[1]}

    def memory(self, request):
        return {"residentBytes": resident_bytes()}


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    peer = Server()
    serve({"versions": peer.versions, "load": peer.load, "serve": peer.serve, "memory": peer.memory})

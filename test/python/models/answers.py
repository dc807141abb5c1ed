"""What transformers makes of inputs: log-probabilities of a target and of every token behind it, and greedy tokens."""

import torch
from transformers import logging

logging.set_verbosity_error()
logging.disable_progress_bar()

STEPS = 6


def answers(model, inputs, target):
    model = model.double().eval()
    return {"inputs": inputs, "target": target, "answers": [answer(model, ids, target) for ids in inputs]}


def answer(model, ids, target):
    config = model.config
    start = [config.bos_token_id] if config.model_type == "opt" else []

    def rows(made):
        with torch.no_grad():
            if config.is_encoder_decoder:
                decoder = torch.tensor([[config.decoder_start_token_id] + made])
                return model(input_ids=torch.tensor([ids]), decoder_input_ids=decoder, use_cache=False).logits[0]
            return model(torch.tensor([start + ids + made]), use_cache=False).logits[0, len(start + ids) - 1 :]

    scores = torch.log_softmax(rows(target), dim=-1)
    total = sum(scores[at, token] for at, token in enumerate(target))
    greedy, margin = [], 1.0
    while len(greedy) < STEPS:
        best = rows(greedy)[-1].topk(2)
        # What is closer than rounding may go either way.
        margin = min(margin, float(best.values[0] - best.values[1]))
        greedy.append(int(best.indices[0]))
        if greedy[-1] == config.eos_token_id:
            break
    return {"scores": (total + scores[-1]).tolist(), "greedy": greedy, "sure": margin > 1e-3}

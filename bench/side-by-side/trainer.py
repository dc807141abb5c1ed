"""The job of job.json, written for Hugging Face's Trainer. Run by run.mjs, in a folder that has the data and the model."""
import json

import torch
from transformers import AutoTokenizer, Seq2SeqTrainer, Seq2SeqTrainingArguments, T5ForConditionalGeneration, set_seed

set_seed(0)
tokenizer = AutoTokenizer.from_pretrained("models/demo-t5")
model = T5ForConditionalGeneration.from_pretrained("models/demo-t5", dtype=torch.float32)
PROMPT = "Definition: {instruction}\n\n Now complete the following example -\nInput: {input}\nOutput:"


def examples(file):
    with open(file) as lines:
        records = [json.loads(line) for line in lines]
    return [
        {
            "input_ids": tokenizer(PROMPT.format(**record), truncation=True, max_length=1024)["input_ids"],
            "labels": tokenizer(record["output"], truncation=True, max_length=16)["input_ids"],
        }
        for record in records
    ]


def collate(batch):
    def padded(key, value):
        longest = max(len(one[key]) for one in batch)
        return torch.tensor([one[key] + [value] * (longest - len(one[key])) for one in batch])

    input_ids = padded("input_ids", tokenizer.pad_token_id)
    return {
        "input_ids": input_ids,
        "attention_mask": (input_ids != tokenizer.pad_token_id).long(),
        "labels": padded("labels", -100),
    }


def metrics(prediction):
    def texts(ids):
        ids[ids == -100] = tokenizer.pad_token_id
        return tokenizer.batch_decode(ids, skip_special_tokens=True)

    pairs = zip(texts(prediction.predictions), texts(prediction.label_ids))
    equal = [answer.strip() == wanted.strip() for answer, wanted in pairs]
    return {"exactMatch": 100 * sum(equal) / len(equal)}


arguments = Seq2SeqTrainingArguments(
    output_dir="runs/hf",
    max_steps=60,
    per_device_train_batch_size=16,
    learning_rate=3e-3,
    lr_scheduler_type="cosine",
    warmup_steps=10,
    max_grad_norm=1,
    eval_strategy="steps",
    eval_steps=20,
    save_steps=20,
    save_total_limit=2,
    logging_steps=10,
    predict_with_generate=True,
    generation_max_length=16,
    load_best_model_at_end=True,
    metric_for_best_model="exactMatch",
    report_to="none",
    use_cpu=True,
    disable_tqdm=True,
    seed=0,
)
trainer = Seq2SeqTrainer(
    model=model,
    args=arguments,
    train_dataset=examples("train.jsonl"),
    eval_dataset=examples("validation.jsonl"),
    data_collator=collate,
    compute_metrics=metrics,
)
trainer.train()
trainer.save_model("runs/hf/best")
tokenizer.save_pretrained("runs/hf/best")

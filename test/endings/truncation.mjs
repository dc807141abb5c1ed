// Opens a copy of a model, compiles and generates, while another thread cuts its file off at a random moment.
//   node truncation.mjs SETTINGS
// SETTINGS is JSON: `library`, the address of dist/index.js; `model`, a directory; `cuts`, a list of `delay` in
// milliseconds, the thousandth of the file that is `left`, and the `definition` of the task. Prints per cut what came of it.
import { copyFileSync, cpSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

if (isMainThread) await cutAll(JSON.parse(process.argv[2]));
else {
  const { file, left, delay } = workerData;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, delay);
  truncateSync(file, Math.floor((statSync(file).size * left) / 1000));
}

async function cutAll({ library, model, cuts }) {
  const { Engine, HintError } = await import(library);
  const copy = `${model}-copy`;
  cpSync(model, copy, { recursive: true });
  const file = join(copy, 'model.safetensors');
  for (const { delay, left } of cuts) {
    copyFileSync(join(model, 'model.safetensors'), file);
    const cutting = new Worker(fileURLToPath(import.meta.url), { workerData: { file, left, delay } });
    const cut = new Promise((resolve) => cutting.once('exit', resolve));
    let outcome, engine;
    try {
      engine = await Engine.open(copy, { threads: 2 });
      let isCut = false;
      void cut.then(() => (isCut = true));
      // Also once after the cut: the engine must not continue with zeros as weights.
      for (let last = false; !last;) {
        last = isCut;
        const task = await engine.compile({ definition: 'Name the colour.' });
        await task.generate(['Words: cat green salad.', 'Words: red dog.'], { maxTokens: 16 });
      }
      outcome = 'done';
    } catch (error) {
      outcome = error instanceof HintError ? error.code : `${error.stack}`;
    }
    await engine?.close();
    await cut;
    process.stdout.write(`${outcome}\n`);
  }
}

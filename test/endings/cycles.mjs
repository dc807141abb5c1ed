// Opens an engine, compiles, generates and closes it, again and again, and prints the memory of the process now and then: all,
// and all but what V8's heap holds for later.
//   node --expose-gc cycles.mjs SETTINGS
// SETTINGS is JSON: `library`, the address of the library; `model`, a directory; `at`, after which cycles to print.
import { readFileSync } from 'node:fs';
import { getHeapStatistics } from 'node:v8';

const { library, model, at } = JSON.parse(process.argv[2]);
const { Engine } = await import(library);

/** KiB of this process that lie in memory and are its own: the pages of mapped files are the system's. */
function ownMemory() {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/^RssAnon:\s+(\d+)/m.exec(status)[1]);
}

// Kernels are made for shapes and kept: all shapes there are come up within 35 cycles.
for (let cycle = 1; cycle <= at.at(-1); cycle++) {
  const engine = await Engine.open(model, { threads: 2 });
  const task = await engine.compile({ definition: `Name the colour in list ${cycle % 7}.` });
  const inputs = ['Words: cat green salad.', 'Words: red.', 'red dog '.repeat((cycle % 5) + 1)];
  await task.generate(inputs, { maxTokens: 8 });
  await engine.close();
  if (at.includes(cycle)) {
    // What JavaScript has not collected yet is not a leak; a collection that is begun ends in the turns that follow.
    for (let i = 0; i < 3; i++) {
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const own = ownMemory();
    const heap = getHeapStatistics();
    const forLater = (heap.total_physical_size - heap.used_heap_size) / 1024;
    process.stdout.write(`${cycle} ${own} ${own - forLater}\n`);
  }
}

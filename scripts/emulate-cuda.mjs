// Turns a CUDA source into C++ for the emulator in native/tests/emulator: launches become calls, dynamic shared memory a
// pointer; variables in shared memory are made known, and kernels whose address goes to a graph.
//   node scripts/emulate-cuda.mjs INPUT OUTPUT [NAME]     NAME is what findings call the file
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const [input, output, name = input] = process.argv.slice(2);
if (!input || !output) {
  console.error('Usage: node scripts/emulate-cuda.mjs INPUT OUTPUT [NAME]');
  process.exit(2);
}

/** The index after the bracket that closes the one at `open`. */
function closing(text, open) {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if ('([{'.includes(text[i])) depth++;
    else if (')]}'.includes(text[i]) && --depth === 0) return i + 1;
  }
  throw new Error(`${input}: a bracket at ${open} is never closed`);
}

/** Splits at commas outside of brackets. */
function splitTopLevel(text) {
  const parts = [''];
  let depth = 0;
  for (const character of text) {
    if ('([{'.includes(character)) depth++;
    if (')]}'.includes(character)) depth--;
    if (character === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += character;
  }
  return parts.map((part) => part.trim());
}

const lineAt = (text, index) => text.slice(0, index).split('\n').length;

let text = readFileSync(input, 'utf8')
  .replace(
    /extern __shared__ (?:__align__\(128\) )?float (\w+)\[\];/g,
    'float* $1 = ::hint::emulator::sharedMemory();',
  )
  .replace(/(?<!extern )__shared__ [\w:]+ ([^;=]+);/g, (declaration, names) => {
    const known = splitTopLevel(names).map(
      (declarator) => ` ::hint::emulator::declareShared(${/^\w+/.exec(declarator)[0]});`,
    );
    return declaration + known.join('');
  })
  .replace(/reinterpret_cast<void\*>\((\w+)\)(?=, arguments)/g, '::hint::emulator::registered("$1", $1)');
for (let at = text.indexOf('<<<'); at >= 0; at = text.indexOf('<<<')) {
  // The kernel may be on a line of its own, and its name may end with a bracket.
  const named = text.slice(0, at).trimEnd().length;
  const begin = Math.max(...[';', '{', '}', '>\n'].map((mark) => text.lastIndexOf(mark, named - 2))) + 1;
  const configuration = text.indexOf('>>>', at);
  const [grid, threads, shared = '0', stream = 'nullptr'] = splitTopLevel(text.slice(at + 3, configuration));
  const open = configuration + 3;
  const end = closing(text, open);
  const head = text.slice(begin, at);
  // A kernel launched as the only statement of an `if`.
  const condition = /^\s*if \([^]*?\)\n/.exec(head)?.[0] ?? '';
  const kernel = head.slice(condition.length).trim();
  const given = text.slice(open + 1, end - 1).trim();
  const identity =
    `[]<typename Dependent>() -> const void* { ` +
    `if constexpr (requires { ::hint::emulator::identityOf<Dependent>(${kernel}); }) ` +
    `return ::hint::emulator::identityOf<Dependent>(${kernel}); else return nullptr; }.template operator()<int>()`;
  const before = lineAt(text, begin);
  const lines = lineAt(text, end) - before;
  const call =
    `${condition}\n  ::hint::emulator::launch({"${kernel}", ${identity}}, ` +
    `{dim3(${grid}), dim3(${threads}), static_cast<size_t>(${shared}), ${stream}}, ` +
    `[](const auto&... given) { ${kernel}(given...); }${given ? `, ${given}` : ''})`;
  // Later lines keep their numbers.
  const missing = lines - (lineAt(call, call.length) - 1);
  text =
    text.slice(0, begin) +
    (missing >= 0 ? call + '\n'.repeat(missing) : call.replace('\n', ' ')) +
    text.slice(end);
}
mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, `#line 1 "${name}"\n${text}`);

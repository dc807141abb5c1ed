// Compares this engine with answers of the tokenizers package; needs a build.
//   node compare.mjs FOLDER             what make_cases.py wrote
//   node compare.mjs EXPRESSIONS.json   what make_expressions.py wrote
// Prints the first differences and the counts; ends with 1 when there are differences.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

const SHOWN = 5;
const dist = new URL('../../../dist/formats/tokenizer/', import.meta.url);
const { Tokenizer } = await import(new URL('tokenizer.js', dist));
const { Expression } = await import(new URL('expression/expression.js', dist));
const { spanOf, split } = await import(new URL('span.js', dist));

let compared = 0;
let different = 0;
const refused = new Map();

function equal(where, got, wanted) {
  if (JSON.stringify(got) === JSON.stringify(wanted)) return true;
  if (different < SHOWN)
    console.log(`${where}\n  got    ${JSON.stringify(got)}\n  wanted ${JSON.stringify(wanted)}`);
  return false;
}

function count(same) {
  compared++;
  if (!same) different++;
}

function refuse(error) {
  if (error.name !== 'HintError') throw error;
  const reason = error.message.replace(/^\S+ ?/, '').replace(/: .*/, '');
  refused.set(reason, (refused.get(reason) ?? 0) + 1);
}

async function compareTokenizers(folder) {
  for (const name of readdirSync(folder)) {
    let tokenizer;
    try {
      tokenizer = await Tokenizer.load(join(folder, name));
    } catch (error) {
      refuse(error);
      continue;
    }
    for (const line of readFileSync(join(folder, name, 'expected.jsonl'), 'utf8')
      .split('\n')
      .filter(Boolean)) {
      const { text, ids, special, decoded, decodedAll } = JSON.parse(line);
      const got = {
        ids: [...tokenizer.encode(text, { addEos: false })],
        special: [...tokenizer.encode(text, { addSpecialTokens: true })],
        decoded: tokenizer.decode(special),
        decodedAll: tokenizer.decode(special, { skipSpecialTokens: false }),
      };
      count(equal(`${name} ${JSON.stringify(text)}`, got, { ids, special, decoded, decodedAll }));
    }
  }
}

function compareExpressions(file) {
  for (const { expression, text, pieces } of JSON.parse(readFileSync(file, 'utf8'))) {
    let found;
    try {
      found = new Expression(expression, 'It').matches(text);
    } catch (error) {
      refuse(error);
      continue;
    }
    const got = split(spanOf(text, false), found, 'Isolated').map((span) => span.text);
    count(equal(`${JSON.stringify(expression)} ${JSON.stringify(text)}`, got, pieces));
  }
}

const given = process.argv[2];
if (given === undefined) {
  console.error('Give the folder that make_cases.py wrote, or the file that make_expressions.py wrote.');
  process.exit(2);
}
const path = resolve(given);
if (statSync(path).isDirectory()) await compareTokenizers(path);
else compareExpressions(path);
for (const [reason, times] of refused) console.log(`refused ${times}: ${reason}`);
console.log(`${compared} compared, ${different} different`);
if (different > 0 || compared === 0) process.exitCode = 1;

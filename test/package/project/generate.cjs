// The same from a CommonJS module.
const { Engine } = require('hint-engine');

async function main() {
  const engine = await Engine.open('run/model');
  const task = await engine.compile({ definition: 'Name the colour in the list.' });
  const [answer] = await task.generate(['Words: cat green salad.'], { maxTokens: 4 });
  if (typeof answer.text !== 'string') throw new Error('Nothing was generated.');
  await engine.close();
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});

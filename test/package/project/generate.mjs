// A compile and a generate by what npm installed.
import { Engine } from 'hint-engine';

const engine = await Engine.open('run/model');
const task = await engine.compile({ definition: 'Name the colour in the list.' });
const [answer] = await task.generate(['Words: cat green salad.'], { maxTokens: 4 });
if (typeof answer.text !== 'string') throw new Error('Nothing was generated.');
console.log(JSON.stringify(answer.text));
await engine.close();

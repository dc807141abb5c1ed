// Writes docs/configuration.md, a page of every key of a training configuration: types, ranges and defaults from the schema, what a key
// means from the comments beside it. The TypeScript must be built; test/docs/configuration.test.ts fails where the page is an older one.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configPage } from './config-page/page.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const of = (name) => import(join(root, 'dist/training/config', name));
const schemas = { ...(await of('config.js')), ...(await of('update-config.js')) };
writeFileSync(join(root, 'docs/configuration.md'), configPage(root, schemas).text);

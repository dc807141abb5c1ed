// No package that npm installed runs anything while it is installed.
import { readFileSync } from 'node:fs';

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const named = Object.keys(packages).filter((path) => packages[path].hasInstallScript);
if (named.length > 0) throw new Error(`These have install scripts: ${named.join(', ')}`);
console.log(Object.keys(packages).length);

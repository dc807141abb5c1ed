// What typedoc knows about the exports, as lines of text.
import { ReflectionKind } from 'typedoc';

const MEMBERS =
  ReflectionKind.Variable |
  ReflectionKind.Function |
  ReflectionKind.Class |
  ReflectionKind.Interface |
  ReflectionKind.Property |
  ReflectionKind.Method |
  ReflectionKind.Accessor |
  ReflectionKind.TypeAlias;

/** Words that say nothing about a member that its name does not say. */
const EMPTY = new Set(['the', 'a', 'an', 'of', 'its', 'this', 'is', 'are', 'to', 'for', 'in']);

/** A line for each export and each member of it, with its types, in alphabetical order of the exports. */
export function apiLines(project) {
  return walk(project).flatMap(({ reflection, name }) => {
    const signatures = [
      ...(reflection.signatures ?? []),
      ...(reflection.getSignature ? [reflection.getSignature] : []),
    ];
    if (signatures.length > 0) return signatures.map((signature) => `${name}${signatureText(signature)}`);
    const { isReadonly, isOptional } = reflection.flags;
    const kind = ReflectionKind.singularString(reflection.kind).toLowerCase();
    const type = reflection.type ? `: ${oneLine(reflection.type)}` : ` (${kind}${heritage(reflection)})`;
    return [`${isReadonly ? 'readonly ' : ''}${name}${isOptional ? '?' : ''}${type}`];
  });
}

/** Names of the members without a sentence that says more than the name. Those that come from another package or class are its matter. */
export function undocumented(project) {
  return walk(project)
    .filter(({ reflection }) => reflection.kindOf(MEMBERS) && !reflection.inheritedFrom)
    .filter(({ reflection }) => !commentsOf(reflection).some((text) => saysMore(text, reflection.name)))
    .map(({ name }) => name);
}

/** Whether a sentence has a word that is no part of a name. */
export function saysMore(text, name) {
  const words = (all) =>
    all
      .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
      .toLowerCase()
      .split(/[^a-z0-9]+/)
      .map((word) => word.replace(/s$/, ''));
  const own = new Set(words(name));
  return words(text).some((word) => word !== '' && !EMPTY.has(word) && !own.has(word));
}

function walk(project) {
  const found = [];
  const visit = (reflection, path) => {
    const name = [...path, reflection.name].join('.');
    if (!reflection.kindOf(ReflectionKind.Reference)) found.push({ reflection, name });
    for (const child of sorted(reflection.children ?? [])) visit(child, [...path, reflection.name]);
  };
  for (const child of sorted(project.children ?? [])) visit(child, []);
  return found;
}

function sorted(reflections) {
  return [...reflections].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function commentsOf(reflection) {
  const ofType = reflection.type?.declaration?.signatures ?? [];
  return [reflection, ...(reflection.signatures ?? []), reflection.getSignature, ...ofType]
    .map((one) => one?.comment?.summary.map(({ text }) => text).join('') ?? '')
    .filter((text) => text.trim() !== '');
}

function signatureText({ typeParameters, parameters, type }) {
  const generic = typeParameters?.length ? `<${typeParameters.map(({ name, type: bound }) => `${name}${bound ? ` extends ${oneLine(bound)}` : ''}`).join(', ')}>` : ''; // prettier-ignore
  const given = (parameters ?? []).map(
    ({ name, type: of, flags, defaultValue }) =>
      `${flags.isRest ? '...' : ''}${name}${flags.isOptional || defaultValue !== undefined ? '?' : ''}: ${oneLine(of)}`,
  );
  return `${generic}(${given.join(', ')}): ${oneLine(type)}`;
}

function heritage({ extendedTypes, implementedTypes }) {
  const list = (word, types) => (types?.length ? ` ${word} ${types.map(oneLine).join(', ')}` : '');
  return `${list('extends', extendedTypes)}${list('implements', implementedTypes)}`;
}

function oneLine(type) {
  return type ? type.toString().replace(/\s+/g, ' ') : 'void';
}

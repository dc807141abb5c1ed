import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'build*/', 'node_modules/', 'docs/api/', 'runs/', '.gpu/'] },
  ...tseslint.configs.recommended,
  {
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      'max-lines': ['error', { max: 500 }],
      eqeqeq: 'error',
      'no-restricted-imports': [
        'error',
        {
          name: 'node:vm',
          importNames: ['createContext', 'runInNewContext'],
          message: 'A worker that is terminated while a context is made ends the process; see withinSeconds.',
        },
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: 'PrivateIdentifier',
          message: 'Members are hidden with TypeScript\'s "private", not with "#".',
        },
      ],
    },
  },
  // Components all return what a page shows.
  { files: ['**/*.tsx'], rules: { '@typescript-eslint/explicit-module-boundary-types': 'off' } },
  { files: ['**/*.cjs'], rules: { '@typescript-eslint/no-require-imports': 'off' } },
  // Plain JavaScript has no types to write, and "#" to hide members with.
  {
    files: ['**/*.mjs', '**/*.cjs'],
    rules: { '@typescript-eslint/explicit-module-boundary-types': 'off', 'no-restricted-syntax': 'off' },
  },
);

// The second lint pass, with types: typescript-eslint's strictest set and the project's own rule.
// Biome (biome.json) does formatting and the lints that need no types.

import tseslint from 'typescript-eslint';
import noForgottenYield from './dist/test/lint-rules/no-forgotten-yield.js';

/** Files that break the rules on purpose: test/lint.test.ts lints them itself. */
const PLANTED = 'test/fixtures/lint/**';

export default tseslint.config(
  { ignores: ['dist/**', 'build/**', 'build-asan/**', PLANTED] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { pinfold: { rules: { 'no-forgotten-yield': noForgottenYield } } },
    rules: {
      'pinfold/no-forgotten-yield': 'error',

      // A cast is a claim that nobody checks: narrow, parse or use `satisfies` instead.
      '@typescript-eslint/consistent-type-assertions': ['error', { assertionStyle: 'never' }],
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],

      // Kernel threads and drivers loop for ever, and say so with `while (true)`.
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      // `() => wake(word)` is clear; the value of a void call used as data is still an error.
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // An operation that never sleeps on some kernels is still an operation.
      'require-yield': 'off',
      // Sequence numbers, sector numbers and flags are compared and packed with bit operations.
      'no-bitwise': 'off',
      // The compiler reports unused names (noUnusedLocals, noUnusedParameters).
      '@typescript-eslint/no-unused-vars': 'off',
    },
  },
  {
    // The one place where views over shared memory are given their types.
    files: ['engine/memory/layout.ts'],
    rules: {
      '@typescript-eslint/consistent-type-assertions': ['error', { assertionStyle: 'as' }],
    },
  },
);

// Checks of one file's text. Each takes a path from the top of the repository and the text, and
// returns what is wrong, a sentence per problem.

export type Check = (path: string, text: string) => string[];

const SOURCE = /\.(?:ts|js|cc|h)$/;
const LINES_MAX = 500;
const COLUMNS_MAX = 140;
/** Rooms whose files stay small enough to be read in one go; tests may list many cases. */
const SMALL_FILES = /^(?:native|engine|lab|daemon|clients)\//;

/** A file opens with a comment that says in a sentence what it is for. */
export const opensWithPurpose: Check = (path, text) => {
  if (!SOURCE.test(path)) return [];
  const lines = text.replace(/^#!.*\n/, '').split('\n');
  const end = lines.findIndex((line) => !/^\s*(?:\/\/|\/?\*)/.test(line));
  const words = lines
    .slice(0, end === -1 ? lines.length : end)
    .join(' ')
    .replace(/[/*]+/g, ' ')
    .trim();
  return /\w+\s.*\S[.:]/.test(words)
    ? []
    : ['open the file with a comment: a sentence that says what it is for'];
};

/** A name says what is inside; these say nothing. */
export const hasTellingName: Check = (path) =>
  /(?:^|[/._-])(?:utils?|helpers?|misc|common)(?=[/._-])/i.test(path)
    ? ['name the file or folder after what it does']
    : [];

export const staysShort: Check = (path, text) => {
  if (!SOURCE.test(path)) return [];
  const lines = text.split('\n');
  const problems = lines.flatMap((line, index) =>
    line.length > COLUMNS_MAX ? [at(index, `longer than ${COLUMNS_MAX} columns`)] : [],
  );
  if (SMALL_FILES.test(path) && lines.length > LINES_MAX + 1) {
    problems.push(`longer than ${LINES_MAX} lines: split it by what its parts do`);
  }
  return problems;
};

/** Work that is left over belongs into an issue, and a silenced tool owes a reason. */
export const leavesNothingOpen: Check = (path, text) => {
  if (!SOURCE.test(path)) return [];
  return text.split('\n').flatMap((line, index) => {
    if (/\b(?:TODO|FIXME|XXX)\b/.test(line)) return [at(index, 'finish it, or open an issue')];
    if (/@ts-(?:ignore|nocheck)\b/.test(line)) return [at(index, 'mend the type error')];
    if (/@ts-expect-error\s*$/.test(line)) return [at(index, 'say why the error is expected')];
    if (/eslint-disable(?!-(?:next-)?line .+ -- \w)/.test(line)) {
      return [at(index, 'disable one rule for one line, and give the reason after ` -- `')];
    }
    return [];
  });
};

/** `.only` hides all other tests; a `.skip` says why in a comment on its line or the line before. */
export const runsAllTests: Check = (path, text) => {
  if (!path.startsWith('test/')) return [];
  const lines = text.split('\n');
  return lines.flatMap((line, index) => {
    if (/\btest(?:\.\w+)*\.only\b/.test(line)) return [at(index, 'remove .only')];
    if (!/\btest(?:\.\w+)*\.(?:skip|todo|failing)\b/.test(line)) return [];
    const explained = /\/\/ \w/.test(line) || /^\s*\/\/ \w/.test(lines.at(index - 1) ?? '');
    return explained ? [] : [at(index, 'say in a comment why this test does not run')];
  });
};

export const hasUnreleased: Check = (path, text) =>
  path === 'CHANGELOG.md' && !/^## \[Unreleased\]$/m.test(text)
    ? ['keep a section "## [Unreleased]"']
    : [];

export const checks: readonly Check[] = [
  opensWithPurpose,
  hasTellingName,
  staysShort,
  leavesNothingOpen,
  runsAllTests,
  hasUnreleased,
];

function at(index: number, problem: string): string {
  return `line ${index + 1}: ${problem}`;
}

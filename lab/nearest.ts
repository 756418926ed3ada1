// The word that was probably meant.

/** The one of `words` that takes the fewest changes of a letter; null if none is near. */
export function nearest(wrong: string, words: readonly string[]): string | null {
  let best: string | null = null;
  // More changes than a third of its letters make another word.
  let least = Math.max(2, Math.floor(wrong.length / 3)) + 1;
  for (const word of words) {
    const changes = changesBetween(wrong.toLowerCase(), word.toLowerCase());
    if (changes < least) {
      least = changes;
      best = word;
    }
  }
  return best;
}

/** Letters to insert, drop or replace (Levenshtein). */
function changesBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}

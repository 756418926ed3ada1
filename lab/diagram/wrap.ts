// Breaking texts into lines of a width.

/** Pieces that are not torn apart: `page 1`, `= 993`. */
const TOGETHER =
  /\b(page|word|block|inode|pte|mm|vma|line|of) (?=\d)|= (?=\S)| (?=\.\.\.$)| (?=it\b)/g;
const GLUE = '\u00a0';

/** The words of a text in lines of at most `width` characters; a word that is longer is cut. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  const glued = text.replace(TOGETHER, (piece) => piece.replace(' ', GLUE));
  for (const word of glued.split(' ')) {
    let rest = word;
    if (line !== '' && line.length + 1 + rest.length > width) {
      lines.push(line);
      line = '';
    }
    while (rest.length > width) {
      lines.push(rest.slice(0, width));
      rest = rest.slice(width);
    }
    line = line === '' ? rest : `${line} ${rest}`;
  }
  if (line !== '') lines.push(line);
  return lines.map((each) => each.replaceAll(GLUE, ' '));
}

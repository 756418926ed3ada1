// Bytes as people read them: offset, sixteen bytes in hex, and as text.

const COLUMNS = 16;

/** Lines like those of `hexdump -C`; lines equal to the one before are left out as `*`. */
export function hexDump(bytes: Uint8Array, offset: number): string {
  const lines: string[] = [];
  let before = '';
  let repeats = false;
  for (let at = 0; at < bytes.length; at += COLUMNS) {
    const row = bytes.subarray(at, at + COLUMNS);
    const hex = [...row].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    if (hex === before && at + COLUMNS < bytes.length) {
      if (!repeats) lines.push('*');
      repeats = true;
      continue;
    }
    before = hex;
    repeats = false;
    const text = [...row]
      .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'))
      .join('');
    lines.push(`${hexOffset(offset + at)}  ${hex.padEnd(COLUMNS * 3 - 1)}  |${text}|`);
  }
  lines.push(hexOffset(offset + bytes.length));
  return lines.join('\n');
}

function hexOffset(offset: number): string {
  return offset.toString(16).padStart(10, '0');
}

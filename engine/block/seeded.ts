// Draws that depend on a seed and on what they are for only, not on how many were made before.

/** Mixes three numbers into 32 bits (the finisher of MurmurHash3 over each). */
export function mix(seed: number, a: number, b: number): number {
  let hash = seed | 0;
  for (const word of [a | 0, b | 0, Math.floor(b / 2 ** 32)]) {
    hash = (Math.imul(hash ^ word, 0x9e3779b1) + 0x6d2b79f5) | 0;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}

/** A whole number from 0 to below - 1. */
export function draw(seed: number, a: number, b: number, below: number): number {
  return Math.floor((mix(seed, a, b) / 2 ** 32) * below);
}

/** True in `sixteenths` of 16 cases. */
export function coin(seed: number, a: number, b: number, sixteenths: number): boolean {
  return mix(seed, a, b) >>> 28 < sixteenths;
}

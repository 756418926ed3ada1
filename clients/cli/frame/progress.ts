// What a terminal shows while a command works; nothing at all in a pipe, a file or with --json.

import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  /** False where nothing is drawn, so that there is no need to find out a total. */
  readonly shown: boolean;
  /** @param total 0 while it is not known */
  update(value: number, total: number, note: string): void;
  stop(): void;
}

const SILENT: Progress = { shown: false, update: () => undefined, stop: () => undefined };
/** Between two drawings, so that drawing costs nothing. */
const DRAW_MS = 100;

/** A bar. @param label what is going on, in a word or two */
export function startProgress(label: string, json: boolean): Progress {
  if (json || !process.stderr.isTTY) return SILENT;
  const bar = new SingleBar(
    {
      format: `${label} {bar} {percentage}%  {note}`,
      stream: process.stderr,
      clearOnComplete: true,
      hideCursor: true,
      barsize: 24,
      // The thread may be blocked for long, and timers late: draw when told.
      forceRedraw: true,
    },
    Presets.shades_classic,
  );
  bar.start(1, 0, { note: '' });
  let drawn = 0;
  return {
    shown: true,
    update: (value, total, note) => {
      const now = performance.now();
      if (now - drawn < DRAW_MS) return;
      drawn = now;
      bar.setTotal(Math.max(total, 1));
      bar.update(value, { note });
      bar.render();
    },
    stop: () => {
      bar.stop();
    },
  };
}

export interface Spinner {
  say(text: string): void;
  stop(): void;
}

/** One line that is written over and over. */
export function startSpinner(json: boolean): Spinner {
  const { stderr } = process;
  if (json || !stderr.isTTY) return { say: () => undefined, stop: () => undefined };
  const clear = '\r\u001b[K';
  return {
    say: (text) => {
      stderr.write(`${clear}${text.slice(0, Math.max(1, stderr.columns - 1))}`);
    },
    stop: () => {
      stderr.write(clear);
    },
  };
}

// pinfold demo: the newcomer's one command. Shows a torn write in real threads, the rules under which
// there is none, and the very schedule that does it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { z } from 'zod';
import { profileByName } from '../../../engine/profile/profiles.js';
import { type Exploration, explore } from '../../../lab/explore.js';
import { h1c } from '../../../lab/hazards/h1-c.js';
import type { StressReport } from '../../stress/index.js';
import { runThroughDaemon } from '../demo/through-daemon.js';
import { showDaemon, showLab, showStress, WELCOME, WHERE_NEXT } from '../demo/words.js';
import { makeCommand, optionsOf } from '../frame/command.js';
import { EXIT } from '../frame/exit-codes.js';
import { interruptible } from '../frame/interrupt.js';
import { print, printJson } from '../frame/output.js';
import { seconds } from '../frame/values.js';
import { newSeed, watchStress } from './stress.js';

/** The rules of a kernel of today, and ours. */
const TODAY = 'linux-6.12';
const OURS = 'best-known';
const CPUS = 2;
const DEVICES = 2;

const SHAPE = { seconds: z.number() };

export function demoCommand(): Command {
  const command = makeCommand('demo', 'see a torn write, and rules under which there is none', [
    ['pinfold demo', 'about a quarter of a minute, and nothing is left behind'],
    ['pinfold demo --seconds 10', 'each of the two runs for ten seconds'],
    ['pinfold demo --json', 'lab[], stress[] and daemon: the reports behind the words'],
  ]).option('--seconds <s>', 'how long each of the two runs takes', seconds(1, 600), 4);
  return command.action(async () => {
    const { json, seconds: length } = optionsOf(command, SHAPE);
    await interruptible(async ({ signal }) => {
      const folder = mkdtempSync(join(tmpdir(), 'pinfold-demo-'));
      try {
        await run(json, length, folder, signal);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  });
}

async function run(
  json: boolean,
  length: number,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  const say = (text: string): void => {
    if (!json) print(text);
  };
  const options = {
    cpus: CPUS,
    devices: DEVICES,
    seconds: length,
    seed: newSeed(),
    signal,
  };
  say(WELCOME);
  const lab = [TODAY, OURS].map((name) => explore(h1c(), profileByName(name)));
  say(showLab(lab));
  const reports: StressReport[] = [];
  for (const profile of [TODAY, OURS]) {
    const backing = join(folder, `${profile}.img`);
    const report = await watchStress(profile, json, { ...options, profile, backing });
    signal.throwIfAborted();
    reports.push(report);
    say(showStress(report));
  }
  const daemon = await runThroughDaemon(join(folder, 'served.img'), join(folder, 'socket'), signal);
  say(showDaemon(daemon));
  const ok = isAsExpected(lab, reports) && daemon.ok;
  if (json) printJson({ ok, lab, stress: reports, daemon });
  say(WHERE_NEXT);
  if (!ok) process.exitCode = EXIT.findings;
}

/** The lab must tear under today's rules and be safe under ours; the stress must be within its table. */
function isAsExpected(lab: readonly Exploration[], reports: readonly StressReport[]): boolean {
  const [today, ours] = lab.map((each) => each.verdict);
  return today === 'unsafe' && ours === 'safe' && reports.every((report) => report.ok);
}

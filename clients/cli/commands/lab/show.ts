// pinfold lab show: the story of one hazard.

import type { Command } from 'commander';
import { profileByName, profileNames } from '../../../../engine/profile/profiles.js';
import { wrap } from '../../../../lab/diagram/wrap.js';
import { type Hazard, LAB_PAGE_BYTES } from '../../../../lab/hazard.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { print, printJson } from '../../frame/output.js';
import { chooseHazard, hazardArgument, outputWidth } from './choose.js';

export function showCommand(): Command {
  const command = makeCommand('show', 'tell the story of one hazard', [
    ['pinfold lab show H1-c', 'who takes part, what may go wrong, and what it means'],
    [
      'pinfold lab show H1-c --json',
      'hazard with id, title, source, story, mayGoWrong[], actors[], notApplicable[]',
    ],
  ]).addArgument(hazardArgument());
  return command.action((name: string) => {
    const { json } = optionsOf(command, {});
    const hazard = chooseHazard(name);
    const { id, title, source, story, mayGoWrong } = hazard;
    const actors = actorsOf(hazard);
    const exceptions = exceptionsOf(hazard);
    if (json) {
      printJson({
        hazard: { id, title, source, story, mayGoWrong, actors, notApplicable: exceptions },
      });
      return;
    }
    const width = outputWidth();
    print(`${id}: ${title}\n`);
    print(`${wrap(story, width).join('\n')}\n`);
    print(`Actors:        ${actors.join(', ')}`);
    print(`May go wrong:  ${mayGoWrong.join(', ')}`);
    print(`Source:        ${source}`);
    for (const why of new Set(exceptions.map((each) => each.why))) {
      const profiles = exceptions.filter((each) => each.why === why).map(({ profile }) => profile);
      print(wrap(`Can't be posed under ${profiles.join(', ')}: ${why}`, width).join('\n'));
    }
    print(`\nNext: pinfold lab explore ${id} --profile linux-6.12`);
  });
}

/** The actors, under the first profile under which there are any. */
function actorsOf(hazard: Hazard): string[] {
  const profile = profileNames()
    .map(profileByName)
    .find((each) => (hazard.notApplicable?.(each) ?? null) === null);
  if (profile === undefined) return [];
  return hazard.program(profile, LAB_PAGE_BYTES).actors.map((actor) => actor.name);
}

/** The profiles under which the hazard can't be posed, and why. */
function exceptionsOf(hazard: Hazard): { readonly profile: string; readonly why: string }[] {
  return profileNames().flatMap((name) => {
    const why = hazard.notApplicable?.(profileByName(name)) ?? null;
    return why === null ? [] : [{ profile: name, why }];
  });
}

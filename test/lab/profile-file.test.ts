// Profiles that users write: what is read, and how mistakes are named.

import test from 'ava';
import { profileByName } from '../../engine/profile/profiles.js';
import { ruleNames } from '../../engine/profile/rules.js';
import { searchCell } from '../../lab/matrix/cell.js';
import { parseProfile } from '../../lab/profile-file.js';
import { counterHazard } from '../support/counter-hazards.js';

const HEAD = 'name: mine\nbase: linux-6.12+P7-bounce\n';

test('a profile is its base with the rules that it changes, in YAML and in JSON', (t) => {
  const bounce = profileByName('linux-6.12+P7-bounce');
  const { profile, base } = parseProfile(`${HEAD}rules:\n  pinnedSyncAll: wait\n`, 'x.yaml');
  t.deepEqual(base, bounce);
  const description = 'linux-6.12+P7-bounce with pinnedSyncAll wait.';
  t.deepEqual(profile, { ...bounce, pinnedSyncAll: 'wait', name: 'mine', description });
  const json = JSON.stringify({
    name: 'mine',
    base: bounce.name,
    rules: { pinnedSyncAll: 'wait' },
  });
  t.deepEqual(parseProfile(json, 'x.json').profile, profile);
});

test('every rule of a profile can be written down and is read back', (t) => {
  const odd = profileByName('linux-2.6.19');
  const rules = Object.fromEntries(ruleNames().map((rule) => [rule, odd[rule]]));
  const text = JSON.stringify({ name: 'old', base: 'linux-7.0', description: 'odd', rules });
  t.deepEqual(parseProfile(text, 'x').profile, { ...odd, name: 'old', description: 'odd' });
});

test('a search runs under it, and its schedules name it', (t) => {
  const text = '{"name":"mine","base":"linux-6.12","rules":{"longtermFilePin":"allow"}}';
  const { profile } = parseProfile(text, 'x');
  const { outcome } = searchCell(counterHazard('H8-a', 'an-actor'), profile, 100);
  t.is(outcome.verdict, 'unsafe');
  t.regex(outcome.schedule ?? '', /^pf1\/H8-a\/mine\//);
});

test('mistakes are named, with what is allowed and what was probably meant', (t) => {
  for (const [text, says] of [
    [
      `${HEAD}rules:\n  pinedSyncAll: wait\n`,
      /no rule "pinedSyncAll" \(did you mean pinnedSyncAll\?\)/,
    ],
    [`${HEAD}rules:\n  zzz: 1\n`, /no rule "zzz"; allowed are hasDax, /],
    [
      `${HEAD}rules:\n  pinnedSyncAll: bounse\n`,
      /rule pinnedSyncAll has no answer "bounse" \(did you mean bounce\?\); allowed are proceed, skip, wait, bounce/,
    ],
    [`${HEAD}rules:\n  hasDax: yes\n`, /rule hasDax has no answer "yes"; allowed are true, false/],
    [`${HEAD}rules:\n  hasDax: "true"\n`, /rule hasDax has no answer "true"/],
    ['name: mine\nbase: linux-9\nrules: {}\n', /base: no profile "linux-9"; there are/],
    ['name: mine\nbase: linux-6.12+P99\nrules: {}\n', /base: no proposal "P99"/],
    ['name: mine\nrules: {}\n', /base: .*expected string/],
    [HEAD, /rules: .*expected object/],
    [`${HEAD}rules: {}\nrule: 1\n`, /no field "rule" \(did you mean rules\?\)/],
    ['name: a/b\nbase: linux-6.12\nrules: {}\n', /name: up to 64 letters/],
    ['name: linux-6.12\nbase: linux-6.12\nrules: {}\n', /name of a shipped profile/],
    ['{"name": ', /neither YAML nor JSON/],
    ['mine', /expected object/],
    ['', /expected object/],
  ] as const) {
    const error = t.throws(() => parseProfile(text, 'x.yaml'), { code: 'EINVAL' }, text);
    t.regex(error.message, /x\.yaml/);
    t.regex(error.message, says);
  }
});

// The open units in groups that vary independently of each other: a unit alone, or units that atomic
// writes tie together.

import { type Pending, writesById } from './power-cut.js';

/** Units that vary together. */
export interface Group {
  /** Indices into the open units. */
  readonly members: readonly number[];
  /** Choices for the members; the first is every floor, the last the newest of everything. */
  readonly options: readonly Int32Array[];
}

/** Something that decides what a unit holds: a version of one unit, or an atomic write. */
export interface Decision {
  /** Members, by number within the group, whose newest version so far this may be, with their choices. */
  readonly members: readonly number[];
  readonly choices: readonly number[];
  /** It may also read as garbage. */
  readonly garbage: boolean;
  readonly atomic: boolean;
}

/** The members of each group, by the first of them. */
export function memberships(pending: Pending): number[][] {
  const leader = pending.open.map((_, i) => i);
  const find = (i: number): number => {
    while (leader[i] !== i) i = leader[i] = leader[leader[i]];
    return i;
  };
  const byId = writesById(pending);
  const first = new Map<number, number>();
  for (const [i, { versions }] of pending.open.entries()) {
    for (const id of versions) {
      if (!byId.of(id).atomic) continue;
      const other = first.get(id);
      if (other === undefined) first.set(id, i);
      else leader[find(i)] = find(other);
    }
  }
  const members = new Map<number, number[]>();
  for (let i = 0; i < leader.length; i++) {
    const root = find(i);
    const group = members.get(root);
    if (group === undefined) members.set(root, [i]);
    else group.push(i);
  }
  return [...members.values()];
}

/** What decides about a group, newest first. */
export function decisionsOf(pending: Pending, members: readonly number[]): Decision[] {
  const byId = writesById(pending);
  const atomic = new Map<number, { members: number[]; choices: number[] }>();
  const found: { id: number; decision: Decision }[] = [];
  for (const [member, i] of members.entries()) {
    for (const [k, id] of pending.open[i].versions.entries()) {
      const { kind, atomic: whole } = byId.of(id);
      const known = atomic.get(id);
      if (known !== undefined) {
        known.members.push(member);
        known.choices.push(k + 1);
        continue;
      }
      const mine = { members: [member], choices: [k + 1] };
      if (whole) atomic.set(id, mine);
      const garbage = pending.garbage && kind === 'trim';
      found.push({ id, decision: { ...mine, garbage, atomic: whole } });
    }
  }
  return found.sort((a, b) => b.id - a.id).map(({ decision }) => decision);
}

/** All groups. @param optionsMax of a tied group so many options are listed, the newest first, and every floor */
export function groupsOf(pending: Pending, optionsMax: number): Group[] {
  const shared = new Map<number, readonly Int32Array[]>();
  const byId = writesById(pending);
  return memberships(pending).map((members) => {
    const { versions } = pending.open[members[0]];
    const plain =
      members.length === 1 &&
      !(pending.garbage && versions.some((id) => byId.of(id).kind === 'trim'));
    if (!plain) return listOptions(pending, members, optionsMax);
    const options =
      shared.get(versions.length) ??
      Array.from({ length: versions.length + 1 }, (_, choice) => Int32Array.of(choice));
    shared.set(versions.length, options);
    return { members, options };
  });
}

/** Decides newest first: once a member has its version, older ones do not matter to it. */
function listOptions(pending: Pending, members: readonly number[], optionsMax: number): Group {
  const decisions = decisionsOf(pending, members);
  const choices = new Int32Array(members.length);
  const options: Int32Array[] = [];

  function decide(nth: number): void {
    // The last place is for every floor.
    if (options.length >= optionsMax - 1 && choices.some((choice) => choice !== 0)) return;
    const decision = decisions.at(nth);
    if (decision === undefined) {
      options.push(choices.slice());
      return;
    }
    const undecided = decision.members.filter((member) => choices[member] === 0);
    if (undecided.length > 0) {
      for (const sign of decision.garbage ? [1, -1] : [1]) {
        for (const [i, member] of decision.members.entries()) {
          if (undecided.includes(member)) choices[member] = sign * decision.choices[i];
        }
        decide(nth + 1);
        for (const member of undecided) choices[member] = 0;
      }
    }
    decide(nth + 1);
  }

  decide(0);
  // The walk begins with the newest of everything, and ends with every floor.
  options.reverse();
  return { members, options };
}

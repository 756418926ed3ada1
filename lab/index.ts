// The lab as a library, `pinfold/lab`: what authors of hazards and profiles need, in a test of their
// own. docs/lab.md has a worked example.

// The machine, and what an operation is
export { FINDING_KINDS, type Finding, type FindingKind } from '../engine/finding.js';
export type { Machine } from '../engine/machine.js';
export type { Geometry, State } from '../engine/memory/layout.js';
export {
  add,
  and,
  cas,
  exchange,
  load,
  or,
  read,
  store,
  write,
} from '../engine/memory/word.js';
// Memory: address spaces, pages, pins
export { loadUser, storeUser } from '../engine/mm/access.js';
export { checksumWords, copyWords, loadWords, storeWords } from '../engine/mm/content.js';
export { markDirty } from '../engine/mm/dirty.js';
export { findFolio } from '../engine/mm/filemap.js';
export { lockFolio, maybePinned, PG, PIN_BIAS, unlockFolio } from '../engine/mm/folio.js';
export { FOLL, pinUserPagesFast, unpinUserPages } from '../engine/mm/gup.js';
export { createMm, type MapRequest, mmap, munmap, pinBalance, VM } from '../engine/mm/vma.js';
export { prepareWriteback, type ReadyFolio } from '../engine/mm/writeback.js';
// Rules in force
export type { PinnedAction, Profile, Rules } from '../engine/profile/profile.js';
export { profileByName, profileNames } from '../engine/profile/profiles.js';
export { answerInWords, RULES, ruleNames } from '../engine/profile/rules.js';
export { Errno, KernelBug } from '../engine/sched/errors.js';
// Locks
export {
  downRead,
  downWrite,
  type Locks,
  spinLock,
  spinUnlock,
  upRead,
  upWrite,
} from '../engine/sched/lock.js';
export { type Op, sleepOn, type Task } from '../engine/sched/op.js';
export { lab, STEP } from '../engine/sched/step.js';
export { wake } from '../engine/sched/wait.js';
// File systems of a few words, to extend
export { BareFs } from '../engine/tinyfs/bare.js';
export { PageStore, pageStoreWords } from '../engine/tinyfs/page-store.js';
// Searching, replaying, checking
export { check, type HiddenRace } from './checker.js';
// Claims of proposals beside a matrix
export { type Claim, type ClaimOutcome, judgeClaims } from './claims.js';
// Diagrams
export { type Broken, type Diagram, diagram, diagramOf } from './diagram/diagram.js';
export { formatHtml } from './diagram/html.js';
export type { Line } from './diagram/lines.js';
export { formatSvg } from './diagram/svg.js';
export { formatText } from './diagram/text.js';
export type { Reason } from './diagram/why.js';
export type { LockState, PageState } from './diagram/world.js';
export {
  type Exploration,
  type ExploreOptions,
  explore,
  type Failure,
  replay,
  SAFE_BOUND,
  STRATEGIES,
} from './explore.js';
// Hazards and programs
export { type Hazard, LAB_PAGE_BYTES } from './hazard.js';
export { HAZARDS, hazardByName, hazardNames } from './hazards/index.js';
// The matrix: of shipped hazards with all cores, or of one's own cell by cell
export { type Cell, cellOf, type Searched, searchCell } from './matrix/cell.js';
export { computeMatrix, type MatrixRequest } from './matrix/matrix.js';
export { fillMatrix, type MatrixOptions } from './matrix/run.js';
export { formatMatrix, type Matrix, parseMatrix } from './matrix/stored.js';
export { type Minimised, minimise } from './minimise.js';
export { parseProfile, readProfileFile, type UserProfile } from './profile-file.js';
export { type ActorSource, POWER_CUT, type Program } from './program.js';
export type { RunResult } from './rig.js';
export { formatSchedule, parseSchedule, type Schedule } from './search/schedule.js';

// The hook by which the lab sees every access to shared state, and the pause that marks a step.
//
// Engine code writes `if (lab?.point()) yield STEP;` before every access to shared state that no
// held lock covers. Outside the lab `lab` is null and the line costs one load and one compare;
// inside it, point() consults the schedule and asks for a yield only at a real switch of actors.

/** A pause at which the lab's scheduler switches to another actor. Never yielded outside the lab. */
export class Step {
  readonly kind = 'step';
}

export const STEP = new Step();

/** What the lab implements to watch and steer engine code. Addresses are (array, index) pairs. */
export interface LabHooks {
  /** A step boundary of the running actor; true if another actor is to run before it goes on. */
  point(): boolean;
  /** An atomic load that returned `value`. */
  onLoad(words: Int32Array, index: number, value: number): void;
  /** An atomic store that replaced `before`, unseen, by `after`. */
  onStore(words: Int32Array, index: number, before: number, after: number): void;
  /** An atomic read-modify-write that saw `before` and left `after`. */
  onUpdate(words: Int32Array, index: number, before: number, after: number): void;
  /** A plain read, which some lock must cover. */
  onRead(words: Int32Array, index: number, value: number): void;
  /** A plain write, which some lock must cover. */
  onWrite(words: Int32Array, index: number, before: number, after: number): void;
  /** Everybody asleep on this word is woken. */
  onWake(words: Int32Array, index: number): void;
}

/** The lab that drives this thread, or null in production. Set once per run by the lab driver. */
export let lab: LabHooks | null = null;

/** Puts this thread under a lab driver, or (null) back to running for real. */
export function setLab(hooks: LabHooks | null): void {
  lab = hooks;
}

/** Every failpoint of a coordinator, in the order in which a transaction passes them (`CONCORDAT_FAILPOINTS`). */
export const COORDINATOR_FAILPOINTS = [
  'coordinator.begin.before-append',
  'coordinator.begin.after-append',
  'coordinator.prepare.after-send',
  'coordinator.resolve.before-append',
  'coordinator.decide.before-append',
  'coordinator.decide.after-append',
  'coordinator.decision.after-send',
  'coordinator.end.before-append',
] as const;

export type CoordinatorFailpoint = (typeof COORDINATOR_FAILPOINTS)[number];

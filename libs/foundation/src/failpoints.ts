/**
 * Named places in the code at which a test or demo may crash, pause or delay the process
 * (`CONCORDAT_FAILPOINTS`). A library only reports that it came by; what happens is the host's matter.
 *
 * `hit` returns undefined, at no cost, unless the point is armed; a promise means "wait for it, then go on".
 */
export interface Failpoints {
  hit(name: string): Promise<void> | undefined;
}

/** Nothing is ever armed: the default of every library. */
export const noFailpoints: Failpoints = { hit: () => undefined };

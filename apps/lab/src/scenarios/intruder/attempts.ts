import { setTimeout as delay } from 'node:timers/promises';
import { errorMessage } from '@concordat/foundation';
import type { ScenarioLab } from '../scenario-lab.js';

/** Something that an intruder tries, and the answer that it must get. */
export interface Attempt {
  readonly what: string;
  /** its answer in words; an error is one, too */
  readonly run: () => Promise<string>;
  readonly expected: RegExp;
}

/** The audit has at most ten refusals of a kind in a second one by one. */
export const PAUSE_MS = 110;

/** Tries one after the other, and says what was tried and what the answer was. */
export async function tryAll(lab: ScenarioLab, who: string, attempts: readonly Attempt[]): Promise<void> {
  lab.narration.action(`${who} tries`);
  const problems: string[] = [];
  for (const { what, run, expected } of attempts) {
    const answer = await run().catch((error: unknown) => `no answer: ${reasonOf(error)}`);
    problems.push(...report(lab, what, answer, expected));
    await delay(PAUSE_MS);
  }
  lab.check(`${who}: nothing of it has an effect`, problems, `${attempts.length} attempts, each with the right answer`);
}

/** Says what was tried and what came of it. Returns what is wrong with that. */
export function report(lab: ScenarioLab, what: string, answer: string, expected: RegExp): string[] {
  const isRight = expected.test(answer);
  lab.narration.say(
    `          ${what}: ${answer}${isRight ? '' : `, which is WRONG (${expected.source} was expected)`}`,
  );
  return isRight ? [] : [`${what}: ${answer}`];
}

/** `fetch failed` says nothing: what is below it does. */
export function reasonOf(error: unknown): string {
  const { cause } = Object(error) as { readonly cause?: unknown };
  return errorMessage(cause ?? error);
}

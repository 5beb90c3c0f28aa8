import { expect } from '@jest/globals';
import type { BallotRequestMessage } from '../vocabulary/messages.js';
import { ParticipantMachine } from '../participant/participant.js';
import type { Decision } from '../vocabulary/types.js';
import {
  PARTICIPANT,
  by,
  promise,
  accept,
  prepare,
  due,
  voted,
  request,
  answer,
  opened,
  short,
  type Step,
} from './participant-steps.js';

export function machine(options: { rememberedTransactions?: number } = {}): ParticipantMachine {
  return new ParticipantMachine({ participant: PARTICIPANT, ...options });
}

export const OWN = by(1, 1);
export const ownPromise = request(promise(OWN), 1);
export const ownAccept = (value: Decision): BallotRequestMessage => request(accept(OWN, value), 1);
export const WAITING: readonly Step[] = [
  [prepare(), ['run-prepare']],
  [voted('yes'), ['vote yes']],
];
/** It has opened its ballot and asked the others. */
export const OPENED: readonly Step[] = [
  ...WAITING,
  [due, ['open-ballot']],
  [opened(OWN), ['to 2: promise 1.1', 'to 3: promise 1.1']],
];
/** One other has promised: a majority, and nobody has accepted anything. */
export const PROMISED: readonly Step[] = [
  ...OPENED,
  [
    answer(2, { type: 'promised', ballot: OWN }),
    ['to 2: accept 1.1 abort', 'to 3: accept 1.1 abort', 'run-ballot accept 1.1 abort'],
  ],
];

export function play(steps: readonly Step[]): void {
  const subject = machine();
  for (const [event, expected] of steps) expect(subject.step(event).map(short)).toEqual(expected);
}

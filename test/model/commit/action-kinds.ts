import { invariant } from '@concordat/foundation';
import type { Action } from '../world.js';

/** What may happen. `subject` is a branch, a message, a number of records, or nothing. */
export const ACTION_KINDS = [
  'begin',
  'commit-record',
  'fail-proposal',
  'leader-dies',
  'leader-deposed',
  'deadline-passes',
  'deadline-fires',
  'deadline-fires-at-deposed',
  'resend',
  'resend-of-deposed',
  'deliver',
  'deliver-and-keep',
  'deliver-to-deposed',
  'answer-yes',
  'answer-no',
  'answer-read-only',
  'break-connection',
  'late-operation',
  'late-operation-ends',
  'drop-work',
  'participant-dies',
  'inquire',
  'waits-too-long',
  'hand-commits',
  'hand-aborts',
  'forgets',
  'forgets-unnoticed',
] as const;
export type ActionKind = (typeof ACTION_KINDS)[number];

const KIND_BITS = 5;
const KIND_NUMBERS = new Map<ActionKind, number>(ACTION_KINDS.map((kind, number) => [kind, number]));

export function action(kind: ActionKind, subject = 0): Action {
  return (KIND_NUMBERS.get(kind) ?? 0) | (subject << KIND_BITS);
}

export function readAction(packed: Action): { readonly kind: ActionKind; readonly subject: number } {
  const kind = ACTION_KINDS[packed & ((1 << KIND_BITS) - 1)];
  invariant(kind, 'an action has a kind');
  return { kind, subject: packed >>> KIND_BITS };
}

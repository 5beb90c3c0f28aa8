import { invariant } from '@concordat/foundation';
import type { RaftLog } from '../log/log.js';
import type { Address } from '../membership/addressing.js';
import type { AppendEntries, Message } from '../types.js';

type AppendResult =
  | { readonly type: 'accepted'; readonly matchIndex: number }
  | { readonly type: 'refused'; readonly hintIndex: number; readonly hintTerm: number };
/** `contradiction`: no correct leader can have sent it */
export type AppendOutcome = AppendResult | { readonly type: 'contradiction' };

/**
 * The follower's half of replication (paper, figure 2, "AppendEntries RPC", steps 2 to 5), for a message of the current
 * term's leader.
 */
export function acceptEntries(log: RaftLog, message: AppendEntries): AppendOutcome {
  if (message.previousIndex <= log.commitIndex) return acceptFromCommitted(log, message);
  if (!log.matches(message.previousIndex, message.previousTerm)) return refuse(log, message);
  log.merge(message.entries);
  const lastIndex = message.previousIndex + message.entries.length;
  log.commitTo(Math.min(message.commitIndex, lastIndex));
  return { type: 'accepted', matchIndex: lastIndex };
}

/**
 * A message that begins at or below the commit index: the usual one of an idle log, a late or duplicate one, a
 * heartbeat. The leader's log has all that is committed here (leader completeness), so only later entries are new.
 */
function acceptFromCommitted(log: RaftLog, message: AppendEntries): AppendOutcome {
  const { commitIndex } = log;
  const previousTerm = log.term(message.previousIndex);
  if (previousTerm !== undefined && previousTerm !== message.previousTerm) return { type: 'contradiction' };
  const known = Math.min(message.entries.length, commitIndex - message.previousIndex);
  for (let position = 0; position < known; position++) {
    const entry = message.entries[position]!;
    const term = log.term(entry.index);
    if (term !== undefined && term !== entry.term) return { type: 'contradiction' };
  }
  log.merge(known === 0 ? message.entries : message.entries.slice(known));
  const lastIndex = Math.max(commitIndex, message.previousIndex + message.entries.length);
  log.commitTo(Math.min(message.commitIndex, lastIndex));
  return { type: 'accepted', matchIndex: lastIndex };
}

/**
 * Tells the leader the last place where the logs may agree: no entry here above the requested term can, so a whole term
 * is skipped per round trip instead of one entry. Never below the commit index, which agrees.
 */
function refuse(log: RaftLog, message: AppendEntries): AppendOutcome {
  const candidate = log.lastIndexWithTermUpTo(message.previousIndex, message.previousTerm);
  const hintIndex = Math.max(candidate, log.commitIndex);
  const hintTerm = log.term(hintIndex);
  invariant(hintTerm !== undefined, 'a hint lies within the log');
  return { type: 'refused', hintIndex, hintTerm };
}

export function appendAnswer({ previousIndex, round }: AppendEntries, result: AppendResult, address: Address): Message {
  if (result.type === 'accepted') {
    const { from, to, fromIncarnation, toIncarnation, groupId, term } = address;
    const { matchIndex } = result;
    return {
      type: 'append-entries-accepted',
      from,
      to,
      fromIncarnation,
      toIncarnation,
      groupId,
      term,
      matchIndex,
      round,
    };
  }
  const { hintIndex, hintTerm } = result;
  return { type: 'append-entries-refused', ...address, previousIndex, hintIndex, hintTerm, round };
}

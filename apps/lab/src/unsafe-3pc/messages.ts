/** Messages of the textbook protocol. `to` and `from` are branches, numbered from 0; the coordinator has no number. */
export type UnsafeMessage =
  | { readonly type: 'prepare' | 'precommit' | 'commit' | 'abort'; readonly to: number }
  | { readonly type: 'yes' | 'no' | 'acknowledged'; readonly from: number };

export function describeMessage(message: UnsafeMessage): string {
  return 'to' in message
    ? `${message.type} to branch ${message.to + 1}`
    : `${message.type} of branch ${message.from + 1}`;
}

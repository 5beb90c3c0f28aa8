import type { SystemState } from '../local-system/system-file.js';

export const MESSAGE_VERSION = 1;

/**
 * Topics, groups and messages of one cluster on the broker. Independent of the services' code: the lab knows only their
 * public contract.
 */
export class Wire {
  private constructor(
    readonly cluster: string,
    private readonly prefix: string,
  ) {}

  static of({ clusterName, topicPrefix }: Pick<SystemState, 'clusterName' | 'topicPrefix'>): Wire {
    return new Wire(clusterName, `${topicPrefix}.${clusterName}.`);
  }

  get replies(): string {
    return `${this.prefix}replies`;
  }

  get deadLetters(): string {
    return `${this.prefix}dead-letter`;
  }

  get outcomes(): string {
    return `${this.prefix}outcomes`;
  }

  topics(banks: readonly string[]): string[] {
    const ofBanks = banks.flatMap((bank) => [this.prepare(bank), this.decide(bank)]);
    return [...ofBanks, this.replies, this.outcomes, this.deadLetters];
  }

  prepare(bank: string): string {
    return `${this.prefix}prepare.${bank}`;
  }

  decide(bank: string): string {
    return `${this.prefix}decide.${bank}`;
  }

  groupOf(bank: string): string {
    return `${this.prefix}participant.${bank}`;
  }

  encode(message: Readonly<Record<string, unknown>>): Buffer {
    return Buffer.from(JSON.stringify({ v: MESSAGE_VERSION, cluster: this.cluster, ...message }));
  }
}

/** Whether it has the form of a gid: two UUIDs behind the name of a cluster. */
export const isGid = (text: string): boolean => /^concordat:[^:]+:[0-9a-f-]{36}:[0-9a-f-]{36}$/.test(text);

/** The transaction in a gid `concordat:<cluster>:<transactionId>:<branchId>`; the text itself when it is none. */
export function transactionOf(gid: string): string {
  return addressOf(gid).transactionId;
}

/** Transaction and branch in a gid; the text itself for what it does not have. */
export function addressOf(gid: string): { readonly transactionId: string; readonly branchId: string } {
  const [, , transactionId = gid, branchId = gid] = gid.split(':');
  return { transactionId, branchId };
}

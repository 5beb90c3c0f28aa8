import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { LIMITS } from '@concordat/commit-protocol';

const DOCUMENT = path.resolve(import.meta.dirname, '../../docs/operations.md');

/** What the table of the manual must say of each limit. */
const SAID: Readonly<Record<keyof typeof LIMITS, string>> = {
  branches: `| branches of a transaction | ${LIMITS.branches} (`,
  operations: `| operations of a transaction | ${LIMITS.operations}, together ${LIMITS.operationsBytes / 2 ** 20} MiB of JSON |`,
  operationsBytes: `together ${LIMITS.operationsBytes / 2 ** 20} MiB of JSON |`,
  participantNameLength: `| name of a participant, of one of its processes | ${LIMITS.participantNameLength}, `,
  operationNameLength: `| name of an operation | ${LIMITS.operationNameLength} characters |`,
  instanceNameLength: `| name of a participant, of one of its processes | ${LIMITS.participantNameLength}, ${LIMITS.instanceNameLength} characters |`,
  participants: `| participants of a cluster | ${LIMITS.participants.toLocaleString('en')} |`,
  announcedOperations: `| operations of a participant | ${LIMITS.announcedOperations.toLocaleString('en')} |`,
  keysPerOperation: `| keys of an operation | ${LIMITS.keysPerOperation}, each of ${LIMITS.keyLength} characters |`,
  keyLength: `each of ${LIMITS.keyLength} characters |`,
  payloadBytes: `| payload of an operation | ${LIMITS.payloadBytes / 1024} KiB of JSON |`,
  metadataBytes: `| metadata of a transaction | ${LIMITS.metadataBytes / 1024} KiB of JSON |`,
  resultsBytes: `of a transaction | ${LIMITS.resultsBytes / 1024} KiB of JSON |`,
  jsonDepth: `| a request | 1 MiB of JSON, ${LIMITS.jsonDepth} levels |`,
  errorCodeLength: `| code and text of a refusal | ${LIMITS.errorCodeLength}, `,
  errorMessageLength: `, ${LIMITS.errorMessageLength.toLocaleString('en')} characters; a longer text is cut and marked |`,
  locks: `| locks that are held | ${LIMITS.locks.toLocaleString('en')}; `,
  lockNameLength: `| name and owner of a lock | ${LIMITS.lockNameLength}, `,
  lockOwnerLength: `| name and owner of a lock | ${LIMITS.lockNameLength}, ${LIMITS.lockOwnerLength} characters |`,
  lockTtlMinimumMs: `| lease of a lock | ${LIMITS.lockTtlMinimumMs} ms to ${LIMITS.lockTtlMaximumMs / 3_600_000} hour |`,
  lockTtlMaximumMs: ` to ${LIMITS.lockTtlMaximumMs / 3_600_000} hour |`,
  lockExpiriesPerRecord: '', // of no interest to an operator: the rest follows in the next record
  gidLength: '', // of no interest to an operator: names of clusters are short enough by themselves
  messageBytes: `| a message to or from a participant | ${LIMITS.messageBytes / 2 ** 20} MiB |`,
};

describe('the limits in the manual', () => {
  const rows = readFileSync(DOCUMENT, 'utf8').replace(/ +\|/g, ' |');

  it.each(Object.entries(SAID))('%s is what the code has', (_name, said) => {
    expect(rows).toContain(said);
  });
});

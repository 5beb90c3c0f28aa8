import type { SourceEdit } from '@concordat/foundation/testing';
import type { InjectedBug } from './injected-bug.js';

const STATE = 'libs/commit-protocol/src/log/decision-state.ts';
const MANAGER = 'apps/coordinator/src/transactions/transaction-manager.ts';
const CLOCK = 'apps/coordinator/src/transactions/clocks/log-clock.ts';

/** The watermark is where the record says, whatever was dropped. */
const WATERMARK_OF_RECORD: SourceEdit = {
  file: STATE,
  find: 'if (highestDropped !== undefined) this.raiseWatermark((uuidV7Time(highestDropped) ?? 0) + 1);',
  replace: '',
};
const UNCHECKED: SourceEdit = {
  file: STATE,
  find: 'highestDropped === undefined || this.mayHaveExpired(highestDropped),',
  replace: 'true,',
};

/** Mistakes with time: whose it is, and what may be concluded from it. */
export const CLOCK_BUGS: readonly InjectedBug[] = [
  {
    name: "expiry by the leader's clock",
    what: 'A leader reckons ages with the clock of its machine, and the log drops what it is told to.',
    rule: 'section Time: expiry goes by log time, and not across a step',
    by: {
      edits: [
        {
          file: 'apps/coordinator/src/transactions/leadership/retention.ts',
          find: 'const now = this.clock.agreedTime();',
          replace: "const now = (this.clock as unknown as { clock: { now(): number } })['clock'].now();",
        },
        {
          file: 'apps/coordinator/src/transactions/leadership/retention.ts',
          find: 'if (before >= this.log.state.logTime.steppedTo) this.expire(before);',
          replace: 'this.expire(before);',
        },
        { file: STATE, find: "return refuse('AGE_UNKNOWN');", replace: '{}' },
        { file: STATE, find: 'Math.min(before, this.time.now)', replace: 'before' },
      ],
    },
    seeds: { family: 'endurance' },
  },
  {
    name: "ids by the leader's clock, presumption by the ids",
    what: 'Ids come from the clock of the machine; what ended before the retention is dropped, and what has a younger id presumed aborted.',
    rule: 'section Time: the watermark is above every id that was dropped',
    by: {
      edits: [
        WATERMARK_OF_RECORD,
        UNCHECKED,
        {
          file: MANAGER,
          find: 'new UuidV7Generator(() => clock.now(), random)',
          replace: 'new UuidV7Generator(() => dependencies.clock.now(), random)',
        },
        {
          file: 'apps/coordinator/src/transactions/requests/request-records.ts',
          find: 'Math.max(clock.now(), uuidV7Time(transactionId) ?? 0)',
          replace: 'clock.now()',
        },
      ],
    },
    seeds: { family: 'endurance' },
  },
  {
    name: "records by the leader's clock",
    what: 'A leader stamps its records, and reckons deadlines, with the clock of its machine.',
    rule: 'section Time: a clock that is set moves nothing; AC5',
    by: {
      edits: [
        {
          file: CLOCK,
          find: 'const monotonic = this.clock.monotonic();\n    this.follow(monotonic);',
          replace:
            'const monotonic = this.clock.monotonic();\n    if (monotonic >= 0) return this.clock.now();\n    this.follow(monotonic);',
        },
      ],
    },
  },
  {
    name: 'presumption of what is older than the group',
    what: 'A group that has lost its data says of what it does not know that it never was.',
    rule: 'section Time: the watermark starts at the birth of the group',
    by: { edits: [{ file: STATE, find: 'this.raiseWatermark(at);', replace: '' }] },
    seeds: { family: 'refounded' },
  },
];

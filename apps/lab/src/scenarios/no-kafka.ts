import { killDatabase } from './kill-database.js';
import { killLeader } from './kill-leader.js';
import { killParticipant } from './kill-participant.js';
import { pauseLeader } from './pause-leader.js';
import type { Scenario } from './scenario.js';

/** Most scenarios run on this link; this one has the usual faults on a system that has only its streams. */
export const noKafka: Scenario = {
  name: 'no-kafka',
  title: 'no broker at all: the leader, a participant and a database are killed, the leader is paused',
  links: ['direct'],
  run: async (lab) => {
    const brokers = lab.state().processes.filter(({ role }) => role === 'kafka');
    lab.check(
      'the system has no broker',
      brokers.map(({ name, pid }) => `${name} (process ${pid})`),
      'coordinators, banks and databases only',
    );
    for (const scenario of [killLeader, killParticipant, killDatabase, pauseLeader]) {
      lab.narration.say(`        ${scenario.name}`);
      await scenario.run(lab, { points: undefined });
    }
  },
};
